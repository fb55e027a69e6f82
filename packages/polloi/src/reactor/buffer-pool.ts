import type { Arena } from "../sys/arena.ts";

/** V8 stores arrays up to this size in the object itself. Larger ones are allocated and freed separately. */
const INLINE_BYTES = 64;
/** Up to this size a loop is faster than `set`, which also needs a view of the source. */
const LOOP_BYTES = 128;
/** Larger copies have an `ArrayBuffer` of their own. */
const SHARED_BYTES = 16_384;
/** The first slab is small, because many reactors receive little. Each is twice as large as the one before. */
const FIRST_SLAB_BYTES = 4096;
const SLAB_BYTES = 65_536;

/**
 * Copies received bytes, so that handlers may keep them.
 *
 * @remarks
 * Allocating memory costs several times as much as copying, so copies up to 16 KiB share slabs of 64 KiB, as Node's
 * buffers do. A slab lives as long as any copy in it.
 */
export class BufferPool {
  #slab: ArrayBuffer = new ArrayBuffer(0);
  #used = 0;
  #slabBytes = FIRST_SLAB_BYTES;

  /** Copies `length` bytes at `offset` of an arena. */
  copy({ u8 }: Arena, offset: number, length: number): Uint8Array {
    if (length <= INLINE_BYTES || length > SHARED_BYTES) return u8.slice(offset, offset + length);
    // The slab is empty if a program has transferred the buffer of a copy (`postMessage`).
    if (this.#used + length > this.#slab.byteLength) {
      this.#slab = new ArrayBuffer(this.#nextSlab(length));
      this.#used = 0;
    }
    const copy = new Uint8Array(this.#slab, this.#used, length);
    // The next copy is aligned for numbers of every size.
    this.#used += (length + 7) & ~7;
    if (length > LOOP_BYTES) copy.set(u8.subarray(offset, offset + length));
    else for (let i = 0; i < length; i++) copy[i] = u8[offset + i] as number;
    return copy;
  }

  #nextSlab(length: number): number {
    const bytes = this.#slabBytes;
    if (bytes < SLAB_BYTES) this.#slabBytes = bytes * 2;
    return Math.max(bytes, length);
  }
}

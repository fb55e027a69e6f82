import type { Arena } from "../sys/arena.ts";

/** Up to so many bytes a V8 array holds by itself; what is larger is memory to be allocated and freed. */
const INLINE_BYTES = 64;
/** Up to so many bytes a loop beats a call of `set`, which needs a view of what is copied besides. */
const LOOP_BYTES = 128;
/** Copies of more than this have memory of their own. */
const SHARED_BYTES = 16_384;
const SLAB_BYTES = 65_536;

/**
 * Copies of received bytes, for handlers to keep.
 *
 * @remarks
 * Allocating memory for each costs several times what copying does, so copies up to 16 KiB lie side by
 * side in slabs of 64 KiB, as Node's own buffers do in its pool. A slab lives as long as any of them.
 */
export class Copies {
  #slab: ArrayBuffer = new ArrayBuffer(0);
  #used = 0;

  /** Copies `length` bytes at `offset` of an arena. */
  copy({ u8 }: Arena, offset: number, length: number): Uint8Array {
    if (length <= INLINE_BYTES || length > SHARED_BYTES) return u8.slice(offset, offset + length);
    // Also when it has shrunk to nothing, because somebody gave a copy's buffer away (`postMessage`).
    if (this.#used + length > this.#slab.byteLength) {
      this.#slab = new ArrayBuffer(SLAB_BYTES);
      this.#used = 0;
    }
    const copy = new Uint8Array(this.#slab, this.#used, length);
    // The next one begins where numbers of every size may.
    this.#used += (length + 7) & ~7;
    if (length > LOOP_BYTES) copy.set(u8.subarray(offset, offset + length));
    else for (let i = 0; i < length; i++) copy[i] = u8[offset + i] as number;
    return copy;
  }
}

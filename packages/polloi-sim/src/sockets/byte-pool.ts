/** The size of a piece of memory that copies share. */
const SLAB_BYTES = 2 ** 18;
/** Larger copies have memory of their own. */
const LARGEST_BYTES = 2 ** 16;
/** V8 stores arrays up to this size in the object itself. */
const INLINE_BYTES = 64;
/** A machine gives back as many slabs, and as many are kept for the next one. The garbage collector frees the others. */
const MOST_RETURNED = 16;
const MOST_KEPT = 64;

/** Slabs that no machine uses. They are not filled with zeros. */
const kept: ArrayBuffer[] = [];

/**
 * Memory for the bytes that are on their way through a machine.
 *
 * @remarks
 * Thousands of short programs send some bytes each, and the garbage collector runs whenever enough memory outside of its
 * heap was allocated. So copies share slabs, and another machine uses the slabs when this one has ended.
 */
export class BytePool {
  readonly #slabs: ArrayBuffer[] = [];
  #slab: ArrayBuffer | undefined;
  #used = 0;

  /** Memory for `length` bytes, which all have to be written: its contents are arbitrary. */
  allocate(length: number): Uint8Array {
    if (length <= INLINE_BYTES || length > LARGEST_BYTES) return new Uint8Array(length);
    let slab = this.#slab;
    if (slab === undefined || this.#used + length > SLAB_BYTES) {
      slab = kept.pop() ?? new ArrayBuffer(SLAB_BYTES);
      if (this.#slabs.length < MOST_RETURNED) this.#slabs.push(slab);
      this.#slab = slab;
      this.#used = 0;
    }
    const bytes = new Uint8Array(slab, this.#used, length);
    this.#used += length;
    return bytes;
  }

  /** Copies the bytes of `source` from `start` to `end`. */
  copy(source: Uint8Array, start: number, end: number): Uint8Array {
    if (end - start <= INLINE_BYTES) return source.slice(start, end);
    const bytes = this.allocate(end - start);
    bytes.set(start === 0 && end === source.length ? source : source.subarray(start, end));
    return bytes;
  }

  /** Gives its memory to other machines. None of its bytes may be read any more. */
  release(): void {
    for (const slab of this.#slabs) if (kept.length < MOST_KEPT) kept.push(slab);
    this.#slabs.length = 0;
    this.#slab = undefined;
  }
}

import type { Arena } from "../sys/arena.ts";

/** Where the kernel put the pieces of the completion queue, in bytes from the start of the rings. */
export interface CompletionOffsets {
  readonly head: number;
  readonly tail: number;
  readonly mask: number;
  readonly flags: number;
  readonly entries: number;
}

/** Words of 32 bits in one completion. */
const WORDS = 4;

/**
 * The queue in which the kernel tells what came to its end.
 *
 * ```text
 *   | tag.lo | tag.hi | result | flags |    16 bytes
 * ```
 *
 * @remarks
 * The kernel moves the tail, the reader moves the head. Both are read and written with `Atomics`, which
 * keeps the compiler from moving the entries' loads before the tail's; the entries are plain loads.
 */
export class CompletionQueue {
  readonly #words: Uint32Array;
  readonly #results: Int32Array;
  readonly #at: number;
  readonly #mask: number;
  readonly #headAt: number;
  readonly #tailAt: number;
  readonly #flagsAt: number;
  #head: number;

  constructor(rings: Arena, offsets: CompletionOffsets) {
    this.#words = rings.u32;
    this.#results = rings.i32;
    this.#at = offsets.entries >> 2;
    this.#mask = this.#words[offsets.mask >> 2] as number;
    this.#headAt = offsets.head >> 2;
    this.#tailAt = offsets.tail >> 2;
    this.#flagsAt = offsets.flags >> 2;
    this.#head = Atomics.load(this.#words, this.#headAt);
  }

  /** How many it has room for. */
  get capacity(): number {
    return this.#mask + 1;
  }

  /** How many there are to be read. */
  get length(): number {
    return (Atomics.load(this.#words, this.#tailAt) - this.#head) >>> 0;
  }

  /** Where the next completion is: for {@link tagLow} and its kin. To be asked only when there is one. */
  next(): number {
    return this.#at + (this.#head & this.#mask) * WORDS;
  }

  /** Where the `index`-th completion from the next one on is. */
  peek(index: number): number {
    return this.#at + ((this.#head + index) & this.#mask) * WORDS;
  }

  tagLow(at: number): number {
    return this.#words[at] as number;
  }

  tagHigh(at: number): number {
    return this.#words[at + 1] as number;
  }

  /** What the call would have returned: `>= 0`, or `-errno`. */
  result(at: number): number {
    return this.#results[at + 2] as number;
  }

  /** IORING_CQE_F_* bits. */
  flags(at: number): number {
    return this.#words[at + 3] as number;
  }

  /** Replaces the upper half of a completion's tag: whoever read it ahead of its turn marks it so. */
  retag(at: number, high: number): void {
    this.#words[at + 1] = high;
  }

  /** The next completion was read. The kernel may use its place after {@link publish}. */
  skip(): void {
    this.#head = (this.#head + 1) >>> 0;
  }

  /** Gives the places of what was read back to the kernel. */
  publish(): void {
    Atomics.store(this.#words, this.#headAt, this.#head);
  }

  /** Whether completions are signalled on the ring's eventfd. */
  setSignalling(signalling: boolean): void {
    Atomics.store(this.#words, this.#flagsAt, signalling ? 0 : 1);
  }
}

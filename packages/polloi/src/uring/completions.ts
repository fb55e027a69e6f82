import type { Arena } from "../sys/arena.ts";

/** The layout of the completion queue, in bytes from the start of the rings. */
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
 * The queue of completions from the kernel.
 *
 * ```text
 *   | tag.lo | tag.hi | result | flags |    16 bytes
 * ```
 *
 * @remarks
 * The kernel moves the tail, the reader moves the head. Both are accessed with `Atomics`, so that the compiler
 * does not move the loads of entries, which are plain, before the load of the tail.
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

  /** The number of completions that it has room for. */
  get capacity(): number {
    return this.#mask + 1;
  }

  /** The number of completions to be read. */
  get length(): number {
    return (Atomics.load(this.#words, this.#tailAt) - this.#head) >>> 0;
  }

  /** The index of the next completion, for {@link tagLow} and the like. Only valid when there is one. */
  next(): number {
    return this.#at + (this.#head & this.#mask) * WORDS;
  }

  /** The index of the `index`-th completion after the next one. */
  peek(index: number): number {
    return this.#at + ((this.#head + index) & this.#mask) * WORDS;
  }

  tagLow(at: number): number {
    return this.#words[at] as number;
  }

  tagHigh(at: number): number {
    return this.#words[at + 1] as number;
  }

  /** The result, as the call would return it: `>= 0`, or `-errno`. */
  result(at: number): number {
    return this.#results[at + 2] as number;
  }

  /** IORING_CQE_F_* bits. */
  flags(at: number): number {
    return this.#words[at + 3] as number;
  }

  /** Replaces the upper half of a tag, to mark a completion that was handled ahead of its turn. */
  retag(at: number, high: number): void {
    this.#words[at + 1] = high;
  }

  /** Removes the next completion. The kernel may reuse its entry after {@link publish}. */
  skip(): void {
    this.#head = (this.#head + 1) >>> 0;
  }

  /** Returns the entries of removed completions to the kernel. */
  publish(): void {
    Atomics.store(this.#words, this.#headAt, this.#head);
  }

  /** Enables or disables the signals of the ring's eventfd. */
  setSignalling(signalling: boolean): void {
    Atomics.store(this.#words, this.#flagsAt, signalling ? 0 : 1);
  }
}

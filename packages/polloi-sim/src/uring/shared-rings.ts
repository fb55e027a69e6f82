import {
  COMPLETION_BYTES,
  CQ,
  IORING_CQ_EVENTFD_DISABLED,
  PARAMS,
  SQ,
  SUBMISSION_BYTES,
} from "polloi/internal/pure";
import { takePages } from "../process/pages.ts";

/**
 * Where things are in the rings, in words of 32 bits, as a kernel without cache lines for them has it.
 *
 * Source: struct io_rings in include/linux/io_uring_types.h, io_uring_setup(2).
 */
const AT = {
  sqHead: 0,
  sqTail: 1,
  cqHead: 2,
  cqTail: 3,
  sqMask: 4,
  cqMask: 5,
  sqEntries: 6,
  cqEntries: 7,
  sqDropped: 8,
  sqFlags: 9,
  cqFlags: 10,
  cqOverflow: 11,
  completions: 16,
} as const;

const SUBMISSION_WORDS = SUBMISSION_BYTES >> 2;
const COMPLETION_WORDS = COMPLETION_BYTES >> 2;

/**
 * The two queues in memory that the program shares with the kernel, as the kernel uses them.
 *
 * @remarks
 * The kernel moves the head of the submission queue and the tail of the completion queue. Both are visible to the
 * program only after a commit. Source: io_uring/io_uring.c, io_get_sqe, io_commit_sqring, io_commit_cqring.
 */
export class SharedRings {
  readonly sqEntries: number;
  readonly cqEntries: number;
  /** The memory at IORING_OFF_SQ_RING and IORING_OFF_CQ_RING. */
  readonly rings: ArrayBuffer;
  /** The memory at IORING_OFF_SQES. */
  readonly entries: ArrayBuffer;
  /** The submissions, in words of 32 bits. */
  readonly submissions: Uint32Array;
  readonly #words: Uint32Array;
  readonly #results: Int32Array;
  /** The index of the first word of the indirection from positions in the queue to entries. */
  readonly #array: number;
  #sqHead = 0;
  /** The tail of the submission queue when its memory was given back. */
  #submitted = 0;
  /** The tail with completions that are not committed. */
  #cqTail = 0;

  constructor(sqEntries: number, cqEntries: number) {
    this.sqEntries = sqEntries;
    this.cqEntries = cqEntries;
    this.#array = AT.completions + cqEntries * COMPLETION_WORDS;
    this.rings = takePages((this.#array + sqEntries) * 4);
    this.entries = takePages(sqEntries * SUBMISSION_BYTES);
    this.submissions = new Uint32Array(this.entries);
    this.#words = new Uint32Array(this.rings);
    this.#results = new Int32Array(this.rings);
    this.#words[AT.sqMask] = sqEntries - 1;
    this.#words[AT.cqMask] = cqEntries - 1;
    this.#words[AT.sqEntries] = sqEntries;
    this.#words[AT.cqEntries] = cqEntries;
  }

  /** Writes the sizes and offsets into `struct io_uring_params`. */
  describe(params: DataView): void {
    const set = (word: number, value: number) => params.setUint32(word * 4, value, true);
    set(PARAMS.sqEntries, this.sqEntries);
    set(PARAMS.cqEntries, this.cqEntries);
    // Each offset is followed by the others in the order of the structs.
    const sq = [AT.sqHead, AT.sqTail, AT.sqMask, AT.sqEntries, AT.sqFlags, AT.sqDropped];
    for (const [i, at] of sq.entries()) set(PARAMS.sq + i, at * 4);
    set(PARAMS.sq + SQ.array, this.#array * 4);
    const cq = [AT.cqHead, AT.cqTail, AT.cqMask, AT.cqEntries, AT.cqOverflow];
    for (const [i, at] of cq.entries()) set(PARAMS.cq + i, at * 4);
    set(PARAMS.cq + CQ.entries, AT.completions * 4);
    set(PARAMS.cq + CQ.flags, AT.cqFlags * 4);
  }

  /**
   * Fills {@link SharedRings.rings} or {@link SharedRings.entries} with zeros. Most rings are closed before their queues
   * have turned round once, so that most of the memory is zero already.
   */
  wipe(memory: ArrayBuffer): void {
    const words = this.#words;
    this.#submitted = Math.max(this.#submitted, words[AT.sqTail] as number);
    if (memory === this.entries) {
      const used = Math.min(this.#submitted, this.sqEntries);
      this.submissions.fill(0, 0, used * SUBMISSION_WORDS);
      return;
    }
    const used = Math.min(this.#cqTail, this.cqEntries);
    words.fill(0, 0, AT.completions + used * COMPLETION_WORDS);
    words.fill(0, this.#array);
  }

  // Submissions

  /** The number of submissions that the program has published and the kernel has not taken. */
  get submitted(): number {
    const count = ((this.#words[AT.sqTail] as number) - this.#sqHead) >>> 0;
    return Math.min(count, this.sqEntries);
  }

  get isFull(): boolean {
    const { [AT.sqTail]: tail = 0, [AT.sqHead]: head = 0 } = this.#words;
    return (tail - head) >>> 0 === this.sqEntries;
  }

  /** Takes the next submission. @returns The index of its first word, or -1 when the program has named no entry. */
  take(): number {
    const position = this.#sqHead & (this.sqEntries - 1);
    this.#sqHead = (this.#sqHead + 1) >>> 0;
    const index = this.#words[this.#array + position] as number;
    if (index < this.sqEntries) return index * SUBMISSION_WORDS;
    this.#words[AT.sqDropped] = (this.#words[AT.sqDropped] as number) + 1;
    return -1;
  }

  commitSubmissions(): void {
    this.#words[AT.sqHead] = this.#sqHead;
  }

  setFlag(flag: number): void {
    this.#words[AT.sqFlags] = (this.#words[AT.sqFlags] as number) | flag;
  }

  clearFlag(flag: number): void {
    this.#words[AT.sqFlags] = (this.#words[AT.sqFlags] as number) & ~flag;
  }

  // Completions

  /** The tail of the completion queue with those that are not committed, in 32 bits. */
  get cqTail(): number {
    return this.#cqTail;
  }

  /** The head of the completion queue, which the program moves. */
  get cqHead(): number {
    return this.#words[AT.cqHead] as number;
  }

  get committedTail(): number {
    return this.#words[AT.cqTail] as number;
  }

  /** The number of completions that the program can see and has not removed. */
  get unread(): number {
    return (this.committedTail - this.cqHead) >>> 0;
  }

  /** Whether the program has asked for no signals. */
  get isQuiet(): boolean {
    return ((this.#words[AT.cqFlags] as number) & IORING_CQ_EVENTFD_DISABLED) !== 0;
  }

  /** Adds a completion. @returns false when there is no room. */
  push(tagLow: number, tagHigh: number, result: number, flags: number): boolean {
    if ((this.#cqTail - this.cqHead) >>> 0 >= this.cqEntries) return false;
    const at = AT.completions + (this.#cqTail & (this.cqEntries - 1)) * COMPLETION_WORDS;
    this.#words[at] = tagLow;
    this.#words[at + 1] = tagHigh;
    this.#results[at + 2] = result;
    this.#words[at + 3] = flags;
    this.#cqTail = (this.#cqTail + 1) >>> 0;
    return true;
  }

  commitCompletions(): void {
    this.#words[AT.cqTail] = this.#cqTail;
  }

  /** Counts a completion that is lost. */
  drop(): void {
    this.#words[AT.cqOverflow] = (this.#words[AT.cqOverflow] as number) + 1;
  }
}

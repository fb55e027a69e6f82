import { ERRNO } from "../base/errno.ts";
import type { Arena } from "../sys/arena.ts";
import {
  IORING_ACCEPT_MULTISHOT,
  IORING_NOP_INJECT_RESULT,
  IORING_OP,
  IORING_POLL_ADD_MULTI,
  IORING_RECV_MULTISHOT,
  IORING_SQ_TASKRUN,
  IOSQE_BUFFER_SELECT,
  IOSQE_CQE_SKIP_SUCCESS,
  IOSQE_IO_HARDLINK,
  IOSQE_IO_LINK,
} from "./constants.ts";

/** The layout of the submission queue, in bytes from the start of the rings. */
export interface SubmissionOffsets {
  readonly head: number;
  readonly tail: number;
  readonly mask: number;
  readonly flags: number;
  /** The indirection from positions in the queue to entries. */
  readonly array: number;
}

/** Words of 32 bits in one submission. */
const WORDS = 16;

/** The words of the tag. */
const AT_TAG = 8;
const TAG_WORDS = 2;

/** The flag of a multishot operation is in the 16 bits that once were an I/O priority. */
export const PRIORITY_SHIFT = 16;
/** The word that limits a multishot receive: `optlen`. */
export const AT_LIMIT = 11;
export const FLAGS_SHIFT = 8;

const ACCEPT: number = IORING_OP.ACCEPT | (IORING_ACCEPT_MULTISHOT << PRIORITY_SHIFT);
const RECEIVE_ONCE: number = IORING_OP.RECV | (IOSQE_BUFFER_SELECT << FLAGS_SHIFT);
const RECEIVE: number =
  IORING_OP.RECV | (IOSQE_BUFFER_SELECT << FLAGS_SHIFT) | (IORING_RECV_MULTISHOT << PRIORITY_SHIFT);
const LINKS = (IOSQE_IO_LINK | IOSQE_IO_HARDLINK) << FLAGS_SHIFT;
const QUIET = IOSQE_CQE_SKIP_SUCCESS << FLAGS_SHIFT;

/**
 * The queue of operations for the kernel.
 *
 * ```text
 *   word  0        1    2, 3     4, 5      6        7            8, 9   10             11      12 .. 15
 *         op       fd   offset   address   length   op's flags   tag    buffer group   limit   0
 *         | flags << 8 | priority << 16
 * ```
 *
 * @remarks
 * Entries are written with plain stores. Only the tail is stored with `Atomics`, once for all pushed entries, and
 * the kernel reads nothing before {@link RawRing.enter}.
 *
 * A tag is 64 bits in two halves, which the completion returns. The memory that an entry points to must not
 * change until then.
 */
export class SubmissionQueue {
  /** The number of entries that the kernel has not taken. */
  pending = 0;
  /** How many of them complete within the call in which the kernel takes them; less if that is not known. */
  immediate = 0;
  /** The number of entries that were ever pushed, in 32 bits: the number of the last one. */
  pushed = 0;
  readonly #words: Uint32Array;
  readonly #heads: Uint32Array;
  readonly #mask: number;
  readonly #tailAt: number;
  readonly #flagsAt: number;
  readonly #makeRoom: () => void;
  #tail: number;

  /** @param makeRoom - Called when the queue is full: submits, or throws. */
  constructor(rings: Arena, entries: Arena, offsets: SubmissionOffsets, makeRoom: () => void) {
    this.#heads = rings.u32;
    this.#words = entries.u32;
    this.#mask = this.#heads[offsets.mask >> 2] as number;
    this.#tailAt = offsets.tail >> 2;
    this.#flagsAt = offsets.flags >> 2;
    this.#makeRoom = makeRoom;
    this.#tail = Atomics.load(this.#heads, this.#tailAt);
    // Entries are used in order, so the indirection is written once.
    const array = offsets.array >> 2;
    for (let i = 0; i <= this.#mask; i++) this.#heads[array + i] = i;
  }

  /** The number of entries that it has room for. */
  get capacity(): number {
    return this.#mask + 1;
  }

  /** The number of entries that can be pushed before the kernel must take some. */
  get room(): number {
    return this.#mask + 1 - this.pending;
  }

  /** IORING_SQ_* bits, which the kernel sets. */
  get flags(): number {
    return Atomics.load(this.#heads, this.#flagsAt);
  }

  /**
   * Clears IORING_SQ_TASKRUN, before the kernel is entered and processes the work.
   *
   * @remarks
   * The kernel clears it too, but not for work that it processes while it waits. It would then never set it again.
   *
   * @returns Whether it was set.
   */
  clearTaskRun(): boolean {
    if ((this.flags & IORING_SQ_TASKRUN) === 0) return false;
    Atomics.and(this.#heads, this.#flagsAt, ~IORING_SQ_TASKRUN);
    return true;
  }

  /** Sets IORING_SQ_TASKRUN again, when entering the kernel failed. */
  restoreTaskRun(): void {
    Atomics.or(this.#heads, this.#flagsAt, IORING_SQ_TASKRUN);
  }

  /** Makes the pushed entries visible to the kernel. */
  publish(): void {
    Atomics.store(this.#heads, this.#tailAt, this.#tail);
  }

  /**
   * Pushes any entry, with the words of the drawing above.
   *
   * @throws SysError `EBUSY` when the queue is full and the kernel takes nothing.
   */
  push(
    operation: number,
    fd: number,
    offset: number,
    address: number,
    length: number,
    operationFlags: number,
    tagLow: number,
    tagHigh: number,
    group = 0,
  ): void {
    if (this.pending > this.#mask) this.#makeRoom();
    const words = this.#words;
    const at = (this.#tail & this.#mask) * WORDS;
    words[at] = operation;
    words[at + 1] = fd;
    words[at + 2] = offset;
    words[at + 3] = offset / 0x1_0000_0000;
    words[at + 4] = address;
    words[at + 5] = address / 0x1_0000_0000;
    words[at + 6] = length;
    words[at + 7] = operationFlags;
    words[at + 8] = tagLow;
    words[at + 9] = tagHigh;
    words[at + 10] = group;
    words[at + 11] = 0;
    this.#advance();
  }

  /**
   * Makes the last entry use the file's own position: an offset of 64 one bits, which no number represents.
   */
  usePosition(): void {
    const at = ((this.#tail - 1) & this.#mask) * WORDS;
    this.#words.fill(0xffff_ffff, at + 2, at + 4);
  }

  /** Accepts until cancelled, or until a completion lacks IORING_CQE_F_MORE. */
  acceptMultishot(fd: number, flags: number, tagLow: number, tagHigh: number): void {
    this.push(ACCEPT, fd, 0, 0, 0, flags, tagLow, tagHigh);
  }

  /** Receives once, into a buffer of `group`. */
  receive(fd: number, group: number, tagLow: number, tagHigh: number): void {
    this.push(RECEIVE_ONCE, fd, 0, 0, 0, 0, tagLow, tagHigh, group);
  }

  /**
   * Receives into the buffers of `group` until cancelled, or until a completion lacks IORING_CQE_F_MORE.
   *
   * @param limitBytes - The number of bytes after which it ends; 0 for no limit. Before Linux 6.17, any other value
   * fails with EINVAL.
   */
  receiveMultishot(
    fd: number,
    group: number,
    tagLow: number,
    tagHigh: number,
    limitBytes: number,
  ): void {
    this.push(RECEIVE, fd, 0, 0, 0, 0, tagLow, tagHigh, group);
    this.#words[((this.#tail - 1) & this.#mask) * WORDS + AT_LIMIT] = limitBytes;
  }

  /** Completes once when `fd` is ready, with POLL* bits. */
  poll(fd: number, mask: number, tagLow: number, tagHigh: number): void {
    this.push(IORING_OP.POLL_ADD, fd, 0, 0, 0, mask, tagLow, tagHigh);
  }

  /** Completes for each change of the readiness of `fd`, until a completion lacks IORING_CQE_F_MORE. */
  pollMultishot(fd: number, mask: number, tagLow: number, tagHigh: number): void {
    this.push(IORING_OP.POLL_ADD, fd, 0, 0, IORING_POLL_ADD_MULTI, mask, tagLow, tagHigh);
  }

  /** Cancels the operation with this tag. Completes, with its own tag, only if it fails: ENOENT when there is none. */
  cancel(tagLow: number, tagHigh: number, ownLow: number, ownHigh: number): void {
    // Not through `push`, whose address is one number: a tag may need more than 53 bits.
    if (this.pending > this.#mask) this.#makeRoom();
    const words = this.#words;
    const at = (this.#tail & this.#mask) * WORDS;
    words.fill(0, at, at + WORDS);
    words[at] = IORING_OP.ASYNC_CANCEL | QUIET;
    words[at + 1] = 0xffff_ffff;
    words[at + 4] = tagLow;
    words[at + 5] = tagHigh;
    words[at + 8] = ownLow;
    words[at + 9] = ownHigh;
    this.#advance();
  }

  /**
   * The kernel has taken the entries before those that are {@link pending}. If they include the beginning of a chain and
   * not its end, cancels the rest of the chain, which would not wait for the beginning.
   *
   * @remarks
   * The entries become NOPs that complete with ECANCELED, or with 0 before Linux 6.10.
   * Source: io_uring/io_uring.c, io_submit_sqes, which issues the chain as far as it has memory for it.
   */
  cancelSplitChain(): void {
    const words = this.#words;
    const first = this.#tail - this.pending;
    const atOf = (index: number): number => ((first + index) & this.#mask) * WORDS;
    for (let index = 0; index < this.pending; index++) {
      if (((words[atOf(index - 1)] as number) & LINKS) === 0) return;
      const at = atOf(index);
      // The link shows whether the next entry belongs to the chain, too.
      const link = (words[at] as number) & LINKS;
      words.fill(0, at, at + AT_TAG);
      words.fill(0, at + AT_TAG + TAG_WORDS, at + WORDS);
      words[at] = IORING_OP.NOP | link;
      words[at + 6] = -ERRNO.ECANCELED;
      words[at + 7] = IORING_NOP_INJECT_RESULT;
    }
  }

  /** Whether the kernel has taken the submission with this number. */
  isTaken(number: number): boolean {
    return ((number - (this.pushed - this.pending)) | 0) <= 0;
  }

  #advance(): void {
    this.#tail = (this.#tail + 1) >>> 0;
    this.pushed = (this.pushed + 1) >>> 0;
    this.pending++;
  }
}

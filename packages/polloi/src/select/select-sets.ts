import { ERRNO } from "../base/errno.ts";
import { type MisuseCode, rangeError } from "../base/misuse.ts";
import { F_GETFD, FD_SET_BYTES, FD_SETSIZE } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";
import { deadlineOf, timeLeft } from "./deadline.ts";

/** The 32-bit words of one `fd_set`. */
export const FD_SET_WORDS: number = FD_SET_BYTES / 4;

// The three sets follow each other. Each is identified by its first word.
export const READERS = 0;
export const WRITERS: number = FD_SET_WORDS;
export const EXCEPTIONAL: number = FD_SET_WORDS * 2;
const ALL_WORDS = FD_SET_WORDS * 3;

/** The error for a descriptor that has no bit in an `fd_set`. */
export function fdTooLarge(fd: number): RangeError & { code: MisuseCode } {
  return rangeError(
    "ERR_FD_TOO_LARGE",
    `Cannot select on fd ${fd}: select() holds fds below ${FD_SETSIZE}; use poll or epoll`,
  );
}

/**
 * The three sets of select(2). Methods return `>= 0` or `-errno` and allocate nothing.
 *
 * @remarks
 * `select()` and the select poller are built on it. The kernel overwrites the sets with the result, so they are
 * copied for each call.
 *
 * ```text
 *   words     0 .. 31    32 .. 63    64 .. 95
 *           | readers  | writers   | exceptional |     one bit for each fd below 1024
 * ```
 */
export class SelectSets {
  /** The highest descriptor in a set, plus one. */
  nfds = 0;
  /** Descriptors that {@link SelectSets.findClosed} found, which no wait includes. */
  readonly closed: Uint32Array = new Uint32Array(FD_SET_WORDS);
  /** The result of the last wait, in the layout above; valid until the next call of any kind. */
  readonly ready: Uint32Array;
  readonly #kernel: Kernel;
  readonly #asked: Uint32Array = new Uint32Array(ALL_WORDS);

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.ready = kernel.scratch.u32;
  }

  /** @param set - READERS, WRITERS or EXCEPTIONAL. */
  add(set: number, fd: number): void {
    const word = set + (fd >>> 5);
    this.#asked[word] = (this.#asked[word] as number) | (1 << (fd & 31));
    if (fd >= this.nfds) this.nfds = fd + 1;
  }

  delete(set: number, fd: number): void {
    const word = set + (fd >>> 5);
    this.#asked[word] = (this.#asked[word] as number) & ~(1 << (fd & 31));
    while (this.nfds > 0 && !this.#isAsked(this.nfds - 1)) this.nfds--;
  }

  /** Whether the last wait found `fd` ready in `set`. */
  isReady(set: number, fd: number): boolean {
    return ((this.ready[set + (fd >>> 5)] as number) & (1 << (fd & 31))) !== 0;
  }

  /** The number of bits in the result of the last wait. It differs from its return value if a descriptor is closed. */
  countReady(): number {
    let count = 0;
    for (let word = 0; word < ALL_WORDS; word++) {
      for (let bits = this.ready[word] as number; bits !== 0; bits &= bits - 1) count++;
    }
    return count;
  }

  /**
   * Waits until a descriptor in the sets is ready, and continues after signals.
   *
   * @param timeoutMs - 0 does not wait, -1 has no limit; fractions count.
   * @returns The number of bits that are set in `ready`, or `-errno`.
   */
  wait(timeoutMs: number): number {
    const deadline = deadlineOf(this.#kernel, timeoutMs);
    let count = this.#waitOnce(timeoutMs);
    while (count === -ERRNO.EINTR) count = this.#waitOnce(timeLeft(this.#kernel, deadline));
    return count;
  }

  /**
   * Finds the descriptors that made a wait fail with EBADF, and marks them in `closed`.
   *
   * @returns The lowest descriptor that was not marked before, or -1.
   */
  findClosed(): number {
    const { libc } = this.#kernel;
    let first = -1;
    for (let fd = 0; fd < this.nfds; fd++) {
      if (!this.#isAsked(fd)) continue;
      const word = fd >>> 5;
      const bit = 1 << (fd & 31);
      const marked = this.closed[word] as number;
      if ((marked & bit) !== 0 || libc.fcntl(fd, F_GETFD, 0) !== -ERRNO.EBADF) continue;
      this.closed[word] = marked | bit;
      if (first < 0) first = fd;
    }
    return first;
  }

  #isAsked(fd: number): boolean {
    const asked = this.#asked;
    const word = fd >>> 5;
    const bits =
      (asked[word] as number) |
      (asked[word + WRITERS] as number) |
      (asked[word + EXCEPTIONAL] as number);
    return (bits & (1 << (fd & 31))) !== 0;
  }

  #waitOnce(timeoutMs: number): number {
    const { libc, scratch } = this.#kernel;
    const asked = this.#asked;
    const { ready, closed } = this;
    for (let word = 0; word < FD_SET_WORDS; word++) {
      const open = ~(closed[word] as number);
      ready[word] = (asked[word] as number) & open;
      ready[word + WRITERS] = (asked[word + WRITERS] as number) & open;
      ready[word + EXCEPTIONAL] = (asked[word + EXCEPTIONAL] as number) & open;
    }
    const timespec = ALL_WORDS * 4;
    if (timeoutMs >= 0) scratch.setTimespec(timespec, timeoutMs);
    const { address } = scratch;
    return libc.pselect(
      this.nfds,
      address + READERS * 4,
      address + WRITERS * 4,
      address + EXCEPTIONAL * 4,
      timeoutMs < 0 ? 0 : address + timespec,
      0,
    );
  }
}

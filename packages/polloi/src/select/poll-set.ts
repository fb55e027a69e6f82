import { ERRNO } from "../base/errno.ts";
import { SysError } from "../base/sys-error.ts";
import { POLLFD_SIZE } from "../sys/abi.ts";
import type { Arena } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";
import { deadlineOf, timeLeft } from "./deadline.ts";

/** The initial capacity: one page of `pollfd`s. */
const FIRST_CAPACITY = 512;

/**
 * The list of poll(2), in the layout of the call. Methods return `>= 0` or `-errno` and allocate nothing.
 *
 * @remarks
 * `Poll` and the poll poller are built on it. The list has no gaps: the last entry replaces one that is removed.
 * A map has the index of each descriptor, so every change takes constant time.
 *
 * ```text
 *   index        0                       1                       2
 *   pollfds    | fd | events | revents | fd | events | revents | fd | ...     8 bytes each
 *   tags       | tag                   | tag                   | tag
 * ```
 */
export class PollSet {
  /** The number of descriptors in the list. */
  size = 0;
  readonly #kernel: Kernel;
  readonly #indexes: Map<number, number> = new Map();
  #pollfds: Arena;
  #tags: Uint32Array = new Uint32Array(FIRST_CAPACITY);

  /** @throws SysError `ENOMEM` when there is no memory for the list. */
  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#pollfds = kernel.arenas.map(FIRST_CAPACITY * POLLFD_SIZE);
  }

  has(fd: number): boolean {
    return this.#indexes.has(fd);
  }

  /**
   * Adds `fd` to the list, or changes its events.
   *
   * @param mask - POLL* bits.
   * @param tag - An unsigned 32-bit number, which {@link PollSet.tagAt} returns.
   * @returns 0, or `-ENOMEM`.
   */
  set(fd: number, mask: number, tag: number): number {
    let index = this.#indexes.get(fd);
    if (index === undefined) {
      if (this.size === this.#tags.length) {
        const grown = this.#grow();
        if (grown < 0) return grown;
      }
      index = this.size++;
      this.#indexes.set(fd, index);
    }
    this.#write(index, fd, mask, tag);
    return 0;
  }

  /** @returns Whether `fd` was in the list. */
  delete(fd: number): boolean {
    const index = this.#indexes.get(fd);
    if (index === undefined) return false;
    this.#indexes.delete(fd);
    const last = --this.size;
    if (index === last) return true;
    const moved = this.fdAt(last);
    const mask = this.#pollfds.u32[last * 2 + 1] as number;
    this.#write(index, moved, mask & 0xffff, this.tagAt(last));
    this.#indexes.set(moved, index);
    return true;
  }

  /**
   * Waits until a descriptor in the list is ready, and continues after signals.
   *
   * @param timeoutMs - 0 does not wait, -1 has no limit; fractions count.
   * @returns The number of entries whose `returnedAt` is not 0, or `-errno`.
   */
  wait(timeoutMs: number): number {
    const deadline = deadlineOf(this.#kernel, timeoutMs);
    let count = this.#waitOnce(timeoutMs);
    while (count === -ERRNO.EINTR) count = this.#waitOnce(timeLeft(this.#kernel, deadline));
    return count;
  }

  fdAt(index: number): number {
    return this.#pollfds.i32[index * 2] as number;
  }

  /** The POLL* bits that the last wait returned, or 0. */
  returnedAt(index: number): number {
    return (this.#pollfds.u32[index * 2 + 1] as number) >>> 16;
  }

  tagAt(index: number): number {
    return this.#tags[index] as number;
  }

  /** Releases the memory. The set must not be used afterwards. */
  close(): void {
    this.size = 0;
    this.#indexes.clear();
    this.#kernel.arenas.release(this.#pollfds);
  }

  #write(index: number, fd: number, mask: number, tag: number): void {
    this.#pollfds.i32[index * 2] = fd;
    // Both halves: `events`, and 0 for `revents`.
    this.#pollfds.u32[index * 2 + 1] = mask;
    this.#tags[index] = tag;
  }

  #waitOnce(timeoutMs: number): number {
    const { libc, scratch } = this.#kernel;
    if (timeoutMs < 0) return libc.ppoll(this.#pollfds.address, this.size, 0, 0);
    scratch.setTimespec(0, timeoutMs);
    return libc.ppoll(this.#pollfds.address, this.size, scratch.address, 0);
  }

  #grow(): number {
    const { arenas } = this.#kernel;
    const capacity = this.#tags.length * 2;
    try {
      const pollfds = arenas.map(capacity * POLLFD_SIZE);
      pollfds.u8.set(this.#pollfds.u8);
      arenas.release(this.#pollfds);
      this.#pollfds = pollfds;
    } catch (error) {
      if (error instanceof SysError) return error.errno;
      throw error;
    }
    const tags = new Uint32Array(capacity);
    tags.set(this.#tags);
    this.#tags = tags;
    return 0;
  }
}

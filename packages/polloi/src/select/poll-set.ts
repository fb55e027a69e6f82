import { ERRNO } from "../base/errno.ts";
import { SysError } from "../base/sys-error.ts";
import { POLLFD_SIZE } from "../sys/abi.ts";
import type { Arena } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";
import { deadlineOf, timeLeft } from "./deadline.ts";

/** A page of `pollfd`s, to begin with. */
const FIRST_CAPACITY = 512;

/**
 * The list that poll(2) takes, kept as it takes it: `>= 0` or `-errno`, no objects.
 *
 * @remarks
 * What `Poll` and the poll engine share. The list has no holes: what is removed is replaced by the
 * last, and a table knows where each descriptor stands, so every change costs the same however many
 * there are.
 *
 * ```text
 *   index        0                    1                    2
 *   pollfds    | fd | asked | given | fd | asked | given | fd | ...     8 bytes each
 *   tags       | tag                | tag                | tag
 * ```
 */
export class PollSet {
  /** How many descriptors are in the list. */
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
   * Puts `fd` into the list, or changes what is asked of it there.
   *
   * @param mask - POLL* bits.
   * @param tag - An unsigned 32-bit number, which {@link PollSet.tagAt} gives back.
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

  /** @returns Whether `fd` was there. */
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
   * Waits until something in the list is ready, through signals.
   *
   * @param timeoutMs - 0 does not wait, -1 waits for ever; fractions count.
   * @returns How many entries have a `givenAt` that is not 0, or `-errno`.
   */
  wait(timeoutMs: number): number {
    const deadline = deadlineOf(timeoutMs);
    let count = this.#waitOnce(timeoutMs);
    while (count === -ERRNO.EINTR) count = this.#waitOnce(timeLeft(deadline));
    return count;
  }

  fdAt(index: number): number {
    return this.#pollfds.i32[index * 2] as number;
  }

  /** The POLL* bits that the last wait found, or 0. */
  givenAt(index: number): number {
    return (this.#pollfds.u32[index * 2 + 1] as number) >>> 16;
  }

  tagAt(index: number): number {
    return this.#tags[index] as number;
  }

  /** Gives the memory back. The set is not to be used after it. */
  close(): void {
    this.size = 0;
    this.#indexes.clear();
    this.#kernel.arenas.release(this.#pollfds);
  }

  #write(index: number, fd: number, mask: number, tag: number): void {
    this.#pollfds.i32[index * 2] = fd;
    // Both halves: `asked`, and a `given` of 0.
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

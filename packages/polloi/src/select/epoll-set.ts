import { ERRNO } from "../base/errno.ts";
import { check, SysError } from "../base/sys-error.ts";
import { EPOLL_EVENT, SYS } from "../sys/abi.ts";
import type { Arena } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";
import { EPOLL_CLOEXEC } from "./constants.ts";
import { deadlineOf, timeLeft } from "./deadline.ts";

/** The most events that one wait returns. The rest stay in the kernel. */
const MAX_EVENTS = 65_536;
/**
 * A longer wait with a fraction of a millisecond is two waits, because epoll_wait takes fewer arguments than
 * epoll_pwait2, and most waits end with an event in the first of the two.
 */
const WHOLE_MS = 10;
/** A longer wait could exceed the range of epoll_wait. */
const LONGEST_WHOLE_MS = 0x3fff_ffff;
/** The initial number of events that there is memory for. */
const FIRST_EVENTS = 1024;

const STRIDE: number = EPOLL_EVENT.stride;
const DATA: number = EPOLL_EVENT.data;

/**
 * The calls of one epoll set, which return `>= 0` or `-errno` and allocate nothing.
 *
 * @remarks
 * `Epoll` and the epoll poller are built on it. Each stores a 32-bit tag in the data of an event.
 */
export class EpollSet {
  /** The descriptor of the set, -1 once it is closed. */
  fd: number;
  readonly #kernel: Kernel;
  #events: Arena;
  /** Whether epoll_pwait2 works on this system, as far as it was tried. */
  #countsFractions = true;
  #capacity = FIRST_EVENTS;

  /**
   * Takes over the descriptor of an epoll set.
   *
   * @throws SysError `ENOMEM` when there is no memory for the events.
   */
  constructor(kernel: Kernel, fd: number) {
    this.#kernel = kernel;
    this.fd = fd;
    this.#events = kernel.arenas.map(FIRST_EVENTS * STRIDE * 4);
  }

  /**
   * Makes a new set.
   *
   * @throws SysError `EMFILE`, `ENFILE` or `ENOMEM` when there is no descriptor or memory for it.
   */
  static create(kernel: Kernel): EpollSet {
    const fd = check(kernel.libc.epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    try {
      return new EpollSet(kernel, fd);
    } catch (error) {
      kernel.libc.close(fd);
      throw error;
    }
  }

  /**
   * epoll_ctl(2).
   *
   * @param operation - EPOLL_CTL_ADD, EPOLL_CTL_MOD or EPOLL_CTL_DEL.
   * @param mask - EPOLL* bits.
   * @param tag - An unsigned 32-bit number, which {@link EpollSet.tagAt} returns.
   */
  control(operation: number, fd: number, mask: number, tag: number): number {
    const { libc, scratch } = this.#kernel;
    scratch.u32[0] = mask;
    scratch.u32[DATA] = tag;
    scratch.u32[DATA + 1] = 0;
    return libc.epoll_ctl(this.fd, operation, fd, scratch.address);
  }

  /**
   * Waits for events, and continues after signals.
   *
   * @param timeoutMs - 0 does not wait, -1 has no limit; fractions count.
   * @param now - The time, if the caller has just read it.
   * @returns The number of events to read with `maskAt` and `tagAt`, or `-errno`.
   */
  wait(maxEvents: number, timeoutMs: number, now?: number): number {
    let max = maxEvents;
    if (max > this.#capacity) max = this.#grow(maxEvents);
    if (max < 0) return max;
    const deadline = deadlineOf(this.#kernel, timeoutMs, now);
    let count: number;
    if (timeoutMs > WHOLE_MS && timeoutMs < LONGEST_WHOLE_MS) {
      count = this.#waitOnce(max, Math.floor(timeoutMs));
      if (count === 0) count = this.#waitOnce(max, timeLeft(this.#kernel, deadline));
    } else {
      count = this.#waitOnce(max, timeoutMs);
    }
    while (count === -ERRNO.EINTR) count = this.#waitOnce(max, timeLeft(this.#kernel, deadline));
    return count;
  }

  /** The EPOLL* bits of the `index`-th event of the last wait. */
  maskAt(index: number): number {
    return this.#events.u32[index * STRIDE] as number;
  }

  /** The tag of the `index`-th event of the last wait. */
  tagAt(index: number): number {
    return this.#events.u32[index * STRIDE + DATA] as number;
  }

  /** Closes the descriptor and releases the memory. Safe to call twice. */
  close(): void {
    const fd = this.fd;
    if (fd < 0) return;
    this.fd = -1;
    this.#kernel.libc.close(fd);
    this.#kernel.arenas.release(this.#events);
  }

  #waitOnce(maxEvents: number, timeoutMs: number): number {
    const { libc, scratch } = this.#kernel;
    const { address } = this.#events;
    if (Number.isInteger(timeoutMs)) {
      return libc.epoll_wait(this.fd, address, maxEvents, timeoutMs);
    }
    if (this.#countsFractions) {
      scratch.setTimespec(0, timeoutMs);
      const timespec = scratch.address;
      const count = libc.syscall(SYS.epoll_pwait2, this.fd, address, maxEvents, timespec, 0, 0);
      // It was added in Linux 5.11, and older seccomp profiles of containers forbid unknown calls.
      if (count !== -ERRNO.ENOSYS && count !== -ERRNO.EPERM) return count;
      this.#countsFractions = false;
    }
    // Rounded up to whole milliseconds, so that no wait ends early.
    return libc.epoll_wait(this.fd, address, maxEvents, Math.ceil(timeoutMs));
  }

  /** @returns The number of events that there is memory for now, at most `maxEvents`, or `-errno`. */
  #grow(maxEvents: number): number {
    const { arenas } = this.#kernel;
    const wanted = Math.min(maxEvents, MAX_EVENTS);
    if (wanted <= this.#capacity) return wanted;
    const capacity = 2 ** Math.ceil(Math.log2(wanted));
    try {
      const events = arenas.map(capacity * STRIDE * 4);
      arenas.release(this.#events);
      this.#events = events;
    } catch (error) {
      if (error instanceof SysError) return error.errno;
      throw error;
    }
    this.#capacity = capacity;
    return wanted;
  }
}

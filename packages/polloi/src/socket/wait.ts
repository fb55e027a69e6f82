import { ERRNO } from "../base/errno.ts";
import { SysError } from "../base/sys-error.ts";
import type { Kernel } from "../sys/kernel.ts";
import { AT_POLLFD, AT_TIMEOUT } from "./scratch.ts";

// poll(2). A socket that waits for itself needs no more of it than this.
export const POLLIN = 0x1;
export const POLLOUT = 0x4;
export const POLLERR = 0x8;
export const POLLHUP = 0x10;
export const POLLRDHUP = 0x2000;

/** A moment by which something must have happened, so that several waits share one timeout. */
export class Deadline {
  readonly #end: number;

  /** @param timeoutMs - As `timeoutOf` gives it: negative is for ever. */
  constructor(timeoutMs: number) {
    this.#end = timeoutMs < 0 ? Number.POSITIVE_INFINITY : performance.now() + timeoutMs;
  }

  /** What is left: milliseconds, 0 when it has passed, Infinity when there is no end. */
  leftMs(): number {
    return Math.max(0, this.#end - performance.now());
  }
}

/**
 * Blocks the thread until `fd` is ready. A signal does not end the wait.
 *
 * @param fd - A descriptor; -1 is never ready, which makes a sleep of it.
 * @param events - POLLIN or POLLOUT. Errors and hang-ups end the wait too: the next call reports them.
 * @returns Whether it became ready before the deadline.
 * @source ppoll(2)
 */
export function waitFor(kernel: Kernel, fd: number, events: number, deadline: Deadline): boolean {
  const { libc, scratch } = kernel;
  for (;;) {
    const leftMs = deadline.leftMs();
    scratch.i32[AT_POLLFD >> 2] = fd;
    scratch.u32[(AT_POLLFD + 4) >> 2] = events;
    let timeout = 0;
    if (leftMs !== Number.POSITIVE_INFINITY) {
      scratch.setTimespec(AT_TIMEOUT, leftMs);
      timeout = scratch.address + AT_TIMEOUT;
    }
    const ready = libc.ppoll(scratch.address + AT_POLLFD, 1, timeout, 0);
    if (ready >= 0) return ready > 0;
    if (ready !== -ERRNO.EINTR) throw new SysError("ppoll", ready, { fd });
  }
}

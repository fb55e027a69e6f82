import { ERRNO } from "../base/errno.ts";
import { SysError } from "../base/sys-error.ts";
import type { Clock, Kernel } from "../sys/kernel.ts";
import { AT_POLLFD, AT_TIMEOUT } from "./scratch.ts";

// The constants of poll(2) that a socket needs.
export const POLLIN = 0x1;
export const POLLOUT = 0x4;
export const POLLERR = 0x8;
export const POLLHUP = 0x10;
export const POLLRDHUP = 0x2000;

/** A deadline, so that several waits share one timeout. */
export class Deadline {
  readonly #clock: Clock;
  readonly #end: number;

  /** @param timeoutMs - The result of `timeoutOf`. A negative timeout is infinite. */
  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock;
    this.#end = timeoutMs < 0 ? Number.POSITIVE_INFINITY : clock.now() + timeoutMs;
  }

  /** The milliseconds left; 0 after the deadline, Infinity if there is none. */
  leftMs(): number {
    return Math.max(0, this.#end - this.#clock.now());
  }
}

/**
 * Blocks the thread until `fd` is ready. A signal does not end the wait.
 *
 * @param fd - A descriptor; -1 is never ready, so the call sleeps.
 * @param events - POLLIN or POLLOUT. Errors and hang-ups end the wait too; the next call reports them.
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

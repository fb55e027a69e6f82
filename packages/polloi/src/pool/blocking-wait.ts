import { ERRNO } from "../base/errno.ts";
import { SysError } from "../base/sys-error.ts";
import { POLLIN } from "../select/constants.ts";
import { AT_BYTES } from "../socket/scratch.ts";
import { POLLFD_SIZE } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";
import type { Orders } from "./orders.ts";

/** How often a thread that is to stop looks whether it is to stop sooner. */
const LOOK_MS = 50;

const AT_ORDERS = AT_BYTES + POLLFD_SIZE;
const AT_TIME = AT_ORDERS + POLLFD_SIZE;

/** How a wait ended. */
export type Waited = "ready" | "stop" | "late";

/**
 * Blocks the thread until `fd` is ready or the thread is asked to stop.
 *
 * @remarks
 * A call that blocks on one descriptor cannot be told anything else. So before each there is this, which
 * blocks on two: one more system call for each message, and the price of a server that can be stopped.
 *
 * @param timeoutMs - How long, in milliseconds; Infinity is for ever.
 * @param heed - Whether being asked to stop ends the wait at once, or only when the time for that is up.
 * @source ppoll(2)
 */
export function waitBlocking(
  kernel: Kernel,
  fd: number,
  events: number,
  orders: Orders,
  { timeoutMs, heed }: { timeoutMs: number; heed: boolean },
): Waited {
  const { libc, scratch } = kernel;
  const end = timeoutMs === Number.POSITIVE_INFINITY ? timeoutMs : performance.now() + timeoutMs;
  for (;;) {
    const left = orders.leftMs();
    if (left !== null && (heed || left === 0)) return "stop";
    let ms = end === Number.POSITIVE_INFINITY ? end : end - performance.now();
    if (ms < 0) return "late";
    if (left !== null) ms = Math.min(ms, left, LOOK_MS);
    setPollfd(kernel, AT_BYTES, fd, events);
    setPollfd(kernel, AT_ORDERS, orders.fd, POLLIN);
    if (ms !== Number.POSITIVE_INFINITY) scratch.setTimespec(AT_TIME, ms);
    const time = ms === Number.POSITIVE_INFINITY ? 0 : scratch.address + AT_TIME;
    orders.waiting(true);
    const ready = libc.ppoll(scratch.address + AT_BYTES, 2, time, 0);
    orders.waiting(false);
    if (ready < 0 && ready !== -ERRNO.EINTR) throw new SysError("ppoll", ready, { fd });
    if (ready <= 0) continue;
    const isReady = seen(kernel, AT_BYTES);
    if (seen(kernel, AT_ORDERS)) orders.hear();
    if (isReady) return "ready";
  }
}

function setPollfd({ scratch }: Kernel, at: number, fd: number, events: number): void {
  scratch.i32[at >> 2] = fd;
  scratch.u32[(at + 4) >> 2] = events;
}

/** Whether ppoll(2) has anything to say of the descriptor at `at`. */
function seen({ scratch }: Kernel, at: number): boolean {
  return (scratch.u32[(at + 4) >> 2] as number) >>> 16 !== 0;
}

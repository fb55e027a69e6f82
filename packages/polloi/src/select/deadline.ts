import type { Clock } from "../sys/kernel.ts";

/**
 * Continues a wait that a signal has ended, with the remaining time.
 *
 * select, poll and epoll_wait fail with EINTR even with SA_RESTART: signal(7). A wait with a timeout of 0 or
 * without one reads no clock.
 */

/**
 * The deadline of a wait of `timeoutMs` that starts now.
 *
 * @param timeoutMs - Milliseconds; 0 and -1 are their own deadline.
 * @param now - The time, if the caller has just read it.
 */
export function deadlineOf(clock: Clock, timeoutMs: number, now?: number): number {
  return timeoutMs > 0 ? (now ?? clock.now()) + timeoutMs : timeoutMs;
}

/** The time until `deadline`: 0 once it has passed, for one last check without waiting. */
export function timeLeft({ now }: Clock, deadline: number): number {
  return deadline > 0 ? Math.max(0, deadline - now()) : deadline;
}

/**
 * How a wait goes on after a signal ended it early: with what is left of its time.
 *
 * The kernel gives EINTR to select, poll and epoll_wait whatever SA_RESTART says: signal(7). A wait
 * that does not wait, or waits for ever, reads no clock.
 */

/**
 * When a wait of `timeoutMs` that starts now is over.
 *
 * @param timeoutMs - Milliseconds; 0 and -1 are their own deadline.
 */
export function deadlineOf(timeoutMs: number): number {
  return timeoutMs > 0 ? performance.now() + timeoutMs : timeoutMs;
}

/** The timeout that is left until `deadline`: 0 once it has passed, for one last look. */
export function timeLeft(deadline: number): number {
  return deadline > 0 ? Math.max(0, deadline - performance.now()) : deadline;
}

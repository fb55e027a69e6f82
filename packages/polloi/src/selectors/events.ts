import {
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLNVAL,
  POLLOUT,
  POLLPRI,
  POLLRDHUP,
} from "../select/constants.ts";

/**
 * The events that programs watch for and receive. EVENT_READ and EVENT_WRITE have the values of Python's
 * `selectors`.
 *
 * Below the public classes, pollers and engines use the kernel's POLL* bits: {@link maskOf} and
 * {@link eventsOf} translate where an event crosses the public API, and nowhere else.
 */

/** Bytes or a connection can be read, or the end of the stream. */
export const EVENT_READ = 0x01;
/** Bytes can be written, or a connect has finished. */
export const EVENT_WRITE = 0x02;
/** Urgent data, or another condition that poll(2) calls priority. */
export const EVENT_PRIORITY = 0x04;
/** The peer has closed its sending half. select(2) cannot report it. */
export const EVENT_PEER_CLOSED = 0x08;

/** The descriptor has an error, to be read with SO_ERROR. Reported whether asked for or not. */
export const EVENT_ERROR = 0x10;
/** Both halves are closed, or the other end of a pipe is. Reported whether asked for or not. */
export const EVENT_HANGUP = 0x20;

/** All events that can be asked for. */
export const EVENT_ALL: number = EVENT_READ | EVENT_WRITE | EVENT_PRIORITY | EVENT_PEER_CLOSED;

// The shifts follow from the values: POLLOUT is 4 and EVENT_WRITE 2, POLLPRI 2 and EVENT_PRIORITY 4, and so on.

/** The POLL* bits to ask for. */
export function maskOf(events: number): number {
  return (
    (events & EVENT_READ) |
    ((events & EVENT_WRITE) << 1) |
    ((events & EVENT_PRIORITY) >> 1) |
    ((events & EVENT_PEER_CLOSED) << 10)
  );
}

/** The EVENT_* bits for POLL* bits that were reported. POLLNVAL, for a closed descriptor, is an error. */
export function eventsOf(mask: number): number {
  return (
    (mask & POLLIN) |
    ((mask & POLLOUT) >> 1) |
    ((mask & POLLPRI) << 1) |
    ((mask & POLLRDHUP) >> 10) |
    ((mask & (POLLERR | POLLHUP)) << 1) |
    ((mask & POLLNVAL) >> 1)
  );
}

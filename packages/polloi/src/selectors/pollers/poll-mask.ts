/** EVENT_* in the bits of poll(2), which epoll took over with their values. */
import {
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLNVAL,
  POLLOUT,
  POLLPRI,
  POLLRDHUP,
} from "../../select/constants.ts";
import {
  EVENT_ERROR,
  EVENT_HANGUP,
  EVENT_PEER_CLOSED,
  EVENT_PRIORITY,
  EVENT_READ,
  EVENT_WRITE,
} from "../events.ts";

/** EVENT_* bits as the mask to ask for. */
export function maskOf(interest: number): number {
  return (
    ((interest & EVENT_READ) !== 0 ? POLLIN : 0) |
    ((interest & EVENT_WRITE) !== 0 ? POLLOUT : 0) |
    ((interest & EVENT_PRIORITY) !== 0 ? POLLPRI : 0) |
    ((interest & EVENT_PEER_CLOSED) !== 0 ? POLLRDHUP : 0)
  );
}

/** The mask that was given as EVENT_* bits. */
export function eventsOf(mask: number): number {
  return (
    ((mask & POLLIN) !== 0 ? EVENT_READ : 0) |
    ((mask & POLLOUT) !== 0 ? EVENT_WRITE : 0) |
    ((mask & POLLPRI) !== 0 ? EVENT_PRIORITY : 0) |
    ((mask & POLLRDHUP) !== 0 ? EVENT_PEER_CLOSED : 0) |
    ((mask & (POLLERR | POLLNVAL)) !== 0 ? EVENT_ERROR : 0) |
    ((mask & POLLHUP) !== 0 ? EVENT_HANGUP : 0)
  );
}

import { POLLIN, POLLOUT, POLLPRI, POLLRDHUP } from "../select/constants.ts";

/** The pollers by name. */
export type PollerName = "select" | "poll" | "epoll";

/** The capabilities of a poller. */
export interface PollerCapabilities {
  /** Whether it can be edge-triggered. */
  readonly edge: boolean;
  /** Whether it can report a descriptor once and then disable it. */
  readonly oneShot: boolean;
  /** Whether it can wake one of several waiters. */
  readonly exclusive: boolean;
  /** Whether it reports EVENT_PEER_CLOSED. */
  readonly peerClosed: boolean;
  /**
   * Whether it distinguishes EVENT_ERROR and EVENT_HANGUP from readiness, and reports them for a descriptor
   * that is watched for no event. Otherwise they appear as EVENT_READ and EVENT_WRITE if those are asked for.
   */
  readonly hangup: boolean;
  /** Whether a regular file can be watched (as always ready) rather than refused with EPERM. */
  readonly regularFiles: boolean;
  /** The largest descriptor that can be watched. */
  readonly maxFd: number;
}

/** The bits that every poller can be asked for. */
export const INTEREST_BITS: number = POLLIN | POLLPRI | POLLOUT | POLLRDHUP;

/**
 * Waits for readiness of many descriptors, over one of the kernel's calls.
 *
 * @remarks
 * The selectors and the readiness engine are built on it. Both have their own records of what is watched,
 * so a poller keeps only what its call needs.
 *
 * Masks are the kernel's: POLL* bits, which epoll shares. Calls return `>= 0` or `-errno` as epoll_ctl(2)
 * would: `EEXIST` when added twice, `ENOENT` when not watched, `EBADF`, `EPERM`.
 *
 * To add a poller, implement this in a file of its own, with its methods in this order, and pass it to the
 * conformance suites of pollers and selectors.
 */
export interface Poller {
  readonly name: PollerName;
  readonly capabilities: PollerCapabilities;
  /** A descriptor that is itself readable when something in the set is ready; -1 where there is none. */
  fileno(): number;
  /**
   * Watches `fd`.
   *
   * @param interest - {@link INTEREST_BITS}, and those of EPOLLET, EPOLLONESHOT and EPOLLEXCLUSIVE that
   * `capabilities` allows.
   * @param tag - An unsigned 32-bit number that `wait` reports with the descriptor.
   */
  add(fd: number, interest: number, tag: number): number;
  /** Changes the interest in `fd`. When it fails, the interest is unchanged. */
  modify(fd: number, interest: number, tag: number): number;
  /** Stops watching `fd`; to be called before the descriptor is closed. */
  remove(fd: number): number;
  /**
   * Waits until a descriptor is ready, and fills `ready`. Each descriptor appears once.
   *
   * @param timeoutMs - 0 does not wait, -1 has no limit; fractions count. After a signal, the wait continues
   * with the remaining time.
   * @param now - The time, if the caller has just read it.
   * @returns How many are ready, at most `ready.capacity`, or `-errno`.
   */
  wait(ready: ReadyBatch, timeoutMs: number, now?: number): number;
  /** Releases memory and descriptors of the poller. Safe to call twice. */
  close(): void;
}

/** The ready list that `wait` fills: two parallel arrays, reused by the next wait. */
export class ReadyBatch {
  readonly capacity: number;
  /** How many entries the last wait filled. */
  count = 0;
  /** The tag of each ready descriptor. */
  readonly tags: Uint32Array;
  /** Its POLL* bits. POLLNVAL says that it is closed. */
  readonly masks: Uint32Array;

  constructor(capacity = 1024) {
    this.capacity = capacity;
    this.tags = new Uint32Array(capacity);
    this.masks = new Uint32Array(capacity);
  }
}

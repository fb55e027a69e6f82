/** The pollers by name. */
export type PollerName = "select" | "poll" | "epoll";

/** What an engine can and cannot do, as data. */
export interface PollerCapabilities {
  readonly edge: boolean;
  readonly oneShot: boolean;
  readonly exclusive: boolean;
  /** Whether EVENT_PEER_CLOSED is ever reported. */
  readonly peerClosed: boolean;
  /**
   * Whether EVENT_ERROR and EVENT_HANGUP are told apart from readiness, and told even of a descriptor
   * of which nothing is asked. Where not, they show as EVENT_READ and EVENT_WRITE if those are asked.
   */
  readonly hangup: boolean;
  /** Whether a regular file can be watched (as always ready) rather than refused with EPERM. */
  readonly regularFiles: boolean;
  /** The largest descriptor that can be watched. */
  readonly maxFd: number;
}

/**
 * What an engine of readiness must provide: its calls, and nothing else.
 *
 * @remarks
 * Below the selectors and the reactor alike; both bring their own book-keeping, so a poller keeps only
 * what its call needs. Calls return `>= 0` or `-errno` as the kernel's would, whatever the engine:
 * `EEXIST` when added twice, `ENOENT` when not there, `EBADF`, `EPERM`.
 *
 * To add an engine: implement this in a file of its own, with its methods in this order, and hand it
 * to the poller and selector conformance suites.
 */
export interface Poller {
  readonly name: PollerName;
  readonly capabilities: PollerCapabilities;
  /** A descriptor that is itself readable when something in the set is ready; -1 where there is none. */
  fileno(): number;
  /**
   * Watches `fd`.
   *
   * @param interest - EVENT_* bits to ask for, and MODE_* bits that `capabilities` allows.
   * @param tag - An unsigned 32-bit number of the caller's own: what `wait` reports.
   */
  add(fd: number, interest: number, tag: number): number;
  /** Changes what is asked of `fd`. When it fails, what was asked before still is. */
  modify(fd: number, interest: number, tag: number): number;
  /** Stops watching `fd`; to be called before the descriptor is closed. */
  remove(fd: number): number;
  /**
   * Waits until something is ready and fills `ready` with it, each descriptor once.
   *
   * @param timeoutMs - 0 does not wait, -1 waits for ever; fractions count. A signal does not end the
   * wait: it goes on with what is left of the time.
   * @returns How many are ready, at most `ready.capacity`, or `-errno`.
   */
  wait(ready: ReadyBatch, timeoutMs: number): number;
  /** Gives back what the engine holds. Safe to call twice. */
  close(): void;
}

/** The ready list that `wait` fills: two parallel arrays, reused from one wait to the next. */
export class ReadyBatch {
  readonly capacity: number;
  /** How many entries the last wait filled. */
  count = 0;
  /** The tag of each ready descriptor. */
  readonly tags: Uint32Array;
  /** Its EVENT_* bits. */
  readonly events: Uint32Array;

  constructor(capacity = 1024) {
    this.capacity = capacity;
    this.tags = new Uint32Array(capacity);
    this.events = new Uint32Array(capacity);
  }
}

/** What a trace tells, one event at a time. The shapes are those of its lines of JSON: docs/trace.md. */

/** What every event has. */
interface Moment {
  /** The turn it belongs to: 0 before the first one. */
  readonly turn: number;
  /** Milliseconds since the trace began. */
  readonly ms: number;
}

/** Whose descriptor an event is about, as far as the trace has seen it come. */
export interface Subject {
  readonly fd?: number;
  /** The number of the connection, in the order in which they were accepted, from 1. */
  readonly connection?: number;
  /** The address of its peer; none on a unix socket. */
  readonly peer?: string;
  /** What it is when it is no connection: `listener`, `epoll`, `ring`, `eventfd`, `stdin`. */
  readonly name?: string;
}

/** What came of a call or an operation. */
interface Outcome {
  /** What it returned; `-errno` when it failed. */
  readonly result: number;
  /** The name of the error, when it failed: `EAGAIN` is would-block. */
  readonly errno?: string;
}

/** What moved, where bytes did. */
interface Contents {
  /** Its first bytes, 32 at most, each as the character with that number. */
  readonly data?: string;
}

/** Arguments as a line shows them, in their order; those of no interest to a reader are left out. */
export type Shown = readonly (string | number)[];

/**
 * A turn begins: before the first event of a turn that has any to show. Or something is called outside of
 * a turn, and the events that follow have the number of the last one.
 */
export interface TurnEvent extends Moment {
  readonly event: "turn";
  /** How long nothing was called before it: the thread was elsewhere, or asleep in the runtime's loop. */
  readonly idleMs: number;
  /** The runtime whose loop found the engine's descriptor readable. None when the turn came by itself. */
  readonly wokenBy?: string;
  /** Set when what follows is called outside of a turn: by a timer of the runtime's, a promise, a signal. */
  readonly outside?: true;
  /** How many turns before it had nothing to show. */
  readonly unshown: number;
}

/** A call that is not the wait of a turn. */
export interface CallEvent extends Moment, Subject, Outcome, Contents {
  readonly event: "call";
  readonly call: string;
  readonly args: Shown;
  /** How long it took, in microseconds. */
  readonly us: number;
  /** Where a socket listens from now on. */
  readonly address?: string;
  /** A connection came to its end with it: how many bytes came and went in all. */
  readonly received?: number;
  readonly sent?: number;
}

/** The call that waits. */
export interface WaitEvent extends Moment, Subject, Outcome {
  readonly event: "wait";
  readonly call: string;
  readonly args: Shown;
  readonly us: number;
  /** How long it would have waited: 0 not at all, null for ever. */
  readonly timeoutMs: number | null;
}

/** A descriptor that the wait found ready. */
export interface ReadyEvent extends Moment, Subject {
  readonly event: "ready";
  /** The kernel's names without their prefix: `IN`, `OUT`, `RDHUP`, and their kin. */
  readonly events: readonly string[];
}

/** A submission that goes to the kernel with the next io_uring_enter. */
export interface SubmitEvent extends Moment, Subject, Contents {
  readonly event: "submit";
  /** The operation: `ACCEPT`, `RECV`, `SEND`. */
  readonly call: string;
  readonly args: Shown;
  readonly flags: readonly string[];
  /** The group of buffers that it receives into. */
  readonly group?: number;
}

/** A completion that io_uring_enter brought. */
export interface CompleteEvent extends Moment, Subject, Outcome, Contents {
  readonly event: "complete";
  readonly call: string;
  readonly flags: readonly string[];
  /** The number of the buffer that has what was received. */
  readonly buffer?: number;
  /** Since it was submitted, in microseconds; none for what completes again and again. */
  readonly us?: number;
}

/** The trace is over, and why. */
export interface EndEvent extends Moment {
  readonly event: "end";
  readonly reason: string;
}

export type TraceEvent =
  | TurnEvent
  | CallEvent
  | WaitEvent
  | ReadyEvent
  | SubmitEvent
  | CompleteEvent
  | EndEvent;

/** An event before it is put into its turn. */
export type Untimed<Event extends TraceEvent = TraceEvent> = Event extends TraceEvent
  ? Omit<Event, "turn" | "ms">
  : never;

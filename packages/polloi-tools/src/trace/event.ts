/** The events of a trace. They are also its lines of JSON, which docs/trace.md describes. */

/** The fields of every event. */
interface Moment {
  /** The number of the turn, 0 before the first one. */
  readonly turn: number;
  /** Milliseconds since the trace began. */
  readonly ms: number;
}

/** The descriptor that an event is about, as far as the trace has seen it being opened. */
export interface Subject {
  readonly fd?: number;
  /** The number of the connection, from 1, in the order of accept. */
  readonly connection?: number;
  /** The address of its peer. Absent on a unix socket. */
  readonly peer?: string;
  /** The kind of descriptor, if not a connection: `listener`, `epoll`, `ring`, `eventfd`, `stdin`. */
  readonly name?: string;
}

/** The result of a call or an operation. */
interface Outcome {
  /** The result, `-errno` if it failed. */
  readonly result: number;
  /** The name of the error, if it failed. `EAGAIN` means that it would block. */
  readonly errno?: string;
}

/** The bytes that were transferred. */
interface Contents {
  /** At most the first 32 bytes, each as the character with its number. */
  readonly data?: string;
}

/** Formatted arguments, in order. Some are omitted, such as addresses of buffers. */
export type Shown = readonly (string | number)[];

/**
 * The beginning of a turn. It precedes the first event of a turn that has any events to show.
 *
 * With `outside`, no turn begins. Calls outside of a turn follow, with the number of the last turn.
 */
export interface TurnEvent extends Moment {
  readonly event: "turn";
  /** The time without a call before it. The thread ran other code or slept in the runtime's loop. */
  readonly idleMs: number;
  /** The runtime whose loop found the engine's descriptor readable. Absent if the program began the turn. */
  readonly wokenBy?: string;
  /** Set when the calls that follow are made outside of a turn, by a timer of the runtime, a promise or a signal. */
  readonly outside?: true;
  /** The number of turns before it that had no events to show. */
  readonly unshown: number;
}

/** A call, except the wait of a turn. */
export interface CallEvent extends Moment, Subject, Outcome, Contents {
  readonly event: "call";
  readonly call: string;
  readonly args: Shown;
  /** The duration in microseconds. */
  readonly us: number;
  /** The address on which a socket now listens. */
  readonly address?: string;
  /** The total bytes of a connection that was closed. */
  readonly received?: number;
  readonly sent?: number;
}

/** A call that waits. */
export interface WaitEvent extends Moment, Subject, Outcome {
  readonly event: "wait";
  readonly call: string;
  readonly args: Shown;
  readonly us: number;
  /** The timeout, null for none. */
  readonly timeoutMs: number | null;
}

/** A descriptor that a wait reported as ready. */
export interface ReadyEvent extends Moment, Subject {
  readonly event: "ready";
  /** The kernel's names without their prefix, such as `IN`, `OUT` or `RDHUP`. */
  readonly events: readonly string[];
}

/** A submission that the next io_uring_enter passes to the kernel. */
export interface SubmitEvent extends Moment, Subject, Contents {
  readonly event: "submit";
  /** The operation, such as `ACCEPT`, `RECV` or `SEND`. */
  readonly call: string;
  readonly args: Shown;
  readonly flags: readonly string[];
  /** The group of provided buffers that it receives into. */
  readonly group?: number;
}

/** A completion that appeared during io_uring_enter. */
export interface CompleteEvent extends Moment, Subject, Outcome, Contents {
  readonly event: "complete";
  readonly call: string;
  readonly flags: readonly string[];
  /** The number of the buffer with the received bytes. */
  readonly buffer?: number;
  /** The time since its submission, in microseconds. Absent for multishot operations. */
  readonly us?: number;
}

/** The end of the trace. */
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

/** An event without its turn and time. */
export type Untimed<Event extends TraceEvent = TraceEvent> = Event extends TraceEvent
  ? Omit<Event, "turn" | "ms">
  : never;

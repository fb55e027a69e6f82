import type { ChildMessage } from "./messages.ts";

/** A process or a thread, as the main process sees it. */
export interface ChildUnit {
  readonly kind: "process" | "thread";
  /** The process's id, or the thread's. */
  readonly id: number;
  /** Whether it has said that it is ready. */
  readonly ready: boolean;
  /** Asks it to stop, and ends it when it has not within `graceMs` and a moment more. */
  stop(graceMs: number): void;
}

/** Who hears of a {@link ChildUnit}. */
export interface ChildEvents {
  message(message: ChildMessage): void;
  /** It is gone, nothing of it is left, and nothing more comes from it. @param why - When it did not end well. */
  ended(why: Error | undefined): void;
}

/** How much longer than it was given a child may take to stop. */
const OVERTIME_MS = 500;
/** The same, when it was given no time: enough to report its numbers. */
const AT_ONCE_MS = 200;

/** After how long a child that was given `graceMs` to stop is ended from outside. */
export function killedAfterMs(graceMs: number): number {
  return graceMs + (graceMs === 0 ? AT_ONCE_MS : OVERTIME_MS);
}

import type { ChildMessage } from "./messages.ts";

/** A process or a thread, as the main process sees it. */
export interface ChildUnit {
  readonly kind: "process" | "thread";
  /** The process's id, or the thread's. */
  readonly id: number;
  /** Whether it has said that it is ready. */
  readonly ready: boolean;
  /** What it is doing as long as it is not ready. */
  readonly doing: string;
  /** Whether it has given a sign of life since the last {@link ChildUnit.ask}. */
  readonly hasAnswered: boolean;
  /** Asks for a sign of life. */
  ask(): void;
  /** Has it accept what waits on a listener that it shares with others. */
  acceptWaiting(): void;
  /** Asks it to stop, and ends it when it has not within `graceMs` and a moment more. */
  stop(graceMs: number): void;
  /** Ends it at once: it has died, for this reason. */
  kill(why: Error): void;
}

/** Who hears of a {@link ChildUnit}. */
export interface ChildEvents {
  message(message: ChildMessage): void;
  /** It is gone, nothing of it is left, and nothing more comes from it. @param why - When it did not end well. */
  ended(why: Error | undefined): void;
}

/** How far the start of a child has come, and how that is put in a message. */
export const CHILD_PHASES = [
  "the runtime was starting it",
  "it was importing its module",
  "start() of its module had not returned",
] as const;
export const IMPORTING = 1;
export const STARTING = 2;

/** How much longer than it was given a child may take to stop. */
const OVERTIME_MS = 500;
/** The same, when it was given no time: enough to report its numbers. */
const AT_ONCE_MS = 200;

/** After how long a child that was given `graceMs` to stop is ended from outside. */
export function killedAfterMs(graceMs: number): number {
  return graceMs + (graceMs === 0 ? AT_ONCE_MS : OVERTIME_MS);
}

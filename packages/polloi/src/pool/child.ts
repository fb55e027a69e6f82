import type { ChildMessage } from "./messages.ts";

/** A child that a supervisor controls: a process or a thread that serves. */
export interface Child {
  readonly kind: "process" | "thread";
  /** The id of the process; threads are counted from 1. */
  readonly id: number;
  /** Whether it has reported that it is ready. */
  readonly ready: boolean;
  /** The phase of its start, for an error message. */
  readonly activity: string;
  /** Whether it has given a sign of life since the last {@link Child.ping}. */
  readonly hasAnswered: boolean;
  /** Asks for a sign of life. */
  ping(): void;
  /** Asks it to accept the connections that wait on a listener that it shares with others. */
  acceptWaiting(): void;
  /** Asks it to stop. If it has not exited after `graceMs` and {@link OVERTIME_MS}, it is killed. */
  stop(graceMs: number): void;
  /** Kills it at once. `reason` is the error with which it exits. */
  kill(reason: Error): void;
}

/** How a child exited. */
export interface ExitEvent {
  /** Undefined if it exited by itself with code 0. */
  readonly error: Error | undefined;
  /** Whether the child threw `error`. Otherwise it names the exit code, the signal, or why the child was killed. */
  readonly thrown?: boolean;
  /** Resolves when nothing of the child is left and a replacement may start. Undefined if it may start at once. */
  readonly released?: Promise<void> | undefined;
  /** Whether `released` may never resolve, because the child is a thread that could not be terminated. */
  readonly stuck?: boolean;
}

/** Called by a {@link Child}. */
export interface ChildEvents {
  message(message: ChildMessage): void;
  /** It has exited. No other event follows. */
  exited(exit: ExitEvent): void;
}

/** How much longer than its grace period a child may take to stop before it is killed. */
export const OVERTIME_MS = 500;

/** The error of a child that exited by itself. */
export function exitError(code: number): Error {
  return new Error(`it exited with code ${code}`);
}

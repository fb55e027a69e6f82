/**
 * Signs of life of a child, be it a thread or a process: that it becomes ready in time, and that it goes on
 * answering. What one does about it is in `slot.ts` of workers and in `place.ts` of models.
 */
import type { NamesOf } from "../base/argument.ts";
import { rangeError, show, typeError } from "../base/misuse.ts";
import { checkTimeout } from "../reactor/options.ts";

/** What is done about a child that does not respond. */
export type WhenUnresponsive = "wait" | "replace";

/** How long a child may be silent: options that workers and models have in common. */
export interface LivenessOptions {
  /**
   * How long a child may take from its start until it is ready, in milliseconds. Default 30,000; `Infinity` sets no
   * limit. A child that takes longer is ended, with an error that says what it was doing.
   */
  readonly startTimeoutMs?: number | undefined;
  /**
   * After how many milliseconds without an answer a child counts as unresponsive: its event loop is asked once a
   * second, more often if this is less than four seconds. Default 5000; `Infinity` never asks.
   */
  readonly unresponsiveAfterMs?: number | undefined;
  /**
   * `"wait"` (the default): an unresponsive child goes on, without new connections where there is a way, until it
   * responds again. `"replace"`: it is ended and replaced, as one that crashed.
   */
  readonly whenUnresponsive?: WhenUnresponsive | undefined;
}

export const LIVENESS_OPTIONS: NamesOf<LivenessOptions> = {
  startTimeoutMs: true,
  unresponsiveAfterMs: true,
  whenUnresponsive: true,
};

const START_TIMEOUT_MS = 30_000;
const UNRESPONSIVE_AFTER_MS = 5000;
/** How often a child is asked; four times within the time that it may be silent if that is short. */
const INTERVAL_MS = 1000;
const SHORTEST_INTERVAL_MS = 10;
/** Beside the time: how often a child was found silent. A machine that slept for an hour has found it so once. */
const MIN_MISSED = 3;
/** What a timer of a runtime can wait for. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The options with their defaults. */
export type Liveness = {
  readonly [Name in keyof LivenessOptions]-?: Exclude<LivenessOptions[Name], undefined>;
};

/** @throws `ERR_INVALID_OPTION`, `ERR_INVALID_TIMEOUT` */
export function livenessOf({
  startTimeoutMs = START_TIMEOUT_MS,
  unresponsiveAfterMs = UNRESPONSIVE_AFTER_MS,
  whenUnresponsive = "wait",
}: LivenessOptions): Liveness {
  for (const [name, value] of Object.entries({ startTimeoutMs, unresponsiveAfterMs })) {
    if (value === Number.POSITIVE_INFINITY) continue;
    checkTimeout(name, value);
    if (value > 0) continue;
    throw rangeError(
      "ERR_INVALID_TIMEOUT",
      `Cannot use ${show(value)} as ${name}: give more than 0`,
    );
  }
  if (whenUnresponsive !== "wait" && whenUnresponsive !== "replace") {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use ${show(whenUnresponsive)} as whenUnresponsive: give "wait" or "replace"`,
    );
  }
  return { startTimeoutMs, unresponsiveAfterMs, whenUnresponsive };
}

/** Calls back when a start has taken too long. @returns What cancels it. */
export function startDeadline(timeoutMs: number, late: () => void): () => void {
  if (timeoutMs > LONGEST_TIMER_MS) return () => {};
  const timer = setTimeout(late, timeoutMs);
  return () => clearTimeout(timer);
}

/** The error of a child that was not ready in time. */
export function startedTooLate(timeoutMs: number, doing: string): Error {
  const hint = "startTimeoutMs sets how long a start may take";
  const error = new Error(`it was not ready after ${timeoutMs} ms: ${doing}`);
  return Object.assign(error, { code: "ETIMEDOUT", hint });
}

/** The error of a child that was ended because it did not respond. */
export function noResponse(silentMs: number): Error {
  const error = new Error(`it did not respond for ${Math.round(silentMs)} ms`);
  return Object.assign(error, { code: "ETIMEDOUT" });
}

/** What a {@link Heartbeat} needs of a child. */
export interface HeartbeatParts {
  /** Asks for an answer. Never called again before there is one. */
  ask(): void;
  /** Whether the last question was answered. */
  hasAnswered(): boolean;
  /** It stopped responding, or responds again. @param silentMs - For how long it had been asked then. */
  changed(responsive: boolean, silentMs: number): void;
}

/** Asks a child for a sign of life, about once a second. */
export class Heartbeat {
  /** Whether it responds, as far as is known. */
  responsive = true;
  readonly #afterMs: number;
  readonly #parts: HeartbeatParts;
  #timer: NodeJS.Timeout | undefined;
  #asked = false;
  #askedAt = 0;
  #missed = 0;

  constructor(afterMs: number, parts: HeartbeatParts) {
    this.#afterMs = afterMs;
    this.#parts = parts;
  }

  /** The child is ready, and is asked from now on. */
  start(): void {
    this.stop();
    if (this.#afterMs > LONGEST_TIMER_MS) return;
    const interval = Math.max(SHORTEST_INTERVAL_MS, Math.min(this.#afterMs / 4, INTERVAL_MS));
    this.#timer = setInterval(() => this.#tick(), interval);
    this.#timer.unref();
  }

  /** The child has ended, or is to. */
  stop(): void {
    clearInterval(this.#timer);
    this.responsive = true;
    this.#asked = false;
    this.#missed = 0;
  }

  #tick(): void {
    const now = performance.now();
    const silentMs = now - this.#askedAt;
    if (this.#asked && !this.#parts.hasAnswered()) {
      this.#missed++;
      if (!this.responsive || silentMs < this.#afterMs || this.#missed < MIN_MISSED) return;
      this.responsive = false;
      this.#parts.changed(false, silentMs);
      return;
    }
    const recovered = !this.responsive;
    this.responsive = true;
    this.#missed = 0;
    this.#asked = true;
    this.#askedAt = now;
    this.#parts.ask();
    if (recovered) this.#parts.changed(true, silentMs);
  }
}

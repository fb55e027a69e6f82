import type { NamesOf } from "../base/argument.ts";
import { Backoff } from "../base/backoff.ts";
import { choiceOf, rangeError, show, typeError } from "../base/misuse.ts";
import { checkTimeout } from "../reactor/options.ts";
import type { Kernel, LoopTimer } from "../sys/kernel.ts";
import { type Child, type ChildEvents, type ExitEvent, exitError } from "./child.ts";
import type { ChildMessage, LoopEngine } from "./messages.ts";

/** The reaction to a child that does not respond. */
export type WhenUnresponsive = "wait" | "replace";

/** The reaction to a child that exits unexpectedly again and again. */
export type CrashLoop = "continue" | "end";

/** How long a child may take to start and to respond. */
export interface LivenessOptions {
  /**
   * How long a child may take from its start until it is ready, in milliseconds. Default 30,000; `Infinity` sets no
   * limit. A child that takes longer is killed, with an error that says what it was doing.
   */
  readonly startTimeoutMs?: number | undefined;
  /**
   * After how many milliseconds without an answer a child counts as unresponsive: its event loop is asked once a
   * second, more often if this is less than four seconds. Default 5000; `Infinity` never asks.
   */
  readonly unresponsiveAfterMs?: number | undefined;
  /**
   * `"wait"` (the default): an unresponsive child continues, without new connections where that is possible, until it
   * responds again. `"replace"`: it is killed and replaced, as one that exited unexpectedly. Deno
   * cannot end the thread of a worker in an endless loop: there it is replaced when the loop ends.
   */
  readonly whenUnresponsive?: WhenUnresponsive | undefined;
}

export const LIVENESS_OPTIONS: NamesOf<LivenessOptions> = {
  startTimeoutMs: true,
  unresponsiveAfterMs: true,
  whenUnresponsive: true,
};

/** How a {@link Supervisor} treats its child: options with their defaults. */
export interface Supervision {
  readonly startTimeoutMs: number;
  readonly unresponsiveAfterMs: number;
  readonly whenUnresponsive: WhenUnresponsive;
  readonly crashLoop: CrashLoop;
}

const START_TIMEOUT_MS = 30_000;
const UNRESPONSIVE_AFTER_MS = 5000;
/** The longest delay of a runtime's timer. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** @throws `ERR_INVALID_OPTION`, `ERR_INVALID_TIMEOUT` */
export function supervisionOf({
  startTimeoutMs = START_TIMEOUT_MS,
  unresponsiveAfterMs = UNRESPONSIVE_AFTER_MS,
  whenUnresponsive = "wait",
  crashLoop = "continue",
}: LivenessOptions & { readonly crashLoop?: CrashLoop | undefined }): Supervision {
  for (const [name, value] of Object.entries({ startTimeoutMs, unresponsiveAfterMs })) {
    if (value === Number.POSITIVE_INFINITY) continue;
    checkTimeout(name, value);
    if (value > 0) continue;
    throw rangeError(
      "ERR_INVALID_TIMEOUT",
      `Cannot use ${show(value)} as ${name}: give more than 0`,
    );
  }
  oneOf("whenUnresponsive", whenUnresponsive, ["wait", "replace"]);
  oneOf("crashLoop", crashLoop, ["continue", "end"]);
  return { startTimeoutMs, unresponsiveAfterMs, whenUnresponsive, crashLoop };
}

/** @throws `ERR_INVALID_OPTION` */
export function oneOf(name: string, value: unknown, allowed: readonly string[]): void {
  if (allowed.includes(value as string)) return;
  throw typeError(
    "ERR_INVALID_OPTION",
    `Cannot use ${show(value)} as ${name}: give ${choiceOf(allowed)}`,
  );
}

/** A child that ran for longer was healthy: its exit does not count as one of a series. */
const HEALTHY_MS = 10_000;
/** After this many failed starts in a row, a child is given up. */
const MAX_FAILED_STARTS = 4;
/** With {@link CrashLoop} `"end"`: after this many unexpected exits in a row, a child is given up. */
const MAX_EXITS = 5;

/** Decides when a child that exited unexpectedly is replaced, and when it is given up. */
export class RestartPolicy {
  readonly #crashLoop: CrashLoop;
  readonly #backoff = new Backoff();
  #exits = 0;
  #failedStarts = 0;
  /** The delay before the next start, in milliseconds. */
  delayMs = 0;

  constructor(crashLoop: CrashLoop) {
    this.#crashLoop = crashLoop;
  }

  /** Whether the child is given up: it is not replaced. */
  get givenUp(): boolean {
    if (this.#crashLoop === "end") return this.#exits >= MAX_EXITS;
    return this.#failedStarts >= MAX_FAILED_STARTS;
  }

  /**
   * The child has exited unexpectedly.
   *
   * @param ranMs - The time since its start, in milliseconds.
   * @param wasReady - Whether this start had succeeded.
   */
  exited(ranMs: number, wasReady: boolean): void {
    // A start that hangs until its time is over takes longer than this too.
    if (wasReady && ranMs > HEALTHY_MS) {
      this.#exits = 0;
      this.#backoff.reset();
    }
    this.#exits++;
    this.delayMs = this.#backoff.next().delayMs;
    this.#failedStarts = wasReady ? 0 : this.#failedStarts + 1;
  }
}

/** What is starting: a child, or the module in the main thread. */
type Starting = Pick<Child, "activity" | "kill">;

/** The clock and the timers of the main thread. */
type Timers = Pick<Kernel, "now" | "after">;

/** Kills a child that is not ready in time. @returns A function that cancels this. */
export function limitStart(
  timers: Pick<Timers, "after">,
  child: Starting,
  timeoutMs: number,
  module: string,
): () => void {
  if (timeoutMs > MAX_TIMER_MS) return () => {};
  const timer = timers.after(timeoutMs, () => {
    const text = `it was not ready after ${timeoutMs} ms: ${child.activity} (${module})`;
    const hint = "startTimeoutMs sets how long a start may take";
    child.kill(Object.assign(new Error(text), { code: "ETIMEDOUT", hint }));
  });
  return () => timer.cancel();
}

/** How often a child is pinged; four times within the time that it may be silent if that is short. */
const PING_INTERVAL_MS = 1000;
const MIN_PING_INTERVAL_MS = 10;
/** How many pings in a row must be unanswered: after an hour of sleep of the machine, only one is. */
const MIN_UNANSWERED = 3;

/** Pings a child, and reports when it stops responding and when it responds again. */
class Heartbeat {
  responsive = true;
  readonly #timers: Timers;
  readonly #afterMs: number;
  readonly #child: () => Child | undefined;
  /** @param silentMs - For how long a ping has not been answered, or was not. */
  readonly #changed: (responsive: boolean, silentMs: number) => void;
  #timer: LoopTimer | undefined;
  #pinged = false;
  #pingedAt = 0;
  #unanswered = 0;

  constructor(
    timers: Timers,
    afterMs: number,
    child: () => Child | undefined,
    changed: (responsive: boolean, silentMs: number) => void,
  ) {
    this.#timers = timers;
    this.#afterMs = afterMs;
    this.#child = child;
    this.#changed = changed;
  }

  start(): void {
    this.stop();
    if (this.#afterMs > MAX_TIMER_MS) return;
    this.#tickLater();
  }

  stop(): void {
    this.#timer?.cancel();
    this.responsive = true;
    this.#pinged = false;
    this.#unanswered = 0;
  }

  #tickLater(): void {
    const interval = Math.max(MIN_PING_INTERVAL_MS, Math.min(this.#afterMs / 4, PING_INTERVAL_MS));
    this.#timer = this.#timers.after(interval, () => {
      // Before the tick, which may stop this.
      this.#tickLater();
      this.#tick();
    });
    this.#timer.unref();
  }

  #tick(): void {
    const child = this.#child();
    if (child === undefined) return;
    const now = this.#timers.now();
    const silentMs = now - this.#pingedAt;
    if (this.#pinged && !child.hasAnswered) {
      this.#unanswered++;
      if (!this.responsive || silentMs < this.#afterMs) return;
      if (this.#unanswered < MIN_UNANSWERED) return;
      this.responsive = false;
      this.#changed(false, silentMs);
      return;
    }
    const recovered = !this.responsive;
    this.responsive = true;
    this.#unanswered = 0;
    this.#pinged = true;
    this.#pingedAt = now;
    child.ping();
    if (recovered) this.#changed(true, silentMs);
  }
}

/** The state of a supervised child. */
export type ChildState =
  | "starting"
  | "running"
  | "unresponsive"
  | "restarting"
  | "given up"
  | "stopped";

/** An unexpected exit, or an error that a child threw while it stopped. */
export interface UnexpectedExit {
  readonly error: Error;
  /** After how long the child is replaced; null when it is given up; undefined if it was asked to stop. */
  readonly restartInMs: number | null | undefined;
  /** Whether its thread runs on, because Deno cannot end it. `restartInMs` then counts from when the thread has ended. */
  readonly stuck: boolean;
}

/** The parameters and callbacks of a {@link Supervisor}. */
export interface SupervisorOptions extends Supervision {
  /** Has the clock and the timers. */
  readonly kernel: Timers;
  /** The URL of the module, for error messages. */
  readonly module: string;
  /** Starts a child. @throws when the system has no resources for one. */
  start(events: ChildEvents): Child;
  /** A message from the child, other than "ready" and "failed". */
  message(message: ChildMessage): void;
  /** The child has exited, whether or not that was expected. */
  ended(child: Child | undefined): void;
  exited(child: Child | undefined, exit: UnexpectedExit): void;
  responds(child: Child, responsive: boolean, silentMs: number): void;
  /** The state has changed, and with it perhaps {@link Supervisor.accepts} and {@link Supervisor.isGone}. */
  changed(): void;
}

/** New connections are not sent to a child that takes longer than this to restart. */
const SHORT_RESTART_MS = 400;

/** Keeps one child running: starts it, checks that it responds, and replaces it when it exits unexpectedly. */
export class Supervisor {
  /** Resolves when the first child is ready; rejects when it fails to start. */
  readonly ready: Promise<LoopEngine | undefined>;
  child: Child | undefined;
  state: ChildState = "starting";
  /** How often a child exited unexpectedly. */
  exits = 0;
  lastError: Error | undefined;
  readonly #options: SupervisorOptions;
  readonly #restarts: RestartPolicy;
  readonly #heartbeat: Heartbeat;
  #cancelStartLimit: () => void = () => {};
  #resolveReady: (engine: LoopEngine | undefined) => void = () => {};
  #rejectReady: (error: Error) => void = () => {};
  /** Whether any child was ever ready. */
  #wasReady = false;
  #startedAt = 0;
  #restartTimer: LoopTimer | undefined;
  #stopping = false;
  /** Resolves when no replacement will start. */
  readonly #ended: Promise<void>;
  #resolveEnded: () => void = () => {};

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    // `Promise.all` reports only the first rejection.
    this.ready.catch(() => {});
    this.#ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    this.#restarts = new RestartPolicy(options.crashLoop);
    this.#heartbeat = new Heartbeat(
      options.kernel,
      options.unresponsiveAfterMs,
      () => this.child,
      (responsive, silentMs) => this.#responds(responsive, silentMs),
    );
  }

  /** Whether there is no child, and none will be started. */
  get isGone(): boolean {
    return this.state === "stopped" || this.state === "given up";
  }

  /** Whether the child exited too often: it is not replaced. */
  get givenUp(): boolean {
    return this.#restarts.givenUp;
  }

  /** Whether a new connection would soon be accepted. */
  get accepts(): boolean {
    if (this.state === "restarting") return this.#restarts.delayMs <= SHORT_RESTART_MS;
    return this.state === "starting" || this.state === "running";
  }

  start(): void {
    const { kernel, module, startTimeoutMs } = this.#options;
    this.state = "starting";
    this.#startedAt = kernel.now();
    try {
      this.child = this.#options.start({
        message: (message) => this.#receive(message),
        exited: (exit) => void this.#exited(exit),
      });
      this.#cancelStartLimit = limitStart(kernel, this.child, startTimeoutMs, module);
    } catch (error) {
      void this.#exited({ error: error as Error });
    }
  }

  /** Stops the child within `graceMs` and {@link OVERTIME_MS}. */
  stop(graceMs: number): void {
    this.#stopping = true;
    this.#cancelStartLimit();
    this.#heartbeat.stop();
    this.#resolveEnded();
    if (this.child !== undefined) this.child.stop(graceMs);
    else if (this.state === "starting" || this.#restartTimer !== undefined) {
      this.#restartTimer?.cancel();
      this.#leave("stopped");
    }
  }

  #receive(message: ChildMessage): void {
    if (message.type === "failed") return;
    if (message.type !== "ready") {
      this.#options.message(message);
      return;
    }
    this.#wasReady = true;
    this.#cancelStartLimit();
    this.#resolveReady(message.engine);
    if (this.#stopping) return;
    this.state = "running";
    this.#heartbeat.start();
    this.#options.changed();
  }

  async #exited({ error, thrown = false, released, stuck = false }: ExitEvent): Promise<void> {
    const { child } = this;
    this.child = undefined;
    this.#cancelStartLimit();
    this.#heartbeat.stop();
    // A thread that cannot be ended still accepts connections, if it is sent any, and serves them when its loop ends.
    const isHeld = stuck && released !== undefined;
    this.state = isHeld ? "unresponsive" : "restarting";
    this.lastError = error ?? exitError(0);
    this.#options.ended(child);
    if (!this.#wasReady) {
      this.#resolveEnded();
      this.#rejectReady(this.lastError);
    } else if (!this.#stopping) this.#report(child, this.lastError, isHeld);
    // Its code or its signal is a consequence of the stop, but what it threw would be lost.
    else if (thrown) this.#reportStopped(child, this.lastError);
    if (released !== undefined) await (stuck ? Promise.race([released, this.#ended]) : released);
    if (this.#stopping || !this.#wasReady) this.#leave("stopped");
    else if (this.#restarts.givenUp) this.#leave("given up");
    else {
      this.state = "restarting";
      if (isHeld) this.#options.changed();
      this.#restartTimer = this.#options.kernel.after(this.#restarts.delayMs, () => {
        this.#restartTimer = undefined;
        this.start();
      });
    }
  }

  #report(child: Child | undefined, error: Error, stuck: boolean): void {
    this.exits++;
    const ranMs = this.#options.kernel.now() - this.#startedAt;
    this.#restarts.exited(ranMs, child?.ready ?? false);
    const { givenUp, delayMs } = this.#restarts;
    // Before the report, so that no connection is sent here meanwhile.
    this.#options.changed();
    this.#options.exited(child, { error, restartInMs: givenUp ? null : delayMs, stuck });
  }

  #reportStopped(child: Child | undefined, error: Error): void {
    this.exits++;
    this.#options.exited(child, { error, restartInMs: undefined, stuck: false });
  }

  #responds(responsive: boolean, silentMs: number): void {
    const { child } = this;
    if (child === undefined) return;
    const { whenUnresponsive } = this.#options;
    this.state = responsive ? "running" : "unresponsive";
    this.#options.changed();
    this.#options.responds(child, responsive, silentMs);
    // The callback may have stopped it.
    if (responsive || whenUnresponsive === "wait" || this.#stopping) return;
    const text = `it did not respond for ${Math.round(silentMs)} ms`;
    child.kill(Object.assign(new Error(text), { code: "ETIMEDOUT" }));
  }

  #leave(state: "stopped" | "given up"): void {
    if (this.isGone) return;
    this.state = state;
    this.#options.changed();
  }
}

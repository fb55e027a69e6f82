import type { ChildEvents, ChildUnit } from "./child-unit.ts";
import { Heartbeat, type Liveness, noResponse, startDeadline, startedTooLate } from "./liveness.ts";
import type { ChildEngine, ChildMessage } from "./messages.ts";
import { type CrashLoop, Restarts } from "./restarts.ts";
import type { ModelReport } from "./way.ts";

/** Who would wait longer than this for a restart is given to another child. */
const SHORT_RESTART_MS = 400;

/** What a {@link Place} is made of. */
export interface PlaceParts {
  readonly report: ModelReport;
  readonly liveness: Liveness;
  readonly crashLoop: CrashLoop;
  /** Starts a child. @throws when the system has no room for one. */
  start(events: ChildEvents): ChildUnit;
  /** Told what a child says, but for "ready" and "failed". */
  heard(message: ChildMessage): void;
  /** A child has ended, whether or not another follows. */
  ended(): void;
  /** It accepts new connections now, or does not any more: see {@link Place.accepts}. */
  steer(): void;
  /** No other follows: it was stopped, never came to be ready, or is given up. */
  gone(): void;
}

/** The place of one child that serves for long: one after another, each taking over from the one that died. */
export class Place {
  /** Resolves when its first child is ready; rejects when that one fails to start. */
  readonly ready: Promise<ChildEngine | undefined>;
  /** The child that is there. */
  child: ChildUnit | undefined;
  /** No other child will come. */
  isGone = false;
  /** Why the last one died. */
  lastError: Error | undefined;
  /** It has crashed too often: no other child will come. */
  givenUp = false;
  readonly #parts: PlaceParts;
  readonly #restarts: Restarts;
  readonly #heartbeat: Heartbeat;
  #cancelDeadline: () => void = () => {};
  #resolveReady: (engine: ChildEngine | undefined) => void = () => {};
  #rejectReady: (error: Error) => void = () => {};
  #wasReady = false;
  #startedAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopping = false;

  constructor(parts: PlaceParts) {
    this.#parts = parts;
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    // `Promise.all` reports only the first rejection.
    this.ready.catch(() => {});
    this.#restarts = new Restarts(parts.crashLoop);
    this.#heartbeat = new Heartbeat(parts.liveness.unresponsiveAfterMs, {
      ask: () => this.child?.ask(),
      hasAnswered: () => this.child?.hasAnswered ?? true,
      changed: (responsive, silentMs) => this.#responds(responsive, silentMs),
    });
  }

  /** Whether its child responds, as far as is known. */
  get responsive(): boolean {
    return this.#heartbeat.responsive;
  }

  /** Whether a new connection would soon be accepted here. */
  get accepts(): boolean {
    if (this.isGone || !this.responsive) return false;
    return this.child !== undefined || this.#restarts.delayMs <= SHORT_RESTART_MS;
  }

  start(): void {
    this.#timer = undefined;
    this.#startedAt = performance.now();
    try {
      this.child = this.#parts.start({
        message: (message) => this.#heard(message),
        ended: (why) => this.#ended(why),
      });
      this.#parts.report.started++;
      const { startTimeoutMs } = this.#parts.liveness;
      const { child } = this;
      this.#cancelDeadline = startDeadline(startTimeoutMs, () =>
        child.kill(startedTooLate(startTimeoutMs, child.doing)),
      );
    } catch (error) {
      this.#ended(error as Error);
    }
  }

  /** Has the child stop within `graceMs` and a moment more. */
  stop(graceMs: number): void {
    this.#stopping = true;
    clearTimeout(this.#timer);
    this.#cancelDeadline();
    this.#heartbeat.stop();
    if (this.child === undefined) this.#leave();
    else this.child.stop(graceMs);
  }

  #heard(message: ChildMessage): void {
    if (message.type === "ready") {
      this.#wasReady = true;
      this.#cancelDeadline();
      this.#resolveReady(message.engine);
      if (!this.#stopping) this.#heartbeat.start();
      this.#parts.steer();
    } else if (message.type !== "failed") this.#parts.heard(message);
  }

  #ended(why: Error | undefined): void {
    const id = this.child?.id ?? -1;
    const kind = this.child?.kind ?? "process";
    const ready = this.child?.ready ?? false;
    this.child = undefined;
    this.#cancelDeadline();
    this.#heartbeat.stop();
    const error = why ?? new Error("it ended by itself, with exit code 0");
    this.lastError = error;
    this.#parts.ended();
    if (!this.#wasReady) {
      this.#rejectReady(error);
      this.#leave();
      return;
    }
    if (this.#stopping) {
      this.#leave();
      return;
    }
    this.#restarts.crashed(performance.now() - this.#startedAt, ready);
    const { givenUp, delayMs } = this.#restarts;
    this.givenUp = givenUp;
    this.#parts.steer();
    this.#parts.report.died({ kind, id, error, restartInMs: givenUp ? null : delayMs });
    if (givenUp) this.#leave();
    // Whoever was told may have stopped it.
    else if (!this.isGone) this.#timer = setTimeout(() => this.start(), delayMs);
  }

  #responds(responsive: boolean, silentMs: number): void {
    const { child } = this;
    if (child === undefined) return;
    const { report, liveness, steer } = this.#parts;
    const { kind, id } = child;
    steer();
    report.responds({ kind, id, silentMs }, responsive);
    const replace = liveness.whenUnresponsive === "replace" && !responsive && !this.#stopping;
    if (replace) child.kill(noResponse(silentMs));
  }

  #leave(): void {
    if (this.isGone) return;
    this.isGone = true;
    this.#parts.gone();
  }
}

import { Restarts } from "../workers/restarts.ts";
import type { ChildEvents, ChildUnit } from "./child-unit.ts";
import type { ChildEngine, ChildMessage } from "./messages.ts";
import type { ModelReport } from "./way.ts";

/** What a {@link Place} is made of. */
export interface PlaceParts {
  readonly report: ModelReport;
  /** Starts a child. @throws when the system has no room for one. */
  start(events: ChildEvents): ChildUnit;
  /** Told what a child says, but for "ready" and "failed". */
  heard(message: ChildMessage): void;
  /** A child has ended, whether or not another follows. */
  ended(): void;
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
  readonly #parts: PlaceParts;
  readonly #restarts = new Restarts();
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
    // Who waits for all of them hears of the first only.
    this.ready.catch(() => {});
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
    } catch (error) {
      this.#ended(error as Error);
    }
  }

  /** Has the child stop within `graceMs` and a moment more. */
  stop(graceMs: number): void {
    this.#stopping = true;
    clearTimeout(this.#timer);
    if (this.child === undefined) this.#leave();
    else this.child.stop(graceMs);
  }

  #heard(message: ChildMessage): void {
    if (message.type === "ready") {
      this.#wasReady = true;
      this.#resolveReady(message.engine);
    } else if (message.type !== "failed") this.#parts.heard(message);
  }

  #ended(why: Error | undefined): void {
    const id = this.child?.id ?? -1;
    const kind = this.child?.kind ?? "process";
    this.child = undefined;
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
    this.#restarts.crashed(this.#startedAt);
    const { givenUp, delayMs } = this.#restarts;
    this.#parts.report.died({ kind, id, error, restartInMs: givenUp ? null : delayMs });
    if (givenUp) this.#leave();
    // Whoever was told may have stopped it.
    else if (!this.isGone) this.#timer = setTimeout(() => this.start(), delayMs);
  }

  #leave(): void {
    if (this.isGone) return;
    this.isGone = true;
    this.#parts.gone();
  }
}

/** What a session waits for, and so which of the timeouts runs. */
export const WAITS_FOR_REQUEST = 0;
export const WAITS_FOR_HEAD = 1;
export const WAITS_FOR_BODY = 2;
export const WAITS_FOR_REPLY = 3;

/** Who sends a body more slowly than this, in bytes a second, runs out of time. */
const SLOWEST = 500;

/** A clock that is read from time to time, since each request sets several deadlines. */
export interface CoarseClock {
  /** Milliseconds, as `performance.now()` had them when the clock was last read. */
  readonly now: number;
  /** How long ago that can be, in milliseconds. */
  readonly coarseMs: number;
}

/**
 * Until when a session waits, and for what.
 *
 * @remarks
 * A base class rather than an object of its own, since there are thousands of these. A deadline is never
 * early, and late by what the clock is coarse.
 */
export abstract class Deadline {
  /** When what it waits for is to be there, as the clock has it. */
  deadline: number = Number.POSITIVE_INFINITY;
  waits: number = WAITS_FOR_REQUEST;
  readonly #clock: CoarseClock;
  #bodyBegan = 0;
  #blockedAt = 0;

  constructor(clock: CoarseClock) {
    this.#clock = clock;
  }

  protected waitFor(what: number, timeoutMs: number): void {
    const { now, coarseMs } = this.#clock;
    this.waits = what;
    this.deadline = now + coarseMs + timeoutMs;
  }

  protected bodyBegins(): void {
    this.#bodyBegan = this.#clock.now;
    this.#blockedAt = 0;
  }

  /** Who sends a body has its time, a second more for every so many bytes, and never more than that from now. */
  protected waitForBody(timeoutMs: number, bytes: number): void {
    const { now, coarseMs } = this.#clock;
    // What the handler took for itself is not the client's.
    if (this.#blockedAt > 0) this.#bodyBegan += now - this.#blockedAt;
    this.#blockedAt = 0;
    const earned = this.#bodyBegan + timeoutMs + (bytes / SLOWEST) * 1000;
    this.waits = WAITS_FOR_BODY;
    this.deadline = Math.min(earned, now + timeoutMs) + coarseMs;
  }

  /** From here on the server waits for its handler, and not for the client: the time for the body stands still. */
  protected bodyBlocks(): void {
    if (this.waits === WAITS_FOR_BODY) this.#blockedAt = this.#clock.now;
  }
}

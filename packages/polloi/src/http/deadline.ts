/** What a session waits for, and so which of the timeouts runs. */
export const WAITS_FOR_REQUEST = 0;
export const WAITS_FOR_HEAD = 1;
export const WAITS_FOR_BODY = 2;
export const WAITS_FOR_REPLY = 3;

/** A client that sends a body more slowly than this, in bytes a second, runs out of time. */
const SLOWEST = 500;
const NOT_BEGUN = -1;

/** A clock that is read when deadlines are looked at, since each request sets several of them. */
export interface LookClock {
  /** Milliseconds, as `performance.now()` had them at this look. */
  readonly now: number;
  /** The time since the look before, in milliseconds, without what it is late by. */
  readonly lookMs: number;
  /** How late this look is because the thread was busy or stopped, in milliseconds; 0 when that is little. */
  readonly lateMs: number;
}

/**
 * Until when a session waits, and for what.
 *
 * @remarks
 * A base class rather than an object of its own, since there are thousands of these. A timeout begins at the first
 * look after it was set, so that setting it needs no clock, and a stall before that look does not count. A timeout is
 * never early, and late by at most two looks.
 */
export abstract class Deadline {
  /** When what it waits for is to be there; below 0 the milliseconds from the next look on. */
  protected deadline: number = Number.POSITIVE_INFINITY;
  waits: number = WAITS_FOR_REQUEST;
  /** How long the client has been waited for to send this body, in milliseconds. */
  #bodyMs = NOT_BEGUN;
  /** How long it may be, for what it has sent of the body. */
  #mostBodyMs = Number.POSITIVE_INFINITY;

  protected waitFor(what: number, timeoutMs: number): void {
    this.waits = what;
    this.deadline = -timeoutMs;
  }

  protected bodyBegins(): void {
    this.#bodyMs = NOT_BEGUN;
  }

  /** A client may take this time for a body, a second more for every 500 bytes, and this time for each part of it. */
  protected waitForBody(timeoutMs: number, bytes: number): void {
    this.waitFor(WAITS_FOR_BODY, timeoutMs);
    this.#mostBodyMs = timeoutMs + (bytes / SLOWEST) * 1000;
  }

  /** Reads the clock, at a look. @returns Whether the time is up. */
  protected isOver({ now, lookMs }: LookClock): boolean {
    if (this.deadline < 0) this.deadline = now - this.deadline;
    if (this.deadline <= now) return true;
    // The time that the server waits for its handler, and the time of a stall, are not the client's.
    if (this.waits !== WAITS_FOR_BODY) return false;
    this.#bodyMs = this.#bodyMs === NOT_BEGUN ? 0 : this.#bodyMs + lookMs;
    return this.#bodyMs > this.#mostBodyMs;
  }
}

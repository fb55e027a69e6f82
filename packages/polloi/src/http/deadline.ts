/** The event that a session waits for. It determines the timeout. */
export const WAITS_FOR_REQUEST = 0;
export const WAITS_FOR_HEAD = 1;
export const WAITS_FOR_BODY = 2;
export const WAITS_FOR_REPLY = 3;

/** A client that sends a body more slowly than this, in bytes per second, times out. */
const SLOWEST = 500;
const NOT_BEGUN = -1;

/** A clock that is read when deadlines are checked, because each request sets several of them. */
export interface LookClock {
  /** The time of this check, as of the kernel's clock. */
  readonly now: number;
  /** The time since the previous check in milliseconds, without the delay of this one. */
  readonly lookMs: number;
  /** The delay of this check because the thread was busy or stopped, in milliseconds; 0 if it is small. */
  readonly lateMs: number;
}

/**
 * The deadline of a session.
 *
 * @remarks
 * A base class instead of an object of its own, because a server holds thousands. A timeout begins at the first check
 * after it was set, so that setting it needs no clock, and a stall before that check does not count. A timeout is never
 * early, and late by at most two checks.
 */
export abstract class Deadline {
  /** The deadline; if it is negative, the milliseconds from the next check on. */
  protected deadline: number = Number.POSITIVE_INFINITY;
  waits: number = WAITS_FOR_REQUEST;
  /** The time that the session has waited for this body, in milliseconds. */
  #bodyMs = NOT_BEGUN;
  /** The limit of that time, by the number of bytes received. */
  #mostBodyMs = Number.POSITIVE_INFINITY;

  protected waitFor(what: number, timeoutMs: number): void {
    this.waits = what;
    this.deadline = -timeoutMs;
  }

  protected bodyBegins(): void {
    this.#bodyMs = NOT_BEGUN;
  }

  /** Sets the timeout for a body and for its next part; each 500 bytes add a second to the first. */
  protected waitForBody(timeoutMs: number, bytes: number): void {
    this.waitFor(WAITS_FOR_BODY, timeoutMs);
    this.#mostBodyMs = timeoutMs + (bytes / SLOWEST) * 1000;
  }

  /** Checks the deadline. @returns Whether it has passed. */
  protected isOver({ now, lookMs }: LookClock): boolean {
    if (this.deadline < 0) this.deadline = now - this.deadline;
    if (this.deadline <= now) return true;
    // Time in which the server waits for its handler, and the time of a stall, do not count.
    if (this.waits !== WAITS_FOR_BODY) return false;
    this.#bodyMs = this.#bodyMs === NOT_BEGUN ? 0 : this.#bodyMs + lookMs;
    return this.#bodyMs > this.#mostBodyMs;
  }
}

import type { Connection } from "./connection.ts";
import { IdleTimeout } from "./idle-timeout.ts";
import type { Timer, Timers } from "./timers.ts";

/** How long a connection on which nothing was ever received has to send its first bytes. */
const FIRST_BYTES_MS = 500;
/** A peer that pauses for this long has sent what it was sending when the stop came. */
const PAUSE_MS = 100;
/** A peer that never pauses is received from for this long. */
const LATEST_MS = 1000;
/** How long a peer that has seen the end may stay silent before the connection is closed. */
const SILENCE_MS = 1000;

/** What {@link Finishing} needs of its connection. */
type FinishingConnection = Pick<
  Connection,
  "unreadBytes" | "unacknowledgedBytes" | "end" | "destroy"
>;

/**
 * Brings one connection of a listener that stops to its end, where no `stopping` handler does.
 *
 * @remarks
 * Bytes that had arrived are delivered first, and what follows them without a pause, for at most a second: the rest
 * of a message that was on its way. Then the connection ends its own half, and closes when the peer has ended its
 * half, or has been silent for a second after it took everything.
 */
export class Finishing {
  readonly #timers: Timers;
  readonly #connection: FinishingConnection;
  /** How many of the bytes that had arrived are not delivered yet. */
  #unread: number;
  #endBy = Number.POSITIVE_INFINITY;
  #timer: Timer | IdleTimeout | undefined;

  /** @param heard - Whether bytes were ever received. */
  constructor(timers: Timers, connection: FinishingConnection, heard: boolean) {
    this.#timers = timers;
    this.#connection = connection;
    this.#unread = connection.unreadBytes;
    if (heard || this.#unread > 0) this.#awaitPause();
    else this.#timer = timers.limit(FIRST_BYTES_MS, () => this.#end());
  }

  /** Bytes were delivered. */
  received(length: number): void {
    this.#unread -= length;
    if (this.#timer instanceof IdleTimeout) this.#timer.touch();
    else this.#awaitPause();
  }

  /** The connection is closed. */
  abandon(): void {
    this.#timer?.cancel();
  }

  #awaitPause(): void {
    const now = performance.now();
    this.#endBy = Math.min(this.#endBy, now + LATEST_MS);
    this.#timer?.cancel();
    const pauseMs = Math.min(PAUSE_MS, Math.max(this.#endBy - now, 0));
    this.#timer = this.#timers.limit(pauseMs, () => {
      // A program that has paused the connection is still owed what has arrived.
      if (this.#unread <= 0) this.#end();
    });
  }

  #end(): void {
    this.#timer?.cancel();
    this.#timer = new IdleTimeout(this.#timers, SILENCE_MS, () => this.#silent());
    this.#connection.end();
  }

  #silent(): void {
    if (this.#connection.unacknowledgedBytes === 0) this.#connection.destroy();
  }
}

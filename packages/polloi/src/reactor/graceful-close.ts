import type { Connection } from "./connection.ts";
import { IdleTimeout } from "./idle-timeout.ts";
import type { Timer, Timers } from "./timers.ts";

/** How long a connection that has not received anything has to send its first bytes. */
const FIRST_BYTES_MS = 500;
/** A peer that pauses for this long has finished the message that it was sending. */
const PAUSE_MS = 100;
/** A peer that does not pause is received from for this long. */
const LATEST_MS = 1000;
/** How long a peer may send nothing after the local half ended, before the connection is closed. */
const SILENCE_MS = 1000;

/** The members of a connection that {@link GracefulClose} uses. */
type ClosingConnection = Pick<
  Connection,
  "unreadBytes" | "unacknowledgedBytes" | "end" | "destroy"
>;

/**
 * Ends a connection of a listener that stops, if it has no `stopping` handler.
 *
 * @remarks
 * Bytes that have arrived are delivered first, and for at most a second also bytes that follow without a pause: the rest
 * of a message that is on its way. Then the connection ends its local half. It closes when the peer has ended its half,
 * or has acknowledged everything and sent nothing for a second.
 */
export class GracefulClose {
  readonly #timers: Timers;
  readonly #connection: ClosingConnection;
  /** The number of bytes that have arrived and have not been delivered yet. */
  #unread: number;
  #endBy = Number.POSITIVE_INFINITY;
  #timer: Timer | IdleTimeout | undefined;

  /** @param hasReceived - Whether bytes were received before. */
  constructor(timers: Timers, connection: ClosingConnection, hasReceived: boolean) {
    this.#timers = timers;
    this.#connection = connection;
    this.#unread = connection.unreadBytes;
    if (hasReceived || this.#unread > 0) this.#awaitPause();
    else this.#timer = timers.limit(FIRST_BYTES_MS, () => this.#end());
  }

  /** Called when bytes were delivered. */
  received(length: number): void {
    this.#unread -= length;
    if (this.#timer instanceof IdleTimeout) this.#timer.touch();
    else this.#awaitPause();
  }

  /** Called when the connection has closed. */
  abandon(): void {
    this.#timer?.cancel();
  }

  #awaitPause(): void {
    const now = this.#timers.now();
    this.#endBy = Math.min(this.#endBy, now + LATEST_MS);
    this.#timer?.cancel();
    const pauseMs = Math.min(PAUSE_MS, Math.max(this.#endBy - now, 0));
    this.#timer = this.#timers.limit(pauseMs, () => {
      // If the program has paused the connection, bytes that have arrived are still to be delivered.
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

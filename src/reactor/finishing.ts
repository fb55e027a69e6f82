import type { Connection } from "./connection.ts";
import { IdleTimeout } from "./idle-timeout.ts";
import type { Timer, Timers } from "./timers.ts";

/** How long a connection on which nothing was ever received has to send its first bytes. */
const FIRST_BYTES_MS = 500;
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
 * Bytes that had arrived are delivered first. Then the connection ends its own half, and closes when the
 * peer has ended its half, or has been silent for a second after it took everything.
 */
export class Finishing {
  readonly #timers: Timers;
  readonly #connection: FinishingConnection;
  /** How many of the bytes that had arrived are not delivered yet. */
  #unread: number;
  #timer: Timer | IdleTimeout | undefined;

  /** @param heard - Whether bytes were ever received. */
  constructor(timers: Timers, connection: FinishingConnection, heard: boolean) {
    this.#timers = timers;
    this.#connection = connection;
    this.#unread = connection.unreadBytes;
    if (this.#unread > 0) return;
    if (heard) this.#end();
    else this.#timer = timers.limit(FIRST_BYTES_MS, () => this.#end());
  }

  /** Bytes were delivered. */
  received(length: number): void {
    this.#unread -= length;
    if (this.#timer instanceof IdleTimeout) this.#timer.touch();
    else if (this.#unread <= 0) this.#end();
  }

  /** The connection is closed. */
  abandon(): void {
    this.#timer?.cancel();
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

import type { Timer, Timers } from "./timers.ts";

/** The longest interval between two checks of a peer with unacknowledged bytes. */
const CHECK_MS = 1000;

/** The bytes that were written and are not acknowledged. */
export interface Outgoing {
  readonly pendingBytes: number;
  /** Each access is a system call. */
  readonly unacknowledgedBytes: number;
}

/**
 * Calls back when nothing was received and the peer acknowledged nothing for a time.
 *
 * @remarks
 * A touch only stores the time. The timer is not reset for each byte; when it fires, it is set for the time that is left.
 *
 * The kernel takes MiBs at once for a peer that reads a few KiB per second. Progress is therefore not that the kernel took
 * bytes, but that the peer has acknowledged some since the last check. Checks are a quarter of the timeout apart, and at
 * most a second while bytes are unacknowledged. The callback is late by at most that interval.
 */
export class IdleTimeout {
  readonly #timers: Timers;
  readonly #timeoutMs: number;
  readonly #onIdle: () => void;
  readonly #outgoing: Outgoing | null;
  /** The bytes that the kernel has taken from the start, and those of them that were acknowledged at the last check. */
  #sent = 0;
  #acknowledged = 0;
  #outgoingOnly = false;
  #receivedAt: number;
  #progressAt: number;
  #timer: Timer;

  /** @param outgoing - The data whose progress counts. Without it only touches count. */
  constructor(
    timers: Timers,
    timeoutMs: number,
    onIdle: () => void,
    outgoing: Outgoing | null = null,
  ) {
    this.#timers = timers;
    this.#receivedAt = timers.now();
    this.#progressAt = this.#receivedAt;
    this.#timeoutMs = timeoutMs;
    this.#onIdle = onIdle;
    this.#outgoing = outgoing;
    if (outgoing !== null) this.#acknowledged = -unacknowledged(outgoing);
    this.#timer = this.#wait(outgoing === null ? timeoutMs : timeoutMs / 4);
  }

  /** Bytes were received. */
  touch(): void {
    this.#receivedAt = this.#timers.now();
  }

  /** The kernel has taken bytes. */
  sent(length: number): void {
    this.#sent += length;
  }

  /** While bytes are unacknowledged, only acknowledgements count, and received bytes do not. */
  outgoingOnly(): void {
    this.#outgoingOnly = true;
  }

  cancel(): void {
    this.#timer.cancel();
  }

  #wait(ms: number): Timer {
    return this.#timers.limit(ms, () => this.#fired());
  }

  #fired(): void {
    const now = this.#timers.now();
    const isOutgoing = this.#check(now);
    const lastAt =
      isOutgoing && this.#outgoingOnly
        ? this.#progressAt
        : Math.max(this.#progressAt, this.#receivedAt);
    const left = lastAt + this.#timeoutMs - now;
    if (left > 0) {
      const checkMs = isOutgoing ? CHECK_MS : this.#timeoutMs;
      this.#timer = this.#wait(Math.min(left, checkMs, this.#nextCheckMs()));
      return;
    }
    this.#receivedAt = now;
    this.#progressAt = now;
    // Set before the callback, which may cancel it.
    this.#timer = this.#wait(this.#nextCheckMs());
    this.#onIdle();
  }

  #nextCheckMs(): number {
    return this.#outgoing === null ? this.#timeoutMs : this.#timeoutMs / 4;
  }

  /** Stores the progress of the peer. @returns Whether bytes are queued or unacknowledged. */
  #check(now: number): boolean {
    const outgoing = this.#outgoing;
    if (outgoing === null) return false;
    if (this.#acknowledged === this.#sent) return outgoing.pendingBytes > 0;
    const acknowledged = this.#sent - unacknowledged(outgoing);
    if (acknowledged > this.#acknowledged) this.#progressAt = now;
    this.#acknowledged = acknowledged;
    return acknowledged < this.#sent || outgoing.pendingBytes > 0;
  }
}

/** The number of bytes in the kernel's send queue. */
function unacknowledged({ pendingBytes, unacknowledgedBytes }: Outgoing): number {
  return unacknowledgedBytes - pendingBytes;
}

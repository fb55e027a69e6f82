import type { Timer, Timers } from "./timers.ts";

/** How often the progress of a peer is looked at while bytes for it are on their way, at the most. */
const LOOK_MS = 1000;

/** What has been written for a peer, and not taken by it. */
export interface Outgoing {
  readonly pendingBytes: number;
  /** A system call. */
  readonly unacknowledgedBytes: number;
}

/**
 * Calls back when nothing came and the peer took nothing for a time.
 *
 * @remarks
 * A touch only notes the time: the timer is looked at when it fires, not each time that a byte moves.
 *
 * The kernel takes MiBs at once for a peer that reads a few KiB a second. So what counts is not when the kernel
 * took bytes, but that the peer has acknowledged some since the last look. Looks are a quarter of the time
 * apart, and a second at most while bytes are on their way: a peer that takes nothing is noticed so much later.
 */
export class IdleTimeout {
  readonly #timers: Timers;
  readonly #timeoutMs: number;
  readonly #onIdle: () => void;
  readonly #outgoing: Outgoing | null;
  /** How many bytes the kernel has taken since this began, and how many of them the peer had at the last look. */
  #sent = 0;
  #acknowledged = 0;
  #outgoingOnly = false;
  #receivedAt = performance.now();
  #progressAt: number = this.#receivedAt;
  #timer: Timer;

  /** @param outgoing - Whose progress counts; without it only touches do. */
  constructor(
    timers: Timers,
    timeoutMs: number,
    onIdle: () => void,
    outgoing: Outgoing | null = null,
  ) {
    this.#timers = timers;
    this.#timeoutMs = timeoutMs;
    this.#onIdle = onIdle;
    this.#outgoing = outgoing;
    if (outgoing !== null) this.#acknowledged = -untaken(outgoing);
    this.#timer = this.#wait(outgoing === null ? timeoutMs : timeoutMs / 4);
  }

  /** Bytes came. */
  touch(): void {
    this.#receivedAt = performance.now();
  }

  /** The kernel has taken bytes. */
  sent(length: number): void {
    this.#sent += length;
  }

  /** As long as bytes are on their way, only progress with them counts, and not what comes. */
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
    const now = performance.now();
    const isOutgoing = this.#look(now);
    const lastAt =
      isOutgoing && this.#outgoingOnly
        ? this.#progressAt
        : Math.max(this.#progressAt, this.#receivedAt);
    const left = lastAt + this.#timeoutMs - now;
    if (left > 0) {
      const look = isOutgoing ? LOOK_MS : this.#timeoutMs;
      this.#timer = this.#wait(Math.min(left, look, this.#nextLookMs));
      return;
    }
    this.#receivedAt = now;
    this.#progressAt = now;
    // Waits again before it is told: who is told may cancel.
    this.#timer = this.#wait(this.#nextLookMs);
    this.#onIdle();
  }

  get #nextLookMs(): number {
    return this.#outgoing === null ? this.#timeoutMs : this.#timeoutMs / 4;
  }

  /** Notes what progress the peer has made. @returns Whether bytes are on their way to it. */
  #look(now: number): boolean {
    const outgoing = this.#outgoing;
    if (outgoing === null) return false;
    if (this.#acknowledged === this.#sent) return outgoing.pendingBytes > 0;
    const acknowledged = this.#sent - untaken(outgoing);
    if (acknowledged > this.#acknowledged) this.#progressAt = now;
    this.#acknowledged = acknowledged;
    return acknowledged < this.#sent || outgoing.pendingBytes > 0;
  }
}

/** How many bytes the kernel has that the peer has not. */
function untaken({ pendingBytes, unacknowledgedBytes }: Outgoing): number {
  return unacknowledgedBytes - pendingBytes;
}

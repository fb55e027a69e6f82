import type { Timer, Timers } from "./timers.ts";

/**
 * Calls back when nothing was touched for so long.
 *
 * @remarks
 * A touch only notes the time: the timer is looked at when it fires, not each time that a byte moves.
 */
export class IdleTimeout {
  readonly #timers: Timers;
  readonly #timeoutMs: number;
  readonly #onIdle: () => void;
  #touchedAt = performance.now();
  #timer: Timer;

  constructor(timers: Timers, timeoutMs: number, onIdle: () => void) {
    this.#timers = timers;
    this.#timeoutMs = timeoutMs;
    this.#onIdle = onIdle;
    this.#timer = this.#wait(timeoutMs);
  }

  touch(): void {
    this.#touchedAt = performance.now();
  }

  cancel(): void {
    this.#timer.cancel();
  }

  #wait(ms: number): Timer {
    return this.#timers.limit(ms, () => this.#fired());
  }

  #fired(): void {
    const left = this.#touchedAt + this.#timeoutMs - performance.now();
    if (left > 0) {
      this.#timer = this.#wait(left);
      return;
    }
    this.touch();
    // Waits again before it is told: who is told may cancel.
    this.#timer = this.#wait(this.#timeoutMs);
    this.#onIdle();
  }
}

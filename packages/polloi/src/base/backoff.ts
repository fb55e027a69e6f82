const FIRST_DELAY_MS = 50;
const MAX_DELAY_MS = 1000;

/** Exponential back-off: the delay before the next attempt doubles with each failure in a row, from 50 ms to a second. */
export class Backoff {
  #delayMs = 0;

  /**
   * Counts a failure.
   *
   * @returns The delay before the next attempt, in milliseconds; and whether the failure is the first in a row.
   */
  next(): { readonly delayMs: number; readonly isFirst: boolean } {
    const isFirst = this.#delayMs === 0;
    this.#delayMs = isFirst ? FIRST_DELAY_MS : Math.min(2 * this.#delayMs, MAX_DELAY_MS);
    return { delayMs: this.#delayMs, isFirst };
  }

  /** An attempt has succeeded. The next failure is the first again. */
  reset(): void {
    this.#delayMs = 0;
  }
}

import type { Reactor, Timer } from "polloi";

/** Shorter delays are extended to this: a timer that is due at once would starve the connections. */
const MIN_DELAY_MS = 0.05;

/** Timers that are cancelled together. */
export class TimerGroup {
  readonly #reactor: Reactor;
  readonly #timers = new Set<Timer>();
  #cancelled = false;

  constructor(reactor: Reactor) {
    this.#reactor = reactor;
  }

  /** Calls back once. */
  after(delayMs: number, callback: () => void): void {
    const timer = this.#reactor.setTimer(Math.max(delayMs, MIN_DELAY_MS), () => {
      this.#timers.delete(timer);
      callback();
    });
    this.#timers.add(timer);
  }

  /** Calls back repeatedly, until the group is cancelled. */
  repeat(delayMs: number, callback: () => void): void {
    const timer = this.#reactor.setTimer(delayMs, () => {
      callback();
      if (!this.#cancelled) timer.refresh();
    });
    this.#timers.add(timer);
  }

  cancel(): void {
    this.#cancelled = true;
    for (const timer of this.#timers) timer.cancel();
  }
}

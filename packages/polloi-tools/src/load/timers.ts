import type { Reactor, Timer } from "polloi";

/** A timer that is set for less is set for so long: one that is due at once would keep others from their turn. */
const SHORTEST_MS = 0.05;

/** The timers of a crowd, which end with it. */
export class CrowdTimers {
  readonly #reactor: Reactor;
  readonly #timers = new Set<Timer>();
  #cancelled = false;

  constructor(reactor: Reactor) {
    this.#reactor = reactor;
  }

  after(delayMs: number, callback: () => void): void {
    const timer = this.#reactor.setTimer(Math.max(delayMs, SHORTEST_MS), () => {
      this.#timers.delete(timer);
      callback();
    });
    this.#timers.add(timer);
  }

  /** Until they are cancelled. */
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

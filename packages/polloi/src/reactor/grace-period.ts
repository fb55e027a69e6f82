import type { Loop } from "./loop.ts";
import type { Timer } from "./timers.ts";

/** How connections end when what has accepted or adopted them stops. */
interface Ending {
  /** Lets each connection finish what it has begun. */
  readonly finish: () => void;
  /** Ends what is left. */
  readonly cutOff: () => void;
}

/** The end of a listener or a server that stops: connections may finish within a time, and are cut off after it. */
export class GracePeriod {
  /** Resolves when {@link GracePeriod.end} is called. Never rejects. */
  readonly ended: Promise<void>;
  readonly #loop: Loop;
  readonly #ending: Ending;
  #resolveEnded: () => void = () => {};
  #cutOffAt = Number.POSITIVE_INFINITY;
  #cutOffTimer: Timer | undefined;
  #finishTimer: Timer | undefined;

  constructor(loop: Loop, ending: Ending) {
    this.#loop = loop;
    this.#ending = ending;
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
  }

  /** Begins, or ends earlier: a later end than before is ignored. 0 cuts off at once. */
  limit(graceMs: number): void {
    const { kernel, timers } = this.#loop;
    const cutOffAt = kernel.now() + graceMs;
    if (cutOffAt < this.#cutOffAt) {
      this.#cutOffAt = cutOffAt;
      this.#cutOffTimer?.cancel();
      if (graceMs > 0) this.#cutOffTimer = timers.add(graceMs, this.#ending.cutOff, false);
    }
    if (graceMs === 0) this.#ending.cutOff();
    // In the next turn, so that a handler that stops its own server can still reply.
    else this.#finishTimer ??= timers.add(0, this.#ending.finish, false);
  }

  /** Nothing is left. */
  end(): void {
    this.#cutOffTimer?.cancel();
    this.#finishTimer?.cancel();
    this.#resolveEnded();
  }
}

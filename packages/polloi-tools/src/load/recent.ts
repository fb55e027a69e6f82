import { Latency } from "./latency.ts";
import type { LoadSnapshot } from "./snapshot.ts";

/** How many parts the window has that {@link Recent} looks back on. */
const PARTS = 4;

/** A part of the window: what was recorded in it, and since when. */
interface Part {
  readonly latency: Latency;
  begun: number;
}

/**
 * What a load has done lately: a window of the last few ticks.
 *
 * @remarks
 * One tick alone would not do. Over ten thousand connections answers come in bursts, and a tick between two
 * of them would show a server that stands still.
 */
export class Recent {
  readonly #parts: readonly Part[] = Array.from({ length: PARTS }, () => ({
    latency: new Latency(),
    begun: 0,
  }));
  readonly #window: Latency = new Latency();
  #at = 0;

  /** What was recorded since the last tick. */
  get sinceTick(): Latency {
    return (this.#parts[this.#at] as Part).latency;
  }

  /** Forgets everything: the window begins now. */
  reset(now: number): void {
    for (const part of this.#parts) {
      part.latency.reset();
      part.begun = now;
    }
  }

  /** Ends a part of the window, and begins the next. @returns What the window shows. */
  tick(now: number): Pick<LoadSnapshot, "messagesPerSecond" | "recentMs"> {
    const window = this.#window;
    window.reset();
    for (const { latency } of this.#parts) window.add(latency);
    const seconds = (now - Math.min(...this.#parts.map(({ begun }) => begun))) / 1000;
    this.#at = (this.#at + 1) % PARTS;
    const next = this.#parts[this.#at] as Part;
    next.latency.reset();
    next.begun = now;
    return {
      messagesPerSecond: seconds > 0 ? window.count / seconds : 0,
      recentMs: { p50: window.at(50), p99: window.at(99), max: window.at(100) },
    };
  }
}

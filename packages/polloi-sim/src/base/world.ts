import type { Choices } from "./choices.ts";
import type { Clock } from "./clock.ts";
import type { Faults } from "./faults.ts";

/** An action that was scheduled. */
export interface Scheduled {
  /** Safe to call twice, and after it has run. */
  cancel(): void;
}

interface Entry extends Scheduled {
  readonly time: number;
  /** Orders entries of the same time. */
  readonly order: number;
  action: (() => void) | undefined;
}

/** Nothing that is scheduled can ever end a wait: the program has lost a wake-up. */
export class DeadlockError extends Error {
  override readonly name = "DeadlockError";
}

/** After this many actions without an end, a wait is endless. */
const MAX_ACTIONS = 10_000_000;
/** The parts of a millisecond. It is a power of two, so that times are exact. */
const TICKS = 2 ** 20;

/**
 * Everything that happens outside of the program: bytes that travel, timers that expire, peers that act.
 *
 * @remarks
 * Everything that happens later is an action that is scheduled. Actions run while somebody waits, and before a call if
 * they are due by then. An action may not wait. The order of actions of the same time is decided by the seed.
 */
export class World {
  readonly choices: Choices;
  readonly faults: Faults;
  readonly clock: Clock;
  /** A heap by time and order. */
  readonly #entries: Entry[] = [];
  #count = 0;
  #ran = 0;
  #running = false;

  constructor(choices: Choices, faults: Faults, clock: Clock) {
    this.choices = choices;
    this.faults = faults;
    this.clock = clock;
  }

  /** The monotonic time in milliseconds, with fractions. */
  now(): number {
    return this.clock.now();
  }

  /** The number of actions that have run. */
  get ran(): number {
    return this.#ran;
  }

  /**
   * The time in `delayMs`, as a deadline.
   *
   * @remarks
   * It is rounded up to less than a nanosecond, because the sum of two fractions may be a little less than it should
   * be, and no wait is shorter than its timeout.
   */
  timeIn(delayMs: number): number {
    return Math.ceil((this.now() + delayMs) * TICKS) / TICKS;
  }

  /** Runs `action` after `delayMs`, or later. */
  schedule(delayMs: number, action: () => void): Scheduled {
    const order = this.#count++;
    const shuffled = this.faults.happens("order") ? order - this.choices.below(8) : order;
    const entry: Entry = {
      time: this.timeIn(delayMs),
      order: shuffled,
      action,
      cancel() {
        entry.action = undefined;
      },
    };
    this.#push(entry);
    this.clock.wakeAt(entry.time, this.#wake);
    return entry;
  }

  /** Whether anything is scheduled. */
  get isIdle(): boolean {
    return this.#peek() === undefined;
  }

  /** Runs the actions that are due. */
  catchUp(): void {
    if (this.#running) return;
    const now = this.now();
    for (let entry = this.#peek(); entry !== undefined && entry.time <= now; entry = this.#peek()) {
      this.#run(entry);
    }
  }

  /**
   * Runs actions, and moves the clock to them, until `isOver` returns true or the deadline has come.
   *
   * @param deadline - In the time of {@link World.now}; `Infinity` for none.
   * @returns Whether `isOver` returned true.
   * @throws DeadlockError when nothing is scheduled and there is no deadline.
   */
  waitUntil(isOver: () => boolean, deadline: number): boolean {
    for (let count = 0; count < MAX_ACTIONS; count++) {
      this.catchUp();
      if (isOver()) return true;
      const next = this.#peek();
      const time = next === undefined ? deadline : Math.min(next.time, deadline);
      if (time === Number.POSITIVE_INFINITY) {
        throw new DeadlockError("Cannot wait: nothing is scheduled that could end this wait");
      }
      this.clock.sleepUntil(time);
      if (this.now() >= deadline && (next === undefined || next.time > deadline)) {
        return isOver();
      }
    }
    throw new DeadlockError(`Cannot wait: ${MAX_ACTIONS} actions have not ended this wait`);
  }

  /** Runs the next action, at its time. @returns false when there is none. */
  step(): boolean {
    const next = this.#peek();
    if (next === undefined) return false;
    this.clock.sleepUntil(next.time);
    this.#run(next);
    return true;
  }

  /** Runs one action, so that each is a task of its own for the runtime. */
  readonly #wake = (): void => {
    const due = this.#peek();
    if (due !== undefined && due.time <= this.now() && !this.#running) this.#run(due);
    const next = this.#peek();
    if (next !== undefined) this.clock.wakeAt(next.time, this.#wake);
  };

  #run(entry: Entry): void {
    this.#pop();
    const { action } = entry;
    entry.action = undefined;
    this.#ran++;
    this.#running = true;
    try {
      action?.();
    } finally {
      this.#running = false;
    }
  }

  /** The first entry that was not cancelled. */
  #peek(): Entry | undefined {
    for (;;) {
      const first = this.#entries[0];
      if (first === undefined || first.action !== undefined) return first;
      this.#pop();
    }
  }

  #push(entry: Entry): void {
    const heap = this.#entries;
    let at = heap.length;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above] as Entry;
      if (!isBefore(entry, parent)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#entries;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      const right = heap[below + 1];
      if (right !== undefined && isBefore(right, heap[below] as Entry)) below++;
      if (!isBefore(heap[below] as Entry, last)) break;
      heap[at] = heap[below] as Entry;
      at = below;
    }
    heap[at] = last;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order);
}

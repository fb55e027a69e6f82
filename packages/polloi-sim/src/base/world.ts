import { Agenda, Entry, isBefore } from "./agenda.ts";
import type { Choices } from "./choices.ts";
import type { Clock } from "./clock.ts";
import type { Faults } from "./faults.ts";

/** An action that was scheduled. */
export interface Scheduled {
  /** Safe to call twice, and after it has run. */
  cancel(): void;
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
 *
 * A program that is hosted in an event loop runs in tasks. A task may wait, and runs neither within a call nor while a
 * call waits, because the program has one thread.
 */
export class World {
  readonly choices: Choices;
  readonly faults: Faults;
  readonly clock: Clock;
  readonly #actions: Agenda = new Agenda();
  readonly #tasks: Agenda = new Agenda();
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
    return this.#add(this.#actions, delayMs, action, shuffled);
  }

  /** Runs `task` after `delayMs`, or later, as a task of the program. */
  scheduleTask(delayMs: number, task: () => void): Scheduled {
    // A runtime calls back in the order of its timers.
    return this.#add(this.#tasks, delayMs, task, this.#count++);
  }

  /** Whether anything is scheduled. */
  get isIdle(): boolean {
    return this.#first() === undefined;
  }

  /** Runs the actions that are due. */
  catchUp(): void {
    if (this.#running) return;
    const now = this.now();
    for (let next = this.#actions.first(); next !== undefined && next.time <= now; ) {
      this.#runAction(next);
      next = this.#actions.first();
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
      const next = this.#actions.first();
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

  /** Runs the next action or task, at its time. @returns false when there is none. */
  step(): boolean {
    const next = this.#first();
    if (next === undefined) return false;
    this.clock.sleepUntil(next.time);
    this.#run(next);
    return true;
  }

  /** Runs one action or task, so that each is a task of its own for the runtime. */
  readonly #wake = (): void => {
    const due = this.#first();
    try {
      if (due !== undefined && due.time <= this.now() && !this.#running) this.#run(due);
    } finally {
      const next = this.#first();
      if (next !== undefined) this.clock.wakeAt(next.time, this.#wake);
    }
  };

  #add(agenda: Agenda, delayMs: number, action: () => void, order: number): Scheduled {
    const entry = new Entry(this.timeIn(delayMs), order, action);
    agenda.add(entry);
    this.clock.wakeAt(entry.time, this.#wake);
    return entry;
  }

  #first(): Entry | undefined {
    const action = this.#actions.first();
    const task = this.#tasks.first();
    if (action === undefined || task === undefined) return action ?? task;
    return isBefore(task, action) ? task : action;
  }

  #run(entry: Entry): void {
    if (entry === this.#actions.first()) this.#runAction(entry);
    else this.#runTask(entry);
  }

  #runAction(entry: Entry): void {
    this.#actions.removeFirst();
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

  #runTask(entry: Entry): void {
    this.#tasks.removeFirst();
    const { action } = entry;
    entry.action = undefined;
    this.#ran++;
    action?.();
  }
}

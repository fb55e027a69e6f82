import { printAs } from "../base/inspect.ts";
import type { Clock } from "../sys/kernel.ts";

/** A timer of a reactor: see {@link Reactor.setTimer}. */
export interface Timer {
  /** Whether it will still fire. */
  readonly active: boolean;
  /** Restarts the delay from now, whether the timer has fired or not. */
  refresh(): void;
  /** Stops the timer. Calling it twice is safe. */
  cancel(): void;
  /** Keeps the process alive again after {@link Timer.unref}. Calling it twice has no effect. */
  ref(): void;
  /**
   * Allows the process to end, and `run()` to return, before the timer fires. By default a timer keeps the process alive
   * until it has fired. Calling it twice has no effect.
   */
  unref(): void;
}

/** The index of a timer that is not in the heap. */
const NOWHERE = -1;

class HeapTimer implements Timer {
  static {
    printAs(HeapTimer, ({ delayMs, active }) => ({ delayMs, active }), "Timer");
  }

  readonly #timers: Timers;
  readonly delayMs: number;
  readonly callback: () => void;
  keepsAlive: boolean;
  readonly isLimit: boolean;
  deadline = 0;
  /** Orders timers of the same deadline. */
  order = 0;
  index: number = NOWHERE;

  constructor(
    timers: Timers,
    delayMs: number,
    callback: () => void,
    { keepsAlive, isLimit }: { readonly keepsAlive: boolean; readonly isLimit: boolean },
  ) {
    this.#timers = timers;
    this.delayMs = delayMs;
    this.callback = callback;
    this.keepsAlive = keepsAlive;
    this.isLimit = isLimit;
  }

  get active(): boolean {
    return this.index !== NOWHERE;
  }

  refresh(): void {
    this.#timers.schedule(this);
  }

  cancel(): void {
    this.#timers.cancel(this);
  }

  ref(): void {
    this.#timers.keepAlive(this, true);
  }

  unref(): void {
    this.#timers.keepAlive(this, false);
  }
}

/**
 * The timers of one reactor: a binary heap, earliest first, and those of the same deadline in the order in which they
 * were set.
 *
 * @remarks
 * Each timer stores its index, so cancelling and refreshing cost O(log n) and leave no entry behind.
 */
export class Timers {
  readonly #heap: HeapTimer[] = [];
  /** The timers that are being called back. */
  #due: HeapTimer[] = [];
  /** Limits that have expired, in the order of their deadlines. */
  #overdue: HeapTimer[] = [];
  readonly #clock: Clock;
  readonly #onEarlier: () => void;
  readonly #reference: (change: 1 | -1) => void;
  #scheduled = 0;

  /**
   * @param clock - The time of the deadlines: a kernel.
   * @param onEarlier - Called when the first deadline moves closer, so that a wait must be shortened.
   * @param reference - Called when a timer that keeps the process alive starts (`1`) or ends (`-1`).
   */
  constructor(clock: Clock, onEarlier: () => void, reference: (change: 1 | -1) => void) {
    this.#clock = clock;
    this.#onEarlier = onEarlier;
    this.#reference = reference;
  }

  /** The time of the kernel. */
  now(): number {
    return this.#clock.now();
  }

  /** The number of timers that will fire, without the limits that are {@link Timers.overdue}. */
  get size(): number {
    return this.#heap.length;
  }

  /** The number of limits that wait for {@link Timers.fireLimits}. */
  get overdue(): number {
    return this.#overdue.length;
  }

  /** The number of timers that keep the process alive. */
  get keepingAlive(): number {
    return this.#heap.reduce((count, { keepsAlive }) => (keepsAlive ? count + 1 : count), 0);
  }

  /** The number of timers that do not keep it alive and will fire: those of the reactor itself, mostly limits. */
  get internal(): number {
    const overdue = this.#overdue.filter((timer) => isOverdue(timer));
    return this.#heap.length - this.keepingAlive + overdue.length;
  }

  /** The first deadline, in the time of the kernel; `Infinity` if there is none. */
  get deadline(): number {
    return this.#heap[0]?.deadline ?? Number.POSITIVE_INFINITY;
  }

  /** @param keepsAlive - Whether the timer keeps the process alive until it has fired. */
  add(delayMs: number, callback: () => void, keepsAlive: boolean): Timer {
    const timer = new HeapTimer(this, delayMs, callback, { keepsAlive, isLimit: false });
    this.schedule(timer);
    return timer;
  }

  /**
   * Adds a limit: a timeout for a peer. It does not keep the process alive.
   *
   * @remarks
   * Data that arrived before the deadline counts, even if it was not received yet: after a stall the engine reports
   * first. Therefore an expired limit waits for {@link Timers.fireLimits}, and the callbacks of what is reported
   * meanwhile may cancel or refresh it.
   */
  limit(delayMs: number, callback: () => void): Timer {
    const timer = new HeapTimer(this, delayMs, callback, { keepsAlive: false, isLimit: true });
    this.schedule(timer);
    return timer;
  }

  /** Fires the timers that are due, without the limits and the timers that are added meanwhile. @returns How many. */
  fire(invoke: (callback: () => void) => void): number {
    const now = this.#clock.now();
    const due: HeapTimer[] = [];
    for (let first = this.#heap[0]; first !== undefined && first.deadline <= now; ) {
      this.#remove(first);
      (first.isLimit ? this.#overdue : due).push(first);
      first = this.#heap[0];
    }
    this.#due = due;
    this.#invoke(due, now, invoke);
    return due.length;
  }

  /**
   * Fires the first `count` limits that are overdue.
   *
   * @returns The number of limits that fired.
   */
  fireLimits(count: number, invoke: (callback: () => void) => void): number {
    return this.#invoke(this.#overdue.splice(0, count), this.#clock.now(), invoke);
  }

  schedule(timer: HeapTimer): void {
    timer.deadline = this.#clock.now() + timer.delayMs;
    timer.order = this.#scheduled++;
    if (timer.index === NOWHERE) {
      timer.index = this.#heap.length;
      this.#heap.push(timer);
      this.#rise(timer);
      if (timer.keepsAlive) this.#reference(1);
    } else {
      this.#sink(timer);
      this.#rise(timer);
    }
    if (timer.index === 0) this.#onEarlier();
  }

  cancel(timer: HeapTimer): void {
    if (timer.index !== NOWHERE) this.#remove(timer);
    timer.deadline = Number.POSITIVE_INFINITY;
  }

  /** Sets whether a timer keeps the process alive. */
  keepAlive(timer: HeapTimer, keepsAlive: boolean): void {
    if (timer.keepsAlive === keepsAlive) return;
    timer.keepsAlive = keepsAlive;
    if (timer.index !== NOWHERE) this.#reference(keepsAlive ? 1 : -1);
  }

  /** Cancels all timers. */
  clear(): void {
    for (const timer of [...this.#due, ...this.#overdue]) this.cancel(timer);
    this.#overdue = [];
    while (this.#heap.length > 0) this.cancel(this.#heap[this.#heap.length - 1] as HeapTimer);
  }

  #invoke(due: HeapTimer[], now: number, invoke: (callback: () => void) => void): number {
    let invoked = 0;
    for (const timer of due) {
      if (!isOverdue(timer) || timer.deadline > now) continue;
      invoked++;
      invoke(timer.callback);
    }
    return invoked;
  }

  #remove(timer: HeapTimer): void {
    const { index } = timer;
    const last = this.#heap.pop() as HeapTimer;
    timer.index = NOWHERE;
    if (last !== timer) {
      this.#place(last, index);
      this.#sink(last);
      this.#rise(last);
    }
    if (timer.keepsAlive) this.#reference(-1);
  }

  #rise(timer: HeapTimer): void {
    let { index } = timer;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = this.#heap[above] as HeapTimer;
      if (!isBefore(timer, parent)) break;
      this.#place(parent, index);
      index = above;
    }
    this.#place(timer, index);
  }

  #sink(timer: HeapTimer): void {
    let { index } = timer;
    for (;;) {
      const left = 2 * index + 1;
      let child = this.#heap[left];
      if (child === undefined) break;
      const right = this.#heap[left + 1];
      if (right !== undefined && isBefore(right, child)) child = right;
      if (!isBefore(child, timer)) break;
      const below = child.index;
      this.#place(child, index);
      index = below;
    }
    this.#place(timer, index);
  }

  #place(timer: HeapTimer, index: number): void {
    timer.index = index;
    this.#heap[index] = timer;
  }
}

/** Whether a timer that was removed from the heap must still fire: it was neither cancelled nor refreshed since. */
function isOverdue({ index, deadline }: HeapTimer): boolean {
  return index === NOWHERE && deadline !== Number.POSITIVE_INFINITY;
}

function isBefore(a: HeapTimer, b: HeapTimer): boolean {
  return a.deadline < b.deadline || (a.deadline === b.deadline && a.order < b.order);
}

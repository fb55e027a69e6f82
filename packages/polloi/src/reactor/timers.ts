import { printAs } from "../base/inspect.ts";

/** Something that happens at a time: see {@link Reactor.setTimer}. */
export interface Timer {
  /** Whether it has still to fire. */
  readonly active: boolean;
  /** Starts its time again from now, whether it has fired or not. */
  refresh(): void;
  /** It will not fire. Safe to call twice. */
  cancel(): void;
}

/** Not in the heap. */
const NOWHERE = -1;

class HeapTimer implements Timer {
  static {
    printAs(HeapTimer, ({ delayMs, active }) => ({ delayMs, active }), "Timer");
  }

  readonly #timers: Timers;
  readonly delayMs: number;
  readonly callback: () => void;
  readonly keepsAlive: boolean;
  readonly isLimit: boolean;
  deadline = 0;
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
}

/**
 * The timers of one reactor: a binary heap, earliest first.
 *
 * @remarks
 * Each timer knows its place, so cancelling and refreshing cost O(log n) and leave nothing behind.
 */
export class Timers {
  readonly #heap: HeapTimer[] = [];
  /** Those that are being called back. */
  #due: HeapTimer[] = [];
  /** Limits whose time is up, in the order of their deadlines. */
  #overdue: HeapTimer[] = [];
  readonly #onEarlier: () => void;
  readonly #reference: (change: 1 | -1) => void;

  /**
   * @param onEarlier - Called when the first deadline has come nearer: who waits must wait less.
   * @param reference - Called when a timer that keeps the process alive starts (`1`) or ends (`-1`).
   */
  constructor(onEarlier: () => void, reference: (change: 1 | -1) => void) {
    this.#onEarlier = onEarlier;
    this.#reference = reference;
  }

  /** How many have still to fire, without the limits that are {@link Timers.overdue}. */
  get size(): number {
    return this.#heap.length;
  }

  /** How many limits wait for {@link Timers.fireLimits}. */
  get overdue(): number {
    return this.#overdue.length;
  }

  /** How many of them keep the process alive. */
  get keepingAlive(): number {
    return this.#heap.reduce((count, { keepsAlive }) => (keepsAlive ? count + 1 : count), 0);
  }

  /** How many do not, and have still to fire: those of the reactor itself, limits above all. */
  get internal(): number {
    const overdue = this.#overdue.filter((timer) => isOverdue(timer));
    return this.#heap.length - this.keepingAlive + overdue.length;
  }

  /** When the first one fires; `Infinity` when there is none. */
  get deadline(): number {
    return this.#heap[0]?.deadline ?? Number.POSITIVE_INFINITY;
  }

  /** @param keepsAlive - Whether the process must not end before it has fired. */
  add(delayMs: number, callback: () => void, keepsAlive: boolean): Timer {
    const timer = new HeapTimer(this, delayMs, callback, { keepsAlive, isLimit: false });
    this.schedule(timer);
    return timer;
  }

  /**
   * Adds a limit: how long a peer may take for something. It does not keep the process alive.
   *
   * @remarks
   * What has arrived before the deadline counts, even if nobody has looked at it: after a stall the engine reports
   * first. So a limit that is due only waits for {@link Timers.fireLimits}, and the call-backs of what is reported
   * meanwhile may cancel or refresh it.
   */
  limit(delayMs: number, callback: () => void): Timer {
    const timer = new HeapTimer(this, delayMs, callback, { keepsAlive: false, isLimit: true });
    this.schedule(timer);
    return timer;
  }

  /** Calls back every timer that is due and is not a limit, and none that is added meanwhile. */
  fire(invoke: (callback: () => void) => void): number {
    const now = performance.now();
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
   * Calls back the first `count` limits that are overdue.
   *
   * @returns How many were called back.
   */
  fireLimits(count: number, invoke: (callback: () => void) => void): number {
    return this.#invoke(this.#overdue.splice(0, count), performance.now(), invoke);
  }

  schedule(timer: HeapTimer): void {
    timer.deadline = performance.now() + timer.delayMs;
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

  /** Cancels all. */
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
      if (parent.deadline <= timer.deadline) break;
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
      if (right !== undefined && right.deadline < child.deadline) child = right;
      if (timer.deadline <= child.deadline) break;
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

/** Whether a timer that was taken out of the heap has still to fire: it was neither cancelled nor refreshed since. */
function isOverdue({ index, deadline }: HeapTimer): boolean {
  return index === NOWHERE && deadline !== Number.POSITIVE_INFINITY;
}

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
  readonly #timers: Timers;
  readonly delayMs: number;
  readonly callback: () => void;
  readonly keepsAlive: boolean;
  deadline = 0;
  index: number = NOWHERE;

  constructor(timers: Timers, delayMs: number, callback: () => void, keepsAlive: boolean) {
    this.#timers = timers;
    this.delayMs = delayMs;
    this.callback = callback;
    this.keepsAlive = keepsAlive;
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

  /** How many have still to fire. */
  get size(): number {
    return this.#heap.length;
  }

  /** How many of them keep the process alive. */
  get keepingAlive(): number {
    return this.#heap.reduce((count, { keepsAlive }) => (keepsAlive ? count + 1 : count), 0);
  }

  /** When the first one fires; `Infinity` when there is none. */
  get deadline(): number {
    return this.#heap[0]?.deadline ?? Number.POSITIVE_INFINITY;
  }

  /** @param keepsAlive - Whether the process must not end before it has fired. */
  add(delayMs: number, callback: () => void, keepsAlive: boolean): Timer {
    const timer = new HeapTimer(this, delayMs, callback, keepsAlive);
    this.schedule(timer);
    return timer;
  }

  /** Calls back every timer that is due, and none that is added meanwhile. */
  fire(invoke: (callback: () => void) => void): number {
    const now = performance.now();
    const due: HeapTimer[] = [];
    for (let first = this.#heap[0]; first !== undefined && first.deadline <= now; ) {
      this.#remove(first);
      due.push(first);
      first = this.#heap[0];
    }
    this.#due = due;
    for (const timer of due) {
      // One before it may have cancelled or refreshed it; both leave their mark.
      if (timer.index === NOWHERE && timer.deadline <= now) invoke(timer.callback);
    }
    return due.length;
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
    for (const timer of this.#due) this.cancel(timer);
    while (this.#heap.length > 0) this.cancel(this.#heap[this.#heap.length - 1] as HeapTimer);
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

/** Something that waits for a file. */
export interface Waiter {
  /** Whether one wake-up is meant for one such waiter. */
  readonly isExclusive: boolean;
  /**
   * The file may be ready.
   *
   * @param mask - The POLL* bits that the wake-up is about; 0 when it may be about any of them.
   * @returns Whether the waiter takes the wake-up. An exclusive one that does ends it.
   */
  wake(mask: number): boolean;
}

/**
 * The waiters of a file.
 *
 * @remarks
 * Exclusive waiters come after all others, and one of them is woken. Source: kernel/sched/wait.c,
 * __wake_up_common, add_wait_queue and add_wait_queue_exclusive.
 */
export class WaitQueue {
  #waiters: Waiter[] = [];
  /** Whether {@link WaitQueue.#waiters} is being read, so that a change needs a copy. */
  #isRead = false;

  get size(): number {
    return this.#waiters.length;
  }

  add(waiter: Waiter): void {
    const waiters = this.#changing();
    if (waiter.isExclusive) waiters.push(waiter);
    else waiters.unshift(waiter);
  }

  remove(waiter: Waiter): void {
    const index = this.#waiters.indexOf(waiter);
    if (index >= 0) this.#changing().splice(index, 1);
  }

  /** @param mask - The POLL* bits that the wake-up is about. */
  wake(mask: number): void {
    const waiters = this.#waiters;
    const wasRead = this.#isRead;
    this.#isRead = true;
    for (const waiter of waiters) {
      if (waiter.wake(mask) && waiter.isExclusive) break;
    }
    if (waiters === this.#waiters) this.#isRead = wasRead;
  }

  /** Wakes all, exclusive ones too, about anything. Source: include/linux/wait.h, wake_up_interruptible_all */
  wakeAll(): void {
    const waiters = this.#waiters;
    const wasRead = this.#isRead;
    this.#isRead = true;
    for (const waiter of waiters) waiter.wake(0);
    if (waiters === this.#waiters) this.#isRead = wasRead;
  }

  /** The waiters as an array that nobody reads, because a waiter may come or go while the others are woken. */
  #changing(): Waiter[] {
    if (this.#isRead) {
      this.#waiters = this.#waiters.slice();
      this.#isRead = false;
    }
    return this.#waiters;
  }
}

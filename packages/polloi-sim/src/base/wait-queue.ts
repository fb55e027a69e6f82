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

  get size(): number {
    return this.#waiters.length;
  }

  add(waiter: Waiter): void {
    // A copy, because a waiter may come or go while the others are woken.
    this.#waiters = waiter.isExclusive ? [...this.#waiters, waiter] : [waiter, ...this.#waiters];
  }

  remove(waiter: Waiter): void {
    if (this.#waiters.includes(waiter)) {
      this.#waiters = this.#waiters.filter((each) => each !== waiter);
    }
  }

  /** @param mask - The POLL* bits that the wake-up is about. */
  wake(mask: number): void {
    const waiters = this.#waiters;
    for (const waiter of waiters) {
      if (waiter.wake(mask) && waiter.isExclusive) return;
    }
  }

  /** Wakes all, exclusive ones too, about anything. Source: include/linux/wait.h, wake_up_interruptible_all */
  wakeAll(): void {
    for (const waiter of this.#waiters) waiter.wake(0);
  }
}

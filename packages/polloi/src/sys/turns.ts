/** The runtime's own I/O is polled at least at this interval. */
const POLL_INTERVAL_MS = 1;

/**
 * Schedules callbacks for the next turn of the runtime's loop, as `setImmediate` does, but fair to the runtime's I/O.
 *
 * @remarks
 * Deno polls its descriptors and timers only when it has nothing else to run, or once in about 3,700 turns (a scheduler
 * of 61 tasks within another one of 61). A callback that always schedules another one therefore starves `fetch` and
 * node:net. Every {@link POLL_INTERVAL_MS}, all callbacks wait until the runtime has polled. All of them wait,
 * because the runtime polls only when no callback is due.
 */
export class Turns {
  readonly #poll: (() => Promise<unknown>) | undefined;
  /** The callbacks that wait for the poll under way. */
  #waiting: (() => void)[] | undefined;
  #polledAt = 0;

  /**
   * @param poll - Resolves once the runtime has polled its own I/O. It is omitted where every turn of the loop polls.
   */
  constructor(poll?: () => Promise<unknown>) {
    this.#poll = poll;
  }

  /**
   * Calls back in the next turn, as a task of its own.
   *
   * @param keepAlive - Whether the callback keeps the process alive.
   */
  soon(callback: () => void, keepAlive = true): void {
    if (this.#waiting !== undefined) {
      this.#waiting.push(callback);
    } else if (this.#poll !== undefined && performance.now() - this.#polledAt >= POLL_INTERVAL_MS) {
      this.#waiting = [callback];
      this.#poll().then(() => this.polled());
    } else {
      const immediate = setImmediate(callback);
      if (!keepAlive) immediate.unref();
    }
  }

  /** The runtime has just polled its own I/O. */
  polled(): void {
    if (this.#poll === undefined) return;
    this.#polledAt = performance.now();
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const callback of waiting) setImmediate(callback);
  }
}

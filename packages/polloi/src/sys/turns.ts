/** How long turns follow each other before the runtime's own I/O is polled in between. */
const SHARE_EVERY_MS = 1;

/**
 * The next turn of the runtime's loop: `setImmediate`, but fair to the runtime's own I/O.
 *
 * @remarks
 * Deno polls its descriptors and timers only when it has nothing else to run, or once in about 3,700 turns
 * (a scheduler of 61 tasks within another one of 61). A callback that schedules the next one therefore
 * starves `fetch` and node:net. So every {@link SHARE_EVERY_MS} all callbacks wait until the runtime has
 * polled. All of them wait at once, because the runtime polls only when none is due.
 */
export class Turns {
  readonly #poll: (() => Promise<unknown>) | undefined;
  /** What is called after the poll that is under way. */
  #waiting: (() => void)[] | undefined;
  #polledAt = 0;

  /**
   * @param poll - Resolves once the runtime has polled its own I/O. Left out where every turn of the loop
   * polls it.
   */
  constructor(poll?: () => Promise<unknown>) {
    this.#poll = poll;
  }

  /**
   * Calls back in the next turn, as a task of its own.
   *
   * @param keepAlive - Whether the process lives on until then, if nothing else keeps it alive.
   */
  soon(callback: () => void, keepAlive = true): void {
    if (this.#waiting !== undefined) {
      this.#waiting.push(callback);
    } else if (this.#poll !== undefined && performance.now() - this.#polledAt >= SHARE_EVERY_MS) {
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

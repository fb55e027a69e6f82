/** How long turns follow each other before the runtime's own I/O is polled in between. */
const SHARE_EVERY_MS = 1;

/**
 * Callbacks that are due in the next turn of the runtime's loop: `setImmediate`, but fair to the runtime's I/O.
 *
 * @remarks
 * Deno polls its descriptors and timers only when it has nothing else to run, or once in about 3,700 turns
 * (a scheduler of 61 tasks within another one of 61). A callback that schedules the next one therefore
 * starves `fetch` and node:net. So every {@link SHARE_EVERY_MS} all callbacks wait until the runtime has
 * polled. They share one queue: the runtime polls only when none of them is due.
 */
export class Turns {
  readonly #poll: (() => Promise<unknown>) | undefined;
  #due: (() => void)[] = [];
  #running: (() => void)[] = [];
  #next: NodeJS.Immediate | undefined;
  #polling = false;
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
    this.#due.push(callback);
    if (this.#polling) return;
    if (this.#next !== undefined) {
      if (keepAlive) this.#next.ref();
      return;
    }
    if (this.#poll === undefined || performance.now() - this.#polledAt < SHARE_EVERY_MS) {
      this.#schedule(keepAlive);
      return;
    }
    this.#polling = true;
    this.#poll().then(() => {
      this.#polling = false;
      this.polled();
      this.#schedule(true);
    });
  }

  /** The runtime has just polled its own I/O. */
  polled(): void {
    if (this.#poll !== undefined) this.#polledAt = performance.now();
  }

  #schedule(keepAlive: boolean): void {
    this.#next = setImmediate(this.#run);
    if (!keepAlive) this.#next.unref();
  }

  readonly #run = (): void => {
    const running = this.#due;
    this.#due = this.#running;
    this.#running = running;
    this.#next = undefined;
    let ran = 0;
    try {
      while (ran < running.length) running[ran++]?.();
    } finally {
      // A callback has thrown: an uncaught exception that is handled must not stop the others.
      for (; ran < running.length; ran++) this.soon(running[ran] as () => void);
      running.length = 0;
    }
  };
}

/** A signal this soon after the first counts as the same: npm forwards what the terminal has sent to both. */
const SAME_SIGNAL_MS = 250;

/**
 * A request to stop a command, made by a signal or by the command itself.
 *
 * @remarks
 * Ctrl-C stops a command gracefully; a second Ctrl-C ends it at once.
 */
export class StopRequest implements Disposable {
  /** Resolves with the reason of the request. */
  readonly made: Promise<string>;
  readonly #second: () => void;
  readonly #signals: NodeJS.Signals[] = [];
  #madeAt = Number.POSITIVE_INFINITY;
  #resolve: (reason: string) => void = () => {};

  /** @param second - Called for each signal after the request, to end the command at once. */
  constructor(second: () => void) {
    this.#second = second;
    this.made = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.listenTo("SIGINT");
    this.listenTo("SIGTERM");
  }

  /** Makes the request on this signal too. */
  listenTo(signal: NodeJS.Signals): void {
    this.#signals.push(signal);
    process.on(signal, this.#received);
  }

  get isMade(): boolean {
    return this.#madeAt !== Number.POSITIVE_INFINITY;
  }

  /** Makes the request. A later reason is ignored. */
  readonly make = (reason: string): void => {
    this.#madeAt = Math.min(this.#madeAt, performance.now());
    this.#resolve(reason);
  };

  /**
   * Removes the signal handlers. A command that stops gracefully keeps them until the process has ended, so that a
   * further signal does not kill it.
   */
  [Symbol.dispose](): void {
    for (const signal of this.#signals) process.off(signal, this.#received);
  }

  readonly #received = (signal: string): void => {
    const isSecond = performance.now() - this.#madeAt > SAME_SIGNAL_MS;
    this.make(signal);
    if (isSecond) this.#second();
  };
}

import { DEFAULT_GRACE_MS } from "../reactor/listener.ts";
import type { Kernel, LoopTimer } from "../sys/kernel.ts";
import type { Child, ChildEvents } from "./child.ts";
import { Listeners, type ListenersOptions } from "./listeners.ts";
import type { ChildMessage, LoopEngine } from "./messages.ts";
import { type Supervision, Supervisor, type UnexpectedExit } from "./supervisor.ts";

/** How often children check a listener that they share, while one of them is unresponsive. */
const ACCEPT_INTERVAL_MS = 50;

/** The parts and callbacks of a {@link Pool}. */
export interface PoolOptions extends Supervision {
  readonly kernel: Kernel;
  /** The URL of the module, for error messages. */
  readonly module: string;
  readonly count: number;
  /** Where the children accept, if the pool listens. */
  readonly listeners?: Omit<ListenersOptions, "count"> | undefined;
  /** The name of a child in an error message. */
  readonly noun: "worker" | "process" | "thread";
  /** Whether a unix socket is shut down when the pool stops, because its children can tell. */
  readonly refusesUnix?: boolean;
  /**
   * Starts child `index`.
   *
   * @param listener - A descriptor of its listener, which it owns; -1 if the pool does not listen.
   */
  start(index: number, listener: number, events: ChildEvents): Child;
  message(index: number, message: ChildMessage): void;
  /** Child `index` has exited, whether or not that was expected. */
  ended(index: number, child: Child | undefined): void;
  exited(index: number, child: Child | undefined, exit: UnexpectedExit): void;
  responds(index: number, child: Child, responsive: boolean, silentMs: number): void;
}

/** Children that accept from the same address, each with a supervisor. */
export class Pool {
  readonly listeners: Listeners | undefined;
  readonly supervisors: readonly Supervisor[];
  /** Resolves when all children are gone. Never rejects. */
  readonly over: Promise<void>;
  /** The same, but rejects when the pool ended because children exited too often. */
  readonly finished: Promise<void>;
  engine: LoopEngine | undefined;
  stopping = false;
  readonly #options: PoolOptions;
  /** All children were ready once. */
  #started = false;
  #resolveOver: () => void = () => {};
  /** The error of the last unexpected exit. */
  #lastError: Error | undefined;
  /** The reason why the pool ends without being stopped. */
  #failure: Error | undefined;
  #acceptTimer: LoopTimer | undefined;

  /** @throws what listening throws. */
  private constructor(options: PoolOptions) {
    const { kernel, count, listeners } = options;
    this.#options = options;
    this.over = new Promise((resolve) => {
      this.#resolveOver = resolve;
    });
    this.finished = this.over.then(() => {
      if (this.#failure !== undefined) throw this.#failure;
    });
    this.listeners = listeners && new Listeners(kernel, { ...listeners, count });
    this.supervisors = Array.from({ length: count }, (_, index) => this.#supervisor(index));
  }

  /**
   * Starts all children.
   *
   * @returns When all are ready.
   * @throws what listening throws; what a child throws as it starts. Nothing is left then.
   */
  static async start(options: PoolOptions): Promise<Pool> {
    const pool = new Pool(options);
    for (const supervisor of pool.supervisors) supervisor.start();
    try {
      [pool.engine] = await Promise.all(pool.supervisors.map(({ ready }) => ready));
      pool.#started = true;
      return pool;
    } catch (error) {
      pool.stop(0);
      await pool.over;
      throw error;
    }
  }

  /** Stops all children within `graceMs` and a moment. May be called again. */
  stop(graceMs: number): void {
    this.stopping = true;
    this.#acceptTimer?.cancel();
    const { listeners } = this;
    const isUnix = listeners?.address.path !== undefined;
    const stopListening = (): void => {
      if (graceMs > 0 && (!isUnix || this.#options.refusesUnix === true)) listeners?.refuse();
      // From here on only the children have descriptors of the sockets.
      listeners?.close();
    };
    // A connection that is made between a child's last accept and its close would be reset. On a unix socket that does
    // not listen accept fails, so there children must know first that they stop.
    if (!isUnix) stopListening();
    for (const supervisor of this.supervisors) supervisor.stop(graceMs);
    if (isUnix) stopListening();
  }

  #supervisor(index: number): Supervisor {
    const { start, message, ended, exited, responds } = this.#options;
    return new Supervisor({
      ...this.#options,
      start: (events) => start(index, this.listeners?.duplicate(index) ?? -1, events),
      message: (received) => message(index, received),
      ended: (child) => ended(index, child),
      exited: (child, exit) => {
        this.#lastError = exit.error;
        exited(index, child, exit);
      },
      responds: (child, responsive, silentMs) => responds(index, child, responsive, silentMs),
      changed: () => this.#changed(),
    });
  }

  #changed(): void {
    if (!this.stopping) {
      for (const [index, { givenUp }] of this.supervisors.entries()) {
        if (givenUp) this.listeners?.giveUp(index);
      }
      this.#steer();
    }
    this.#checkEnd();
  }

  /** Sends new connections to the children that accept them. */
  #steer(): void {
    const { supervisors, listeners } = this;
    if (listeners === undefined) return;
    listeners.steer((index) => supervisors[index]?.accepts === true);
    const someUnresponsive = supervisors.some(({ state }) => state === "unresponsive");
    if (someUnresponsive === (this.#acceptTimer !== undefined)) return;
    this.#acceptTimer?.cancel();
    this.#acceptTimer = undefined;
    // The kernel wakes one child for each connection, which may be the unresponsive one.
    if (someUnresponsive && listeners.isShared) this.#acceptLater();
  }

  #acceptLater(): void {
    this.#acceptTimer = this.#options.kernel.after(ACCEPT_INTERVAL_MS, () => {
      this.#acceptLater();
      for (const { state, child } of this.supervisors) {
        if (state === "running") child?.acceptWaiting();
      }
    });
    this.#acceptTimer.unref();
  }

  #checkEnd(): void {
    const { supervisors } = this;
    const isRunning = this.#started && !this.stopping;
    if (supervisors.every(({ isGone }) => isGone)) {
      if (isRunning) this.#failure ??= this.#exitedTooOften(`every ${this.#options.noun}`);
      this.#acceptTimer?.cancel();
      this.listeners?.close();
      this.#resolveOver();
    } else if (isRunning && this.#options.crashLoop === "end") {
      const index = supervisors.findIndex(({ isGone }) => isGone);
      if (index < 0) return;
      this.#failure = this.#exitedTooOften(`${this.#options.noun} ${index}`);
      this.stop(DEFAULT_GRACE_MS);
    }
  }

  #exitedTooOften(which: string): Error {
    const cause = this.#lastError;
    const text = `${which} exited unexpectedly too often; the last error: ${cause?.message}`;
    return new Error(text, { cause });
  }
}

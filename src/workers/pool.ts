import type { EngineName, Reporting } from "../engine/engine.ts";
import { checkTimeout } from "../reactor/options.ts";
import type { SocketAddress } from "../socket/address.ts";
import { kernel as defaultKernel } from "../sys/open.ts";
import { Ledger } from "./ledger.ts";
import { PoolListeners } from "./listeners.ts";
import type { WorkerEngine } from "./module.ts";
import { moduleUrl, type WorkerCrash, type WorkersOptions, workerCount } from "./options.ts";
import { Slot, type SlotContext, type WorkerState } from "./slot.ts";

/** How long connections may take to have what is queued for them. */
const GRACE_MS = 2000;

/** One worker, as its pool knows it. */
export interface WorkerStatus {
  readonly index: number;
  readonly state: WorkerState;
  /** How many connections it has open. */
  readonly connections: number;
  /** How many connections it has accepted, with those of the workers that it replaces. */
  readonly accepted: number;
  /** How often a worker crashed in this place. */
  readonly crashes: number;
}

/**
 * Threads that serve one address, each with a reactor of its own.
 *
 * @remarks
 * Made by {@link startWorkers}. A worker that crashes is replaced, by one that goes on with the same
 * listener: connections that wait in its backlog lose nothing, those that it had open are closed. The
 * replacement comes after 50 ms, or twice as long with each crash of a worker that had not run for ten
 * seconds; after five of those in a row the worker is given up, and the others serve without it.
 */
export class WorkerPool implements AsyncDisposable {
  /**
   * Resolves when the pool has stopped. Rejects when its last worker had to be given up; if nobody
   * listens to that, the process fails.
   */
  readonly finished: Promise<void>;
  readonly #slots: Slot[] = [];
  readonly #listeners: PoolListeners | undefined;
  readonly #over: Promise<void>;
  #resolveOver: () => void = () => {};
  #engine: WorkerEngine | undefined;
  #lastCrash: WorkerCrash | undefined;
  #stopping = false;

  private constructor(options: WorkersOptions) {
    const { kernel = defaultKernel, listen, engine, trigger, data } = options;
    const count = workerCount(options.workers);
    const module = moduleUrl(options.module);
    this.#over = new Promise((resolve) => {
      this.#resolveOver = resolve;
    });
    this.finished = this.#over.then(() => this.#checkEnd());
    this.#listeners = listen && new PoolListeners(kernel, listen, count);
    const context: SlotContext = {
      kernel,
      ledger: Ledger.for(kernel),
      listeners: this.#listeners,
      input: { module, count, engine, trigger, data },
      crashed: (crash) => {
        this.#lastCrash = crash;
        if (options.crashed === undefined) warn(crash);
        else options.crashed(crash);
      },
      message: (message, index) => options.message?.(message, index),
      gone: () => this.#gone(),
    };
    try {
      for (let i = 0; i < count; i++) this.#slots.push(new Slot(i, context));
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  /** See {@link startWorkers}. */
  static async start(options: WorkersOptions): Promise<WorkerPool> {
    const pool = new WorkerPool(options);
    try {
      for (const slot of pool.#slots) slot.start();
      [pool.#engine] = await Promise.all(pool.#slots.map(({ ready }) => ready));
      return pool;
    } catch (error) {
      await pool.stop(0);
      throw error;
    }
  }

  /** Where it listens; null when it does not, or has been asked to stop. */
  get address(): SocketAddress | null {
    return this.#stopping ? null : (this.#listeners?.address ?? null);
  }

  /** The port it listens on; -1 when there is none. */
  get port(): number {
    return this.address?.port ?? -1;
  }

  /** The engine of its workers. */
  get engine(): EngineName {
    return (this.#engine as WorkerEngine).engine;
  }

  /** When the engine of its workers reports. */
  get trigger(): Reporting {
    return (this.#engine as WorkerEngine).trigger;
  }

  /** Every worker and what it has done, as it is now. */
  get workers(): WorkerStatus[] {
    return this.#slots.map(({ index, state, crashes, board }) => {
      return { index, state, connections: board.open, accepted: board.accepted, crashes };
    });
  }

  /**
   * How evenly connections were spread: the most that a worker accepted by the fewest. 1 is even, and
   * Infinity when one has had none and another some.
   */
  get balance(): number {
    const accepted = this.#slots.map(({ board }) => board.accepted);
    const most = Math.max(...accepted);
    return most === 0 ? 1 : most / Math.min(...accepted);
  }

  /**
   * Stops listening, lets every connection have what is queued for it, and ends the threads.
   *
   * @param graceMs - How long connections may take, in milliseconds; what is left then is cut off.
   * Default 2000. Called again, the time is counted anew from then: `stop(0)` ends a stop that takes too
   * long. A worker that does not heed, being in a loop of its own, is ended a second later;
   * Deno cannot end such a thread, and only lets go of it:
   * its peers are cut off, and what it has open is closed when its loop is over.
   * @returns When all threads have ended and nothing is open any more.
   * @throws `ERR_INVALID_TIMEOUT`
   */
  async stop(graceMs: number = GRACE_MS): Promise<void> {
    checkTimeout("graceMs", graceMs);
    this.#stopping = true;
    // Then those of the workers are the last, and what they close is closed.
    this.#listeners?.close();
    for (const slot of this.#slots) slot.stop(graceMs);
    await this.#over;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #gone(): void {
    if (!this.#slots.every(({ state }) => state === "stopped" || state === "given up")) return;
    this.#close();
    this.#resolveOver();
  }

  #close(): void {
    this.#listeners?.close();
    for (const slot of this.#slots) slot.close();
  }

  #checkEnd(): void {
    if (this.#stopping || this.#engine === undefined) return;
    const cause = this.#lastCrash?.error;
    throw new Error(`every worker crashed too often; the last with: ${cause?.message}`, { cause });
  }
}

/**
 * Starts threads that serve one address, each with a reactor and a listener of its own (SO_REUSEPORT).
 *
 * @remarks
 * Where one reactor fills its core, more of them fill more cores. On Node, Bun and Deno alike; Deno
 * needs `--allow-read` for the module beside `--allow-ffi`.
 *
 * @returns The pool, when all of its workers are ready.
 * @throws TypeError, RangeError `ERR_INVALID_OPTION`, `ERR_INVALID_ADDRESS`, `ERR_INVALID_PORT`; SysError
 * `EADDRINUSE`, `EACCES` and what else `listen` throws; what the module throws as it starts. Nothing stays
 * open then.
 * @example
 * ```ts
 * const pool = await startWorkers({
 *   module: new URL("./echo-worker.js", import.meta.url),
 *   listen: { host: "127.0.0.1", port: 7788 },
 * });
 * process.once("SIGTERM", () => pool.stop());
 * await pool.finished;
 * ```
 */
export function startWorkers(options: WorkersOptions): Promise<WorkerPool> {
  return WorkerPool.start(options);
}

function warn({ index, error, restartInMs }: WorkerCrash): void {
  const next = restartInMs === null ? "given up" : `replaced in ${restartInMs} ms`;
  process.emitWarning(`worker ${index} crashed, and is ${next}: ${error.message}`, "PolloiWarning");
}

import { optionsOf } from "../base/argument.ts";
import { checkEngine } from "../engine/choose.ts";
import type { EngineName, Reporting } from "../engine/engine.ts";
import { checkCallbacks, checkTimeout } from "../reactor/options.ts";
import type { SocketAddress } from "../socket/address.ts";
import { LISTEN_ADDRESS } from "../socket/listener.ts";
import { kernelOf } from "../sys/open.ts";
import { Ledger } from "./ledger.ts";
import { PoolListeners } from "./listeners.ts";
import { livenessOf } from "./liveness.ts";
import { type CrashLoop, checkCrashLoop } from "./restarts.ts";
import { Slot, type SlotContext, type WorkerState } from "./slot.ts";
import type { WorkerEngine } from "./worker-module.ts";
import {
  moduleUrl,
  type UnresponsiveWorker,
  WORKERS_OPTIONS,
  type WorkerCrash,
  type WorkersOptions,
  workerCount,
} from "./worker-options.ts";

/** How long connections may take to have what is queued for them. */
const GRACE_MS = 2000;
/** How often workers look at a listener that they share, while one of them is unresponsive. */
const LOOK_AFTER_MS = 50;

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
 * replacement starts after 50 ms, or twice as long with each crash of a worker that had not run for ten
 * seconds, up to one second. A worker of which four starts in a row have failed is given up, and the others serve
 * without it. `crashLoop` changes that. A worker that does not respond is reported and is given no new connections
 * meanwhile; `whenUnresponsive` has it replaced.
 */
export class WorkerPool implements AsyncDisposable {
  /**
   * Resolves when the pool has stopped. Rejects when its last worker was given up, or with `crashLoop: "end"` the
   * first; if nothing handles the rejection, the process fails.
   */
  readonly finished: Promise<void>;
  readonly #slots: Slot[] = [];
  readonly #listeners: PoolListeners | undefined;
  readonly #over: Promise<void>;
  #resolveOver: () => void = () => {};
  #engine: WorkerEngine | undefined;
  #lastCrash: WorkerCrash | undefined;
  readonly #crashLoop: CrashLoop;
  /** The error that ends the pool. */
  #failure: Error | undefined;
  #lookingAfter: NodeJS.Timeout | undefined;
  #stopping = false;

  private constructor(options: WorkersOptions) {
    const kernel = kernelOf(options, "startWorkers()", WORKERS_OPTIONS);
    checkEngine(options);
    checkCallbacks(options, ["crashed", "message"]);
    const { listen, engine, trigger, data } = options;
    if (listen !== undefined) optionsOf(listen, "listen of startWorkers()", LISTEN_ADDRESS);
    const count = workerCount(options.workers);
    const module = moduleUrl(options.module);
    const liveness = livenessOf(options);
    this.#crashLoop = checkCrashLoop(options.crashLoop);
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
      liveness,
      crashLoop: this.#crashLoop,
      crashed: (crash) => {
        this.#lastCrash = crash;
        if (options.crashed === undefined) warn(crashText(crash));
        else options.crashed(crash);
      },
      unresponsive: (worker) => {
        if (options.unresponsive === undefined) warn(unresponsiveText(worker));
        else options.unresponsive(worker);
      },
      recovered: (worker) => {
        if (options.recovered === undefined) warn(recoveredText(worker));
        else options.recovered(worker);
      },
      steer: () => this.#steer(),
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
   * Stops gracefully, as `Listener.stop` does, and ends the threads.
   *
   * @remarks
   * New connections are refused; those that the kernel has already accepted are answered. The filter that refuses them
   * drops the first packet of a TCP client, which sends it again after a second and then finds the next server on the
   * port, or none. A handshake that is under way when a worker closes its listener, after its last accept, is reset;
   * over loopback a handshake takes no time. A unix socket is not refused first: a connection that is made between
   * the last accept and the close is reset.
   *
   * @param graceMs - How long connections may take, in milliseconds; what is left then is cut off.
   * Default 2000. Called again, a shorter time counts: `stop(0)` ends a stop that takes too
   * long. A worker that does not heed, being in a loop of its own, is ended a second later;
   * Deno cannot end such a thread, and only lets go of it:
   * its peers are cut off, and what it has open is closed when its loop is over.
   * @returns When all threads have ended and nothing is open any more.
   * @throws `ERR_INVALID_TIMEOUT`
   */
  async stop(graceMs: number = GRACE_MS): Promise<void> {
    checkTimeout("graceMs", graceMs);
    this.#stopping = true;
    clearInterval(this.#lookingAfter);
    // A connection that comes between a worker's last accept and its close would be reset.
    if (graceMs > 0) this.#listeners?.refuse();
    // Then those of the workers are the last, and what they close is closed.
    this.#listeners?.close();
    for (const slot of this.#slots) slot.stop(graceMs);
    await this.#over;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #gone(): void {
    const states = this.#slots.map(({ state }) => state);
    if (states.every((state) => state === "stopped" || state === "given up")) {
      if (!this.#stopping && this.#engine !== undefined) {
        this.#failure ??= this.#crashedTooOften("every worker");
      }
      this.#close();
      this.#resolveOver();
    } else if (this.#crashLoop === "end" && !this.#stopping && states.includes("given up")) {
      this.#failure = this.#crashedTooOften(`worker ${this.#lastCrash?.index}`);
      void this.stop();
    }
  }

  #crashedTooOften(which: string): Error {
    const cause = this.#lastCrash?.error;
    return new Error(`${which} crashed too often; the last with: ${cause?.message}`, { cause });
  }

  /** Has new connections go where they are accepted. */
  #steer(): void {
    if (this.#stopping || this.#listeners === undefined) return;
    const slots = this.#slots;
    this.#listeners.steer((index) => slots[index]?.accepts === true);
    const unheeded = slots.some(({ state }) => state === "unresponsive");
    if (unheeded === (this.#lookingAfter !== undefined)) return;
    clearInterval(this.#lookingAfter);
    this.#lookingAfter = undefined;
    if (!unheeded || !this.#listeners.isShared) return;
    // The kernel wakes one worker for each connection, which may be the one that does not respond.
    this.#lookingAfter = setInterval(() => {
      for (const slot of slots) if (slot.state === "running") slot.acceptWaiting();
    }, LOOK_AFTER_MS);
    this.#lookingAfter.unref();
  }

  #close(): void {
    clearInterval(this.#lookingAfter);
    this.#listeners?.close();
    for (const slot of this.#slots) slot.close();
  }

  #checkEnd(): void {
    if (this.#failure !== undefined) throw this.#failure;
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

function crashText({ index, error, restartInMs }: WorkerCrash): string {
  const next = restartInMs === null ? "given up" : `replaced in ${restartInMs} ms`;
  return `worker ${index} crashed, and is ${next}: ${error.message}`;
}

/** What is said of a worker that does not respond. */
export function unresponsiveText({ index, silentMs }: UnresponsiveWorker): string {
  return `worker ${index} has not responded for ${Math.round(silentMs)} ms`;
}

/** What is said of a worker that responds again. */
export function recoveredText({ index, silentMs }: UnresponsiveWorker): string {
  return `worker ${index} responds again, after ${Math.round(silentMs)} ms`;
}

function warn(text: string): void {
  process.emitWarning(text, "PolloiWarning");
}

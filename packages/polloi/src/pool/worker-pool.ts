import { availableParallelism } from "node:os";
import { type NamesOf, optionsOf } from "../base/argument.ts";
import { type Fields, printAs } from "../base/inspect.ts";
import { fromCaller, numberError, show, typeError } from "../base/misuse.ts";
import { checkEngine, ENGINE_OPTIONS, type EngineOptions } from "../engine/choose.ts";
import type { EngineName, Reporting } from "../engine/engine.ts";
import { DEFAULT_GRACE_MS } from "../reactor/listener.ts";
import { checkCallbacks, checkTimeout } from "../reactor/options.ts";
import { formatAddress, type SocketAddress } from "../socket/address.ts";
import { LISTEN_ADDRESS } from "../socket/listener.ts";
import type { Kernel } from "../sys/kernel.ts";
import { kernelOf } from "../sys/open.ts";
import { isChildProcess } from "./child-control.ts";
import type { PoolAddress } from "./listeners.ts";
import type { LoopEngine } from "./messages.ts";
import { moduleUrl } from "./module.ts";
import { Pool } from "./pool.ts";
import { recoveredText, unresponsiveText, warn, warnOfExit } from "./reports.ts";
import {
  type ChildState,
  type CrashLoop,
  LIVENESS_OPTIONS,
  type LivenessOptions,
  type Supervision,
  supervisionOf,
  type UnexpectedExit,
} from "./supervisor.ts";
import { isChildThread, ThreadChild, ThreadStarter } from "./thread-child.ts";

const MAX_WORKERS = 1024;

/** A worker that exited although it was not asked to, or that threw while it stopped. */
export interface WorkerExit extends UnexpectedExit {
  readonly index: number;
  /** The exception that ended it, with the stack of the worker; or an error with its exit code. */
  readonly error: Error;
  /**
   * After how long it is replaced, in milliseconds; null when it has exited too often and is given up; undefined if the
   * pool stops, and it is not replaced.
   */
  readonly restartInMs: number | null | undefined;
  /**
   * Whether its thread runs on in an endless loop, which Deno cannot end. It is then replaced after `restartInMs` from
   * the end of the loop, and receives no new connections until then.
   */
  readonly stuck: boolean;
}

/** A worker that does not respond, or responds again. */
export interface UnresponsiveWorker {
  readonly index: number;
  /** For how long it had not responded, in milliseconds. */
  readonly silentMs: number;
}

/** The options of {@link startWorkers}. */
export interface WorkersOptions extends EngineOptions, LivenessOptions {
  /** The module that each worker runs (see {@link WorkerModule}): a URL, or a path from the working directory. */
  readonly module: URL | string;
  /** The number of workers, or `"auto"` (the default): as many as the machine runs at once. */
  readonly workers?: number | "auto" | undefined;
  /**
   * Where the pool listens. Without it, workers open their own sockets.
   *
   * @remarks
   * Each worker has its own listener, and the kernel spreads connections over them by a hash of their addresses. A port
   * on which another socket listens is refused, so that two pools do not share a port by mistake; `reusePort: true`
   * allows it.
   */
  readonly listen?: PoolAddress | undefined;
  /** Passed to each worker: any value that can be cloned. */
  readonly data?: unknown;
  /**
   * The reaction to a worker that exits unexpectedly again and again.
   *
   * @remarks
   * `"continue"` (the default): the worker is replaced each time, after a delay that grows from 50 ms to a second; the
   * others continue. Only a worker of which four starts in a row have failed is given up, and the pool ends with an
   * error when all of them are. `"end"`: a worker that exits five times in a row, before it has served for ten seconds,
   * ends the pool: the others are stopped, and `finished` rejects. Use it if a service manager restarts the program.
   */
  readonly crashLoop?: CrashLoop | undefined;
  /** Called when a worker has exited unexpectedly. Without it, a warning of the process is emitted. */
  exited?(exit: WorkerExit): void;
  /**
   * Called when a worker does not respond: its thread is in an endless loop, or in a call that blocks. Without it, a
   * warning of the process is emitted.
   *
   * @remarks
   * Until it responds again, new connections go to the other workers, unless `reusePort` was given or all are
   * unresponsive. Its own connections wait, and those in its backlog too. See also `whenUnresponsive`.
   */
  unresponsive?(worker: UnresponsiveWorker): void;
  /** Called when a worker responds again. Without it, a warning of the process is emitted. */
  recovered?(worker: UnresponsiveWorker): void;
  /** Called with each message that a worker sends with `post`. */
  message?(message: unknown, index: number): void;
  /** @internal The kernel that the main thread uses. A test may pass one that fails. */
  readonly kernel?: Kernel | undefined;
}

export const WORKERS_OPTIONS: NamesOf<WorkersOptions> = {
  ...ENGINE_OPTIONS,
  ...LIVENESS_OPTIONS,
  module: true,
  workers: true,
  listen: true,
  data: true,
  crashLoop: true,
  exited: true,
  unresponsive: true,
  recovered: true,
  message: true,
  kernel: true,
};

/** The state of one worker. */
export interface WorkerStatus {
  readonly index: number;
  readonly state: ChildState;
  /** How many connections it has open. */
  readonly connections: number;
  /** How many connections it has accepted, including those of the workers that it replaces. */
  readonly accepted: number;
  /** How often this worker exited unexpectedly. */
  readonly exits: number;
}

/**
 * Threads that serve one address, each with its own reactor. Returned by {@link startWorkers}.
 *
 * @remarks
 * A worker that exits unexpectedly is replaced. The replacement continues with the same listener, so connections that
 * wait in its backlog are served; open connections are closed. The replacement starts after 50 ms, or twice as long
 * with each exit of a worker that had not served for ten seconds, up to one second. A worker of which four starts in a row
 * have failed is given up, and the others serve without it. `crashLoop` changes that. A worker that does not respond
 * is reported and receives no new connections meanwhile; with `whenUnresponsive: "replace"` it is replaced.
 */
export class WorkerPool implements AsyncDisposable {
  static {
    printAs(WorkerPool, (it) => it.#fields(), "WorkerPool");
  }

  /**
   * Resolves when the pool has stopped. Rejects when its last worker was given up, or with `crashLoop: "end"` the
   * first; if nothing handles the rejection, the process fails.
   */
  readonly finished: Promise<void>;
  readonly #pool: Pool;
  readonly #threads: ThreadChild[];
  /** By worker: how many connections the threads before the current one accepted. */
  readonly #acceptedBefore: number[];
  #stopAt = Number.POSITIVE_INFINITY;

  private constructor(pool: Pool, threads: ThreadChild[], acceptedBefore: number[]) {
    this.#pool = pool;
    this.#threads = threads;
    this.#acceptedBefore = acceptedBefore;
    this.finished = pool.finished;
  }

  /** See {@link startWorkers}. */
  static async start(options: WorkersOptions): Promise<WorkerPool> {
    const { kernel, count, module, supervision } = fromCaller(startWorkers, () => checked(options));
    const { listen, engine, trigger, data } = options;
    const starter = new ThreadStarter(kernel);
    const threads: ThreadChild[] = [];
    const acceptedBefore = Array.from({ length: count }, () => 0);
    const pool = await Pool.start({
      ...supervision,
      kernel,
      module,
      count,
      noun: "worker",
      listeners: listen && { where: listen, sharing: "reuseport" },
      start(index, listener, events) {
        const input = { task: "worker", module, data, index, count, engine, trigger } as const;
        const thread = starter.start(input, listener, events);
        threads[index] = thread;
        return thread;
      },
      message(index, message) {
        if (message.type === "post") options.message?.(message.message, index);
      },
      ended(index, child) {
        if (!(child instanceof ThreadChild)) return;
        acceptedBefore[index] = (acceptedBefore[index] as number) + child.block.accepted;
        child.block.accepted = 0;
        child.block.open = 0;
      },
      exited(index, _, exit) {
        if (options.exited === undefined) {
          warnOfExit({ index }, exit);
        } else options.exited({ index, ...exit });
      },
      responds(index, _, responsive, silentMs) {
        const worker = { index, silentMs };
        if (responsive) {
          if (options.recovered === undefined) warn(recoveredText(worker));
          else options.recovered(worker);
        } else if (options.unresponsive === undefined) warn(unresponsiveText(worker));
        else options.unresponsive(worker);
      },
    });
    return new WorkerPool(pool, threads, acceptedBefore);
  }

  /** Where the pool listens; null when it does not, or has been asked to stop. */
  get address(): SocketAddress | null {
    return this.#pool.stopping ? null : (this.#pool.listeners?.address ?? null);
  }

  /** The port on which the pool listens; -1 when there is none. */
  get port(): number {
    return this.address?.port ?? -1;
  }

  /** The engine of the workers. */
  get engine(): EngineName {
    return (this.#pool.engine as LoopEngine).engine;
  }

  /** When the engine of the workers reports. */
  get trigger(): Reporting {
    return (this.#pool.engine as LoopEngine).trigger;
  }

  /** The state of every worker. */
  get workers(): WorkerStatus[] {
    return this.#pool.supervisors.map(({ state, exits }, index) => {
      const connections = this.#threads[index]?.block.open ?? 0;
      return { index, state, connections, accepted: this.#accepted(index), exits };
    });
  }

  /**
   * How evenly connections are spread: the largest number that a worker accepted, divided by the smallest. 1 is even;
   * Infinity if one worker has accepted none and another some.
   */
  get balance(): number {
    const accepted = this.#acceptedBefore.map((_, index) => this.#accepted(index));
    const most = Math.max(...accepted);
    return most === 0 ? 1 : most / Math.min(...accepted);
  }

  /**
   * Stops gracefully, as `Listener.stop` does, and ends the threads.
   *
   * @remarks
   * New connections are refused; those that the kernel has already accepted are served. The filter that refuses them
   * drops the first packet of a TCP client, which sends it again after a second and then finds the next server on the
   * port, or none. A handshake that is under way when a worker closes its listener, after its last accept, is reset;
   * over loopback a handshake takes no time. A unix socket is not shut down first: a connection that is made between
   * the last accept and the close is reset.
   *
   * @param graceMs - How long connections may take to finish, in milliseconds; what is left then is destroyed.
   * Default 10,000. If called again, a shorter time counts: `stop(0)` ends a stop that takes too long. A worker in an
   * endless loop is terminated half a second later. Deno cannot terminate such a thread: its connections are shut
   * down, and its descriptors are closed when its loop ends.
   * @returns Resolves when all threads have ended and nothing is open any more.
   * @throws `ERR_INVALID_TIMEOUT`
   */
  async stop(graceMs: number = DEFAULT_GRACE_MS): Promise<void> {
    checkTimeout("graceMs", graceMs);
    const now = performance.now();
    this.#stopAt = Math.min(this.#stopAt, now + graceMs);
    this.#pool.stop(Math.max(0, this.#stopAt - now));
    await this.#pool.over;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #fields(): Fields {
    const { address, engine, workers } = this;
    const connections = workers.reduce((sum, worker) => sum + worker.connections, 0);
    return {
      address: address && formatAddress(address),
      engine,
      workers: workers.length,
      running: workers.filter(({ state }) => state === "running").length,
      connections,
    };
  }

  #accepted(index: number): number {
    return (this.#acceptedBefore[index] as number) + (this.#threads[index]?.block.accepted ?? 0);
  }
}

/**
 * Starts threads that serve one address, each with its own reactor and listener (SO_REUSEPORT).
 *
 * @remarks
 * A reactor uses one core; a pool uses as many as it has workers. Deno needs `--allow-read` for the module beside
 * `--allow-ffi`.
 *
 * The module runs in each worker, so it must not start the pool itself. A program that is its own module calls this
 * only if `isMainThread` of `node:worker_threads` is true.
 *
 * @returns The pool, when all of its workers are ready.
 * @throws TypeError, RangeError `ERR_INVALID_OPTION`, `ERR_INVALID_ADDRESS`, `ERR_INVALID_PORT`,
 * `ERR_UNSUPPORTED` in a thread or process of a pool or a model; SysError `EADDRINUSE`, `EACCES` and what else `listen`
 * throws; what the module throws as it starts. Nothing stays open then.
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

/** A worker must not start a pool as its module is imported, since each worker of that pool would do the same. */
function checkNotChild(): void {
  const isProcess = isChildProcess();
  if (!isProcess && !isChildThread()) return;
  const where = isProcess ? "a process that serves a model" : "a thread of a pool or a model";
  throw typeError(
    "ERR_UNSUPPORTED",
    `Cannot start workers from ${where}: put the handlers into a module of their own, or check isMainThread first`,
  );
}

/** @throws TypeError or RangeError `ERR_INVALID_OPTION`, `ERR_INVALID_TIMEOUT` */
function checked(options: WorkersOptions): CheckedOptions {
  checkNotChild();
  const kernel = kernelOf(options, "startWorkers()", WORKERS_OPTIONS);
  checkEngine(options);
  checkCallbacks(options, ["exited", "unresponsive", "recovered", "message"]);
  const { listen } = options;
  if (listen !== undefined) optionsOf(listen, "listen of startWorkers()", LISTEN_ADDRESS);
  const count = workerCount(options.workers);
  const module = moduleUrl(options.module, "in workers");
  return { kernel, count, module, supervision: supervisionOf(options) };
}

interface CheckedOptions {
  readonly kernel: Kernel;
  readonly count: number;
  readonly module: string;
  readonly supervision: Supervision;
}

/** @throws `ERR_INVALID_OPTION` */
export function workerCount(workers: number | "auto" = "auto"): number {
  if (workers === "auto") return Math.min(availableParallelism(), MAX_WORKERS);
  if (Number.isInteger(workers) && workers >= 1 && workers <= MAX_WORKERS) return workers;
  throw numberError(
    "ERR_INVALID_OPTION",
    workers,
    `Cannot start ${show(workers)} workers: give "auto" or an integer from 1 to ${MAX_WORKERS}`,
  );
}

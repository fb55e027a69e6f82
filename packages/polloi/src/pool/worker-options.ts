import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { NamesOf } from "../base/argument.ts";
import { rangeError, show, typeError } from "../base/misuse.ts";
import { ENGINE_OPTIONS, type EngineOptions } from "../engine/choose.ts";
import type { ListenOptions } from "../socket/listener.ts";
import type { Kernel } from "../sys/kernel.ts";
import { MAX_WORKERS } from "./ledger.ts";
import { LIVENESS_OPTIONS, type LivenessOptions } from "./liveness.ts";
import type { CrashLoop } from "./restarts.ts";

/** Where a pool listens: host and port, or path, or address, as for `listen`. */
export type PoolAddress = Omit<ListenOptions, "nonBlocking" | "type">;

/** A worker that ended without having been asked to. */
export interface WorkerCrash {
  readonly index: number;
  /** What it threw; when it threw nothing, an error that tells its exit code. */
  readonly error: Error;
  /** After how long it is replaced; null when it has crashed too often and is given up. */
  readonly restartInMs: number | null;
}

/** A worker that does not respond, or responds again. */
export interface UnresponsiveWorker {
  readonly index: number;
  /** For how long it had not responded, in milliseconds. */
  readonly silentMs: number;
}

/** What the workers of a pool run, and how many of them there are. */
export interface WorkersOptions extends EngineOptions, LivenessOptions {
  /** The module that each worker runs (see {@link WorkerModule}): a URL, or a path from the working directory. */
  readonly module: URL | string;
  /** How many, or `"auto"` (the default): as many as the machine lets this process run at once. */
  readonly workers?: number | "auto" | undefined;
  /**
   * Where the pool listens. Without it the workers open what they like.
   *
   * @remarks
   * Each worker has a listener of its own, and the kernel spreads connections over them by a hash of
   * their addresses. So that a second pool does not take half of the first one's connections by mistake,
   * a port that something listens on is refused; with `reusePort: true` it is shared.
   */
  readonly listen?: PoolAddress | undefined;
  /** Handed to each worker: anything that can be cloned. */
  readonly data?: unknown;
  /**
   * What becomes of the pool when one worker crashes again and again.
   *
   * @remarks
   * `"continue"` (the default): the worker is replaced each time, after a delay that grows from 50 ms to a second; the
   * others go on. Only a worker of which four starts in a row have failed is given up, and the pool ends with an error
   * when all of them are. `"end"`: a worker that crashes five times in a row, each within ten seconds of its start,
   * ends the pool: the others are stopped, and `finished` rejects. For a pool that something outside restarts whole.
   */
  readonly crashLoop?: CrashLoop | undefined;
  /** Called when a worker has crashed. Without it, a warning of the process is emitted. */
  crashed?(crash: WorkerCrash): void;
  /**
   * Called when a worker does not respond: its thread is in an endless loop, or in a call that blocks. Without it, a
   * warning of the process is emitted.
   *
   * @remarks
   * Until it responds again, new connections go to the other workers, unless `reusePort` was given or all are
   * unresponsive. Those that it has wait, and those in its backlog too. See `whenUnresponsive` for more.
   */
  unresponsive?(worker: UnresponsiveWorker): void;
  /** Called when a worker responds again. Without it, a warning of the process is emitted. */
  recovered?(worker: UnresponsiveWorker): void;
  /** Told what a worker sends with `post`. */
  message?(message: unknown, index: number): void;
  /** The kernel that the main thread uses; a test may hand over one that fails. */
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
  crashed: true,
  unresponsive: true,
  recovered: true,
  message: true,
  kernel: true,
};

/** @throws `ERR_INVALID_OPTION` */
export function workerCount(workers: number | "auto" = "auto"): number {
  if (workers === "auto") return Math.min(availableParallelism(), MAX_WORKERS);
  const wrong = `Cannot start ${show(workers)} workers: give "auto" or an integer from 1 to ${MAX_WORKERS}`;
  if (!Number.isInteger(workers)) throw typeError("ERR_INVALID_OPTION", wrong);
  if (workers < 1 || workers > MAX_WORKERS) throw rangeError("ERR_INVALID_OPTION", wrong);
  return workers;
}

/** @param where - What a wrong one is told to have been for. @throws `ERR_INVALID_OPTION` */
export function moduleUrl(module: URL | string, where = "in workers"): string {
  if (module instanceof URL) return module.href;
  if (typeof module !== "string" || module === "") {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot run ${show(module)} ${where}: give the URL or the path of a module`,
    );
  }
  return /^[a-z][a-z\d+.-]+:/i.test(module) ? module : pathToFileURL(resolve(module)).href;
}

import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { rangeError, show, typeError } from "../base/misuse.ts";
import type { EngineOptions } from "../engine/choose.ts";
import type { ListenOptions } from "../socket/listener.ts";
import type { Kernel } from "../sys/kernel.ts";
import { MAX_WORKERS } from "./ledger.ts";

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

/** What the workers of a pool run, and how many of them there are. */
export interface WorkersOptions extends EngineOptions {
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
  /** Told when a worker has crashed. Without it, a warning of the process tells. */
  crashed?(crash: WorkerCrash): void;
  /** Told what a worker sends with `post`. */
  message?(message: unknown, index: number): void;
  /** The kernel that the main thread uses; a test may hand over one that fails. */
  readonly kernel?: Kernel | undefined;
}

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

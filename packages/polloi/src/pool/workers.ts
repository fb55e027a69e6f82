/**
 * Every core used: threads that serve one address, each with a reactor of its own.
 *
 * @packageDocumentation
 */

export type { LivenessOptions, WhenUnresponsive } from "./liveness.ts";
export type { CrashLoop } from "./restarts.ts";
export type { WorkerState } from "./slot.ts";
export type { PoolWorker, ServeOptions, Stoppable, WorkerModule } from "./worker-module.ts";
export type {
  PoolAddress,
  UnresponsiveWorker,
  WorkerCrash,
  WorkersOptions,
} from "./worker-options.ts";
export { startWorkers, WorkerPool, type WorkerStatus } from "./worker-pool.ts";

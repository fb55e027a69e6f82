/**
 * Every core used: threads that serve one address, each with a reactor of its own.
 *
 * @packageDocumentation
 */

export type { LivenessOptions, WhenUnresponsive } from "./liveness.ts";
export type { PoolWorker, ServeOptions, Stoppable, WorkerModule } from "./module.ts";
export type { PoolAddress, UnresponsiveWorker, WorkerCrash, WorkersOptions } from "./options.ts";
export { startWorkers, WorkerPool, type WorkerStatus } from "./pool.ts";
export type { CrashLoop } from "./restarts.ts";
export type { WorkerState } from "./slot.ts";

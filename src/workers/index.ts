/**
 * Every core used: threads that serve one address, each with a reactor of its own.
 *
 * @packageDocumentation
 */
export type { PoolWorker, ServeOptions, Stoppable, WorkerModule } from "./module.ts";
export type { PoolAddress, WorkerCrash, WorkersOptions } from "./options.ts";
export { startWorkers, WorkerPool, type WorkerStatus } from "./pool.ts";
export type { WorkerState } from "./slot.ts";

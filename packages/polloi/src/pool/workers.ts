/// <reference lib="esnext.disposable" preserve="true" />
/**
 * `polloi/workers`: threads that serve one address, each with its own reactor, on every core.
 *
 * @packageDocumentation
 */
export type { PoolAddress } from "./listeners.ts";
export type { PoolWorker, ServeOptions, Stoppable, WorkerModule } from "./module.ts";
export type {
  ChildState as WorkerState,
  CrashLoop,
  LivenessOptions,
  WhenUnresponsive,
} from "./supervisor.ts";
export {
  startWorkers,
  type UnresponsiveWorker,
  type WorkerExit,
  type WorkerPool,
  type WorkerStatus,
  type WorkersOptions,
} from "./worker-pool.ts";

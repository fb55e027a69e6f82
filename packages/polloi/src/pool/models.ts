/// <reference lib="esnext.disposable" preserve="true" />
/**
 * `polloi/models`: the same handlers served by five models: one client at a time, a process for each connection, a
 * thread for each connection, pre-forked processes with event loops, one event loop.
 *
 * @packageDocumentation
 */
export type { ServingObserver as ModelObserver } from "./counts.ts";
export type { PoolAddress, Sharing } from "./listeners.ts";
export {
  type AtLimit,
  type ChildExit,
  MODELS,
  type ModelName,
  type ModelOptions,
  type UnresponsiveChild,
} from "./model-options.ts";
export { type ModelCounts, type ModelServer, serveModel } from "./model-server.ts";
export type { ModelChild } from "./models/model.ts";
export type {
  ModelConnection,
  ModelHandlers,
  ModelLoop,
  ModelModule,
  ServeOptions,
  StartOn,
  Stoppable,
} from "./module.ts";
export type { CrashLoop, LivenessOptions, WhenUnresponsive } from "./supervisor.ts";

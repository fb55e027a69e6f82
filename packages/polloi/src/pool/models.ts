/**
 * The same handlers served in the five ways there are: one client at a time, a process each, a thread each,
 * pre-forked event loops, one event loop.
 *
 * @packageDocumentation
 */
export type { LivenessOptions, WhenUnresponsive } from "./liveness.ts";
export type {
  ModelConnection,
  ModelHandlers,
  ModelLoop,
  ModelModule,
  StartOn,
} from "./model-module.ts";
export {
  type AtLimit,
  MODELS,
  type ModelDeath,
  type ModelName,
  type ModelOptions,
  type Sharing,
  type UnresponsiveChild,
} from "./model-options.ts";
export { type ModelCounts, ModelServer, serveModel } from "./model-server.ts";
export type { CrashLoop } from "./restarts.ts";
export type { ModelObserver } from "./served.ts";
export type { ModelChild } from "./way.ts";
export type { ServeOptions, Stoppable } from "./worker-module.ts";

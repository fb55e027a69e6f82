/**
 * The same handlers served in the five ways there are: one client at a time, a process each, a thread each,
 * pre-forked event loops, one event loop.
 *
 * @packageDocumentation
 */
export type { LivenessOptions, WhenUnresponsive } from "../workers/liveness.ts";
export type { ServeOptions, Stoppable } from "../workers/module.ts";
export type { CrashLoop } from "../workers/restarts.ts";
export type { ModelConnection, ModelHandlers, ModelLoop, ModelModule, StartOn } from "./module.ts";
export {
  type AtLimit,
  MODELS,
  type ModelDeath,
  type ModelName,
  type ModelOptions,
  type Sharing,
  type UnresponsiveChild,
} from "./options.ts";
export type { ModelObserver } from "./served.ts";
export { type ModelCounts, ModelServer, serveModel } from "./server.ts";
export type { ModelChild } from "./way.ts";

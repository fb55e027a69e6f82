/// <reference lib="esnext.disposable" preserve="true" />
/**
 * The names that the simulation of the same version needs besides the public entry points. Not part of the public API:
 * names here change without notice.
 *
 * @packageDocumentation
 */
export { ConnectionSet } from "./load/connection-set.ts";
export { configFrom, type LoadOptions, shardOf } from "./load/options.ts";
export type { TraceEvent } from "./trace/event.ts";
export { textOf } from "./trace/text.ts";
export { Tracer } from "./trace/tracer.ts";

/// <reference lib="esnext.disposable" preserve="true" />
/**
 * A load generator: loads a server over thousands of connections, compares what it answers, and measures latency.
 *
 * @packageDocumentation
 */
export type { LoadErrorCode } from "./client.ts";
export type { Percentiles } from "./latency.ts";
export { type LoadRun, load } from "./load.ts";
export type { LoadOptions } from "./options.ts";
export {
  isClean,
  type LoadMode,
  type LoadPhase,
  type LoadReport,
  type LoadSnapshot,
} from "./report.ts";
export type { Counts as LoadCounts, TlsFacts } from "./statistics.ts";

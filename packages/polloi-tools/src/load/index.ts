/**
 * A load client: thousands of connections that ask a server, compare what comes back, and tell how long
 * it took.
 *
 * @packageDocumentation
 */
export type { LoadErrorCode } from "./client.ts";
export type { Percentiles } from "./latency.ts";
export { load } from "./load.ts";
export type { LoadOptions } from "./options.ts";
export { isClean, type LoadMode, type LoadReport } from "./report.ts";
export type { LoadRun } from "./run.ts";
export type { LoadPhase, LoadSnapshot } from "./snapshot.ts";
export type { Counts as LoadCounts } from "./tally.ts";

import { show, typeError } from "../base/misuse.ts";
import { timeoutOf } from "../base/timeout.ts";
import type { ConnectionOptions } from "./connection.ts";

/**
 * A timeout among options: milliseconds from 0 up, or left out.
 *
 * @throws `ERR_INVALID_TIMEOUT`
 */
export function checkTimeout(name: string, timeoutMs: number | undefined): void {
  if (timeoutMs === undefined) return;
  if (timeoutOf(timeoutMs) >= 0) return;
  throw typeError(
    "ERR_INVALID_TIMEOUT",
    `Cannot use ${show(timeoutMs)} as ${name}: give 0 or more`,
  );
}

/** @throws `ERR_INVALID_OPTION`, `ERR_INVALID_TIMEOUT` */
export function checkConnectionOptions(options: ConnectionOptions): void {
  const { idleTimeoutMs, highWaterBytes, maxPendingBytes } = options;
  for (const [name, value] of Object.entries({ highWaterBytes, maxPendingBytes })) {
    if (value === undefined || (typeof value === "number" && value >= 0)) continue;
    throw typeError("ERR_INVALID_OPTION", `Cannot use ${show(value)} as ${name}: give 0 or more`);
  }
  checkTimeout("idleTimeoutMs", idleTimeoutMs);
}

/** @throws TypeError `ERR_INVALID_DATA` */
export function checkData(bytes: Uint8Array | string): void {
  if (typeof bytes === "string" || bytes instanceof Uint8Array) return;
  throw typeError("ERR_INVALID_DATA", `Cannot write ${show(bytes)}: give a string or a Uint8Array`);
}

/** @throws `ERR_INVALID_OPTION` when it is no function. */
export function checkCallback(callback: unknown): void {
  if (typeof callback === "function") return;
  throw typeError("ERR_INVALID_OPTION", `Cannot call back ${show(callback)}: give a function`);
}

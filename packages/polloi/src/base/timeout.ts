import { type MisuseCode, rangeError, show, typeError } from "./misuse.ts";

/** The timeout of a wait without end. `undefined` is converted to it. */
export const FOREVER = -1;

/** The longest timeout, in milliseconds: an `int` of C. */
export const MAX_TIMEOUT_MS = 0x7fffffff;

/**
 * Checks a timeout.
 *
 * @param timeoutMs - Milliseconds, fractions allowed. `undefined`, `null` and negative numbers mean no timeout, as
 * in Python.
 * @returns Milliseconds from 0 up, or {@link FOREVER}.
 * @throws TypeError `ERR_INVALID_TIMEOUT` when it is not a number; RangeError `ERR_INVALID_TIMEOUT` when it is NaN or
 * above {@link MAX_TIMEOUT_MS}.
 */
export function timeoutOf(timeoutMs: number | null | undefined): number {
  if (timeoutMs === undefined || timeoutMs === null) return FOREVER;
  if (typeof timeoutMs !== "number") {
    throw typeError("ERR_INVALID_TIMEOUT", `Cannot wait for ${show(timeoutMs)}: give milliseconds`);
  }
  if (Number.isNaN(timeoutMs) || timeoutMs > MAX_TIMEOUT_MS) throw outOfRange(timeoutMs);
  // -0 becomes 0, because Deno's foreign-function interface rejects it as an integer.
  return timeoutMs < 0 ? FOREVER : timeoutMs + 0;
}

/**
 * Checks the timeout of a call that accepts no negative one. Python raises ValueError there.
 *
 * @throws As {@link timeoutOf}; RangeError `ERR_INVALID_TIMEOUT` also when it is negative.
 */
export function naturalTimeoutOf(timeoutMs: number | null | undefined): number {
  const timeout = timeoutOf(timeoutMs);
  if (typeof timeoutMs === "number" && timeoutMs < 0) throw outOfRange(timeoutMs);
  return timeout;
}

/**
 * Checks a delay in milliseconds, which is required. A negative delay becomes 0.
 *
 * @throws As {@link timeoutOf}.
 */
export function delayOf(delayMs: number): number {
  if (typeof delayMs !== "number") {
    throw typeError("ERR_INVALID_TIMEOUT", `Cannot wait for ${show(delayMs)}: give milliseconds`);
  }
  return Math.max(0, timeoutOf(delayMs));
}

function outOfRange(timeoutMs: number): RangeError & { code: MisuseCode } {
  return rangeError(
    "ERR_INVALID_TIMEOUT",
    `Cannot wait for ${timeoutMs} ms: give 0 to ${MAX_TIMEOUT_MS}, or undefined to wait for ever`,
  );
}

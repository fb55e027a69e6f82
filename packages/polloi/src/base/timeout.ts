import { type MisuseCode, rangeError, show, typeError } from "./misuse.ts";

/** Waits for ever: what `undefined` becomes on its way to the kernel. */
export const FOREVER = -1;

/** The longest wait that is not for ever: what fits the `int` of milliseconds that the kernel takes. */
export const MAX_TIMEOUT_MS = 0x7fffffff;

/**
 * A timeout as the calls of this library take it: {@link FOREVER}, or milliseconds from 0 up.
 *
 * @param timeoutMs - Milliseconds, fractions allowed; `undefined`, `null` or a negative number waits
 * for ever, as in Python.
 * @throws TypeError `ERR_INVALID_TIMEOUT` when it is not a number; RangeError `ERR_INVALID_TIMEOUT`
 * when it is NaN or beyond {@link MAX_TIMEOUT_MS}.
 */
export function timeoutOf(timeoutMs: number | null | undefined): number {
  if (timeoutMs === undefined || timeoutMs === null) return FOREVER;
  if (typeof timeoutMs !== "number") {
    throw typeError("ERR_INVALID_TIMEOUT", `Cannot wait for ${show(timeoutMs)}: give milliseconds`);
  }
  if (Number.isNaN(timeoutMs) || timeoutMs > MAX_TIMEOUT_MS) throw outOfRange(timeoutMs);
  // -0 becomes 0: Deno's foreign-function interface does not take it as an integer.
  return timeoutMs < 0 ? FOREVER : timeoutMs + 0;
}

/**
 * A timeout of a call that takes no negative one, where Python raises ValueError.
 *
 * @throws As {@link timeoutOf}; RangeError `ERR_INVALID_TIMEOUT` also when it is negative.
 */
export function naturalTimeoutOf(timeoutMs: number | null | undefined): number {
  const timeout = timeoutOf(timeoutMs);
  if (typeof timeoutMs === "number" && timeoutMs < 0) throw outOfRange(timeoutMs);
  return timeout;
}

/**
 * A delay: milliseconds, which cannot be left out. One that is past already, being negative, is 0.
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

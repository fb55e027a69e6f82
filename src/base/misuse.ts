/**
 * Misuse: a caller's mistake, found before the kernel is asked. A `TypeError` or `RangeError` whose
 * `code` is stable and whose message names the value and what was allowed. docs/errors.md lists them.
 */
export type MisuseCode =
  | "ERR_INVALID_FD"
  | "ERR_INVALID_TIMEOUT"
  | "ERR_INVALID_EVENTS"
  | "ERR_INVALID_ADDRESS"
  | "ERR_INVALID_PORT"
  | "ERR_INVALID_OPTION"
  | "ERR_INVALID_LENGTH"
  | "ERR_INVALID_DATA"
  | "ERR_FD_TOO_LARGE"
  | "ERR_ALREADY_REGISTERED"
  | "ERR_NOT_REGISTERED"
  | "ERR_CLOSED"
  | "ERR_UNSUPPORTED"
  | "ERR_BLOCKING";

/** A `TypeError` with a stable code: the value is of the wrong kind, or the call is out of place. */
export function typeError(code: MisuseCode, message: string): TypeError & { code: MisuseCode } {
  return Object.assign(new TypeError(message), { code });
}

/** A `RangeError` with a stable code: the value is of the right kind and outside of what is allowed. */
export function rangeError(code: MisuseCode, message: string): RangeError & { code: MisuseCode } {
  return Object.assign(new RangeError(message), { code });
}

/** `value` as an error message shows it: strings quoted, everything else as it prints. */
export function show(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

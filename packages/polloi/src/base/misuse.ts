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

/** The most characters of a value that an error message shows. */
const SHOWN = 200;

/**
 * `value` as an error message shows it: strings quoted, everything else as it prints, and cut where it is long. It
 * never throws.
 */
export function show(value: unknown): string {
  const text = print(value);
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}...` : text;
}

function print(value: unknown): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value.slice(0, SHOWN + 1));
    case "bigint":
      return `${value}n`;
    case "function":
      return "a function";
    case "object":
      return printObject(value);
    default:
      return Object.is(value, -0) ? "-0" : String(value);
  }
}

/** An object may throw when it is made a string: one without a prototype, a proxy, one with a getter. */
function printObject(value: object | null): string {
  try {
    return Array.isArray(value) ? `[${String(value)}]` : String(value);
  } catch {
    return "an object";
  }
}

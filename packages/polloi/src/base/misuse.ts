/**
 * The codes of errors in the use of the API, which are found before any system call.
 *
 * Each error is a `TypeError` or a `RangeError` with a stable `code`. Its message names the value and what is
 * allowed. docs/errors.md lists them.
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

/** The error of a misuse. */
export type MisuseError = (TypeError | RangeError) & { code: MisuseCode };

/** Makes a `TypeError` with a code: the value has the wrong type, or the call is not allowed now. */
export function typeError(code: MisuseCode, message: string): TypeError & { code: MisuseCode } {
  return withoutFrames(Object.assign(new TypeError(message), { code }), typeError);
}

/** Makes a `RangeError` with a code: the value has the right type, and is out of range. */
export function rangeError(code: MisuseCode, message: string): RangeError & { code: MisuseCode } {
  return withoutFrames(Object.assign(new RangeError(message), { code }), rangeError);
}

/** A function or a class, as `Error.captureStackTrace` takes it. */
type Called = CallableFunction | NewableFunction;

/** The errors that were made here. */
const misuses = new WeakSet<object>();

/**
 * Makes the stack of `error` start where `called` was called.
 *
 * Bun drops the frame of a function that ends in a call of another. If that of `called` is missing, the stack would be
 * empty, and stays as it is.
 */
function withoutFrames<T extends MisuseError>(error: T, called: Called): T {
  misuses.add(error);
  const { stack } = error;
  Error.captureStackTrace?.(error, called as (...args: unknown[]) => unknown);
  if (stack !== undefined && !/:\d+:\d+\)?(\n|$)/.test(error.stack ?? "")) error.stack = stack;
  return error;
}

/**
 * Calls `run`. A misuse error that it throws has a stack that starts where `called` was called: in the program, and not
 * in a function of this package that checks arguments.
 *
 * @param called - The public function or class that calls this.
 */
export function fromCaller<T>(called: Called, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (misuses.has(error as object)) withoutFrames(error as MisuseError, called);
    throw error;
  }
}

/** Makes the error for `value`, which is no number in the allowed range: a `RangeError` if it is a number at all. */
export function numberError(code: MisuseCode, value: unknown, message: string): MisuseError {
  return typeof value === "number" ? rangeError(code, message) : typeError(code, message);
}

/** Formats the allowed values of an option for an error message: `"a", "b" or "c"`. */
export function choiceOf(values: readonly string[]): string {
  return values
    .map(show)
    .join(", ")
    .replace(/, ([^,]*)$/, " or $1");
}

/** An error message shows at most this many characters of a value. */
const MAX_SHOWN = 200;

/**
 * Formats `value` for an error message: strings are quoted, and long values are cut.
 *
 * It never throws.
 */
export function show(value: unknown): string {
  const text = print(value);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text;
}

function print(value: unknown): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value.slice(0, MAX_SHOWN + 1));
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

/** Converting an object to a string can throw, for example without a prototype or in a getter. */
function printObject(value: object | null): string {
  try {
    return Array.isArray(value) ? `[${String(value)}]` : String(value);
  } catch {
    return "an object";
  }
}

import { booleanOf, optionsOf } from "../base/argument.ts";
import { filenoOf } from "../base/descriptor.ts";
import { numberError, show, typeError } from "../base/misuse.ts";
import { MAX_TIMEOUT_MS } from "../base/timeout.ts";
import {
  CONNECTION_OPTIONS,
  type ConnectionOptions,
  HANDLERS,
  type Handlers,
  OUTGOING_FILE,
  type OutgoingFile,
} from "./connection.ts";

/**
 * Checks a timeout in milliseconds, from 0 up; undefined passes.
 *
 * @throws TypeError or RangeError `ERR_INVALID_TIMEOUT`
 */
export function checkTimeout(name: string, timeoutMs: number | undefined): void {
  if (timeoutMs === undefined) return;
  if (typeof timeoutMs === "number" && timeoutMs >= 0 && timeoutMs <= MAX_TIMEOUT_MS) return;
  throw numberError(
    "ERR_INVALID_TIMEOUT",
    timeoutMs,
    `Cannot use ${show(timeoutMs)} as ${name}: give milliseconds from 0 to ${MAX_TIMEOUT_MS}`,
  );
}

const HANDLER_NAMES = Object.keys(HANDLERS) as (keyof Handlers)[];

/**
 * Checks handlers and the options of a connection.
 *
 * @param of - The name of the function that takes the options, for the message.
 * @param names - The names of all options of that function.
 * @param counterparts - What to do instead of options of other libraries, by their names.
 * @throws TypeError or RangeError `ERR_INVALID_OPTION`, `ERR_INVALID_TIMEOUT`
 */
export function checkConnectionOptions<Data>(
  options: Handlers<Data> & ConnectionOptions,
  of: string,
  names: Readonly<Record<string, true>> = CONNECTION_OPTIONS,
  counterparts: Readonly<Record<string, string>> = {},
): void {
  const { idleTimeoutMs, highWaterBytes, maxPendingBytes } = optionsOf(
    options,
    of,
    names,
    counterparts,
  );
  checkCallbacks(options, HANDLER_NAMES);
  booleanOf(options.zeroCopy, "zeroCopy", false);
  booleanOf(options.noDelay, "noDelay", true);
  for (const [name, value] of Object.entries({ highWaterBytes, maxPendingBytes })) {
    if (value === undefined || (typeof value === "number" && value >= 0)) continue;
    throw numberError(
      "ERR_INVALID_OPTION",
      value,
      `Cannot use ${show(value)} as ${name}: give a number from 0 up`,
    );
  }
  checkTimeout("idleTimeoutMs", idleTimeoutMs);
}

/** @throws TypeError `ERR_INVALID_DATA` */
export function checkData(bytes: Uint8Array | string): void {
  if (typeof bytes === "string" || bytes instanceof Uint8Array) return;
  throw typeError("ERR_INVALID_DATA", `Cannot write ${show(bytes)}: give a string or a Uint8Array`);
}

/** Accepts errors of other realms, so `instanceof` cannot decide. @throws TypeError `ERR_INVALID_OPTION` */
export function checkError(error: Error): void {
  if (typeof error === "object" && error !== null && typeof error.message === "string") return;
  throw typeError("ERR_INVALID_OPTION", `Cannot use ${show(error)} as an error: give an Error`);
}

/** @throws TypeError `ERR_INVALID_OPTION` unless it is a function. */
export function checkCallback(callback: unknown): void {
  if (typeof callback === "function") return;
  throw typeError("ERR_INVALID_OPTION", `Cannot call back ${show(callback)}: give a function`);
}

/** @throws TypeError `ERR_INVALID_OPTION` if one of `names` in `options` is set and is not a function. */
export function checkCallbacks<T extends object>(
  options: T,
  names: readonly (keyof T & string)[],
): void {
  for (const name of names) {
    const callback = options[name];
    if (callback === undefined || typeof callback === "function") continue;
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use ${show(callback)} as ${name}: give a function`,
    );
  }
}

/** @throws `ERR_INVALID_FD`, `ERR_INVALID_LENGTH`, `ERR_INVALID_OPTION`. */
export function checkOutgoingFile(file: OutgoingFile): void {
  const { fd, offset, length, done } = optionsOf(file, "a file", OUTGOING_FILE);
  filenoOf(fd);
  checkBytes("an offset", offset);
  checkBytes("a length", length);
  checkBytes("an offset after the length", offset + length);
  if (done !== undefined) checkCallback(done);
}

function checkBytes(what: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 0) return;
  throw numberError(
    "ERR_INVALID_LENGTH",
    value,
    `Cannot use ${show(value)} as ${what} in bytes: give an integer from 0 to ${Number.MAX_SAFE_INTEGER}`,
  );
}

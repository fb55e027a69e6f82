import { readHttpDate } from "../date.ts";
import type { FileRequest } from "./answer.ts";
import type { Coding } from "./codings.ts";
import type { FileStat } from "./file-stat.ts";

/** The validators of a file, by which a client knows whether its copy is current. RFC 9110 section 8.8. */
export interface Validators {
  readonly etag: string;
  /** Last-Modified in seconds since 1970; never later than now. */
  readonly seconds: number;
}

/** The result of evaluating the preconditions of a request. */
export type PreconditionResult = "proceed" | "not modified" | "failed";

/** Two changes of a file within this time may have the same timestamp: a tick of the kernel's clock. */
const TICK_MS = 20;
/** The same for file systems that store whole seconds, or even seconds. */
const COARSE_TICK_MS = 2000;

/**
 * The validators of a file, from its length and its modification time in nanoseconds.
 *
 * @remarks
 * The tag is weak until the last change is older than a tick of the clock, because another change may have the same time.
 * A change in the future counts as younger than a tick. The system clock is read in whole milliseconds
 * and the file's time in nanoseconds, so every file that was just written is up to 1 ms in the future; clocks that
 * are set back and file servers with a clock of their own make it more. Each coding has its own tag, because its
 * bytes differ.
 */
export function validatorsOf(stat: FileStat, coding: Coding, nowMs: number): Validators {
  const { size, seconds, nanoseconds } = stat;
  const weak = !isSettled(stat, nowMs);
  const suffix = coding === "identity" ? "" : `-${coding}`;
  const time = `${seconds.toString(36)}.${nanoseconds.toString(36)}`;
  return {
    etag: `${weak ? "W/" : ""}"${time}-${size.toString(36)}${suffix}"`,
    seconds: Math.min(seconds, Math.floor(nowMs / 1000)),
  };
}

/** Whether the validators change whenever the file changes. */
export function isSettled(stat: FileStat, nowMs: number): boolean {
  const { seconds, nanoseconds } = stat;
  return nowMs - (seconds * 1000 + nanoseconds / 1e6) >= tickOf(stat);
}

function tickOf({ nanoseconds }: FileStat): number {
  return nanoseconds === 0 ? COARSE_TICK_MS : TICK_MS;
}

/**
 * Evaluates the preconditions of a request in their order. {@link rangeHolds} evaluates If-Range.
 *
 * @source RFC 9110 section 13.2.2
 */
export function evaluatePreconditions(
  request: Pick<FileRequest, "header">,
  { etag, seconds }: Validators,
  nowMs: number,
): PreconditionResult {
  const ifMatch = request.header("if-match");
  if (ifMatch !== undefined) {
    if (!names(ifMatch, etag, "strong")) return "failed";
  } else {
    const since = request.header("if-unmodified-since");
    // An invalid date is ignored, here and below.
    if (since !== undefined && seconds > readHttpDate(since, nowMs)) return "failed";
  }
  const ifNoneMatch = request.header("if-none-match");
  if (ifNoneMatch !== undefined) {
    return names(ifNoneMatch, etag, "weak") ? "not modified" : "proceed";
  }
  const since = request.header("if-modified-since");
  const isSame = since !== undefined && seconds <= readHttpDate(since, nowMs);
  return isSame ? "not modified" : "proceed";
}

/**
 * Whether If-Range holds, so that Range applies.
 *
 * @remarks
 * A date must be equal. A file can change twice within its second, so a tag is safer, but some clients only send a date.
 *
 * @source RFC 9110 section 13.1.5
 */
export function rangeHolds(
  request: Pick<FileRequest, "header">,
  { etag, seconds }: Validators,
  nowMs: number,
): boolean {
  const condition = request.header("if-range");
  if (condition === undefined) return true;
  if (condition.includes('"')) return condition === etag && !etag.startsWith("W/");
  return readHttpDate(condition, nowMs) === seconds;
}

/** Whether a list of tags contains this one, or is an asterisk, which matches every tag. */
function names(list: string, etag: string, comparison: "strong" | "weak"): boolean {
  if (list.trim() === "*") return true;
  const opaque = etag.replace(/^W\//, "");
  for (const [tag] of list.matchAll(/(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"/g)) {
    if (comparison === "strong" ? tag === etag && tag === opaque : tag.endsWith(opaque))
      return true;
  }
  return false;
}

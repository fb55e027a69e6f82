import { readHttpDate } from "../date.ts";
import type { HttpRequest } from "../request.ts";
import type { Coding } from "./codings.ts";
import type { FileFacts } from "./file-facts.ts";

/** By what a client can tell whether what it has is what there is. RFC 9110 section 8.8. */
export interface Validators {
  readonly etag: string;
  /** Last-Modified in seconds since 1970, which is never later than now. */
  readonly seconds: number;
}

/** What is to become of a request, by what it says of what the client has. */
export type Verdict = "go on" | "not modified" | "failed";

/** Two changes of a file this close together may leave it with one time: the kernel's clock ticks. */
const TICK_MS = 20;
/** File systems that keep whole seconds, or even ones. */
const COARSE_TICK_MS = 2000;

/**
 * The validators of a file, by its length and the nanosecond in which it changed last.
 *
 * @remarks
 * The tag is weak until the last change is a tick of the clock old: before that, another change may leave the time
 * as it is. A change in the future counts as younger than a tick. The system clock is read in whole milliseconds
 * and the file's time in nanoseconds, so every file that was just written is up to 1 ms in the future; clocks that
 * are set back and file servers with a clock of their own make it more. Each coding has its own tag, because its
 * bytes differ.
 */
export function validatorsOf(
  facts: FileFacts,
  coding: Coding,
  nowMs: number = Date.now(),
): Validators {
  const { size, seconds, nanoseconds } = facts;
  const weak = !isSettled(facts, nowMs);
  const suffix = coding === "identity" ? "" : `-${coding}`;
  const time = `${seconds.toString(36)}.${nanoseconds.toString(36)}`;
  return {
    etag: `${weak ? "W/" : ""}"${time}-${size.toString(36)}${suffix}"`,
    seconds: Math.min(seconds, Math.floor(nowMs / 1000)),
  };
}

/** Whether the validators of a file stay as they are for as long as the file does. */
export function isSettled(facts: FileFacts, nowMs: number): boolean {
  const { seconds, nanoseconds } = facts;
  return nowMs - (seconds * 1000 + nanoseconds / 1e6) >= tickOf(facts);
}

function tickOf({ nanoseconds }: FileFacts): number {
  return nanoseconds === 0 ? COARSE_TICK_MS : TICK_MS;
}

/**
 * Heeds the preconditions of a request, in the order they have. If-Range is apart: {@link rangeHolds}.
 *
 * @source RFC 9110 section 13.2.2
 */
export function verdictOn(request: HttpRequest, { etag, seconds }: Validators): Verdict {
  const ifMatch = request.header("if-match");
  if (ifMatch !== undefined) {
    if (!names(ifMatch, etag, "strong")) return "failed";
  } else {
    const since = request.header("if-unmodified-since");
    // A date that is none is as if it were not there; so it is below.
    if (since !== undefined && seconds > readHttpDate(since)) return "failed";
  }
  const ifNoneMatch = request.header("if-none-match");
  if (ifNoneMatch !== undefined) {
    return names(ifNoneMatch, etag, "weak") ? "not modified" : "go on";
  }
  const since = request.header("if-modified-since");
  return since !== undefined && seconds <= readHttpDate(since) ? "not modified" : "go on";
}

/**
 * Whether a client that has a part of a file has it of this one, so that Range is to be heeded.
 *
 * @remarks
 * A date has to be the very one. It is a second long, and a file could change twice in it, so clients had
 * better go by the tag; but it is what those go by that know nothing else.
 *
 * @source RFC 9110 section 13.1.5
 */
export function rangeHolds(request: HttpRequest, { etag, seconds }: Validators): boolean {
  const condition = request.header("if-range");
  if (condition === undefined) return true;
  if (condition.includes('"')) return condition === etag && !etag.startsWith("W/");
  return readHttpDate(condition) === seconds;
}

/** Whether a list of tags has this one, or is the asterisk, which stands for all there are. */
function names(list: string, etag: string, comparison: "strong" | "weak"): boolean {
  if (list.trim() === "*") return true;
  const opaque = etag.replace(/^W\//, "");
  for (const [tag] of list.matchAll(/(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"/g)) {
    if (comparison === "strong" ? tag === etag && tag === opaque : tag.endsWith(opaque))
      return true;
  }
  return false;
}

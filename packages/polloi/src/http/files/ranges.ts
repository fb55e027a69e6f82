import { randomBytes } from "node:crypto";
import type { ReplyWriter } from "../reply.ts";

/** A stretch of what is sent, in bytes. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** More than these in one request are not sent. */
const MAX_RANGES = 32;

/**
 * What of `size` bytes a Range field asks for.
 *
 * @remarks
 * Ranges that lie beyond the end are left out. A request for very many, or for much of the same several times
 * over, is refused as if nothing of it could be had: who means well sends no such thing (RFC 9110 section 14.2).
 *
 * @returns `undefined` when the field is not to be heeded, as one that is not understood; no ranges when
 * nothing of it can be had, which is 416.
 * @source RFC 9110 sections 14.1.2, 14.2
 */
export function readRanges(field: string, size: number): readonly ByteRange[] | undefined {
  const [, list] = /^bytes=([\d\s,-]*)$/i.exec(field) ?? [];
  if (list === undefined) return undefined;
  const specs = list.split(",").map((spec) => spec.trim());
  const asked = specs.filter((spec) => spec !== "");
  if (asked.length === 0) return undefined;
  const ranges: ByteRange[] = [];
  for (const spec of asked) {
    const match = /^(\d*)-(\d*)$/.exec(spec);
    if (match === null || spec === "-") return undefined;
    const [, first = "", last = ""] = match;
    if (first !== "" && last !== "" && isLess(last, first)) return undefined;
    const from = first === "" ? Math.max(size - Number(last), 0) : Number(first);
    const to = first === "" || last === "" ? size : Math.min(Number(last) + 1, size);
    if (from < to) ranges.push({ offset: from, length: to - from });
    // The last so many bytes of nothing can be had, and are nothing: there is no way to say so in a range.
    else if (size === 0 && first === "" && Number(last) > 0) return undefined;
  }
  return asked.length > MAX_RANGES || overlaps(ranges) > 1 ? [] : ranges;
}

/** Whether one number in decimal is less than another, however long they are. */
function isLess(a: string, b: string): boolean {
  return BigInt(a) < BigInt(b);
}

/** How many begin before another one, that begins no later, has ended. */
function overlaps(ranges: readonly ByteRange[]): number {
  const sorted = ranges.toSorted((a, b) => a.offset - b.offset);
  let end = 0;
  let count = 0;
  for (const { offset, length } of sorted) {
    if (offset < end) count++;
    end = Math.max(end, offset + length);
  }
  return count;
}

/** Content-Range of some of `size` bytes. RFC 9110 section 14.4. */
export function contentRange(offset: number, length: number, size: number): string {
  return `bytes ${offset}-${offset + length - 1}/${size}`;
}

/** Several ranges of a file that are to be sent. */
export interface MultipartOptions {
  readonly fd: number;
  readonly size: number;
  readonly type: string;
  readonly ranges: readonly ByteRange[];
  /** The descriptor is not needed any more. */
  readonly done: () => void;
}

/**
 * Answers with several ranges of a file, each with a head of its own between boundaries.
 *
 * @source RFC 9110 section 14.6, RFC 2046 section 5.1
 */
export function sendMultipart(
  reply: ReplyWriter,
  { fd, size, type, ranges, done }: MultipartOptions,
): void {
  // By chance: that a file has it in it is as likely as that somebody guesses a key.
  const boundary = randomBytes(16).toString("hex");
  const heads = ranges.map(
    ({ offset, length }) =>
      `\r\n--${boundary}\r\nContent-Type: ${type}\r\nContent-Range: ${contentRange(offset, length, size)}\r\n\r\n`,
  );
  const end = `\r\n--${boundary}--\r\n`;
  const total = ranges.reduce(
    (sum, { length }, i) => sum + (heads[i] as string).length + length,
    end.length,
  );
  reply
    .status(206)
    .header("Content-Type", `multipart/byteranges; boundary=${boundary}`)
    .header("Content-Length", total)
    .begin();
  for (const [i, range] of ranges.entries()) {
    reply.write(heads[i] as string);
    const isLast = i === ranges.length - 1;
    reply.writeFile({ fd, ...range, ...(isLast ? { done } : {}) });
  }
  reply.end(end);
}

import type { Kernel } from "../../sys/kernel.ts";
import { randomBytes } from "../../sys/random.ts";

/** A range of bytes of a file. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** A request for more ranges is refused. */
const MAX_RANGES = 32;

/**
 * Parses a Range field for a file of `size` bytes.
 *
 * @remarks
 * Ranges beyond the end are omitted. A request with more than 32 ranges, or with more than one overlap, is refused as
 * unsatisfiable: it costs much to answer, and ordinary clients do not send it (RFC 9110 section 14.2).
 *
 * @returns The ranges; none if the field is unsatisfiable, which means 416; `undefined` if the field is to be ignored,
 * because it is invalid.
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
    // A suffix of an empty file is satisfiable, but Content-Range cannot express an empty range.
    else if (size === 0 && first === "" && Number(last) > 0) return undefined;
  }
  return asked.length > MAX_RANGES || overlaps(ranges) > 1 ? [] : ranges;
}

/** Compares decimal numbers of any length. */
function isLess(a: string, b: string): boolean {
  return BigInt(a) < BigInt(b);
}

/** The number of ranges that begin before the end of an earlier one. */
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

/** The Content-Range of a range of `size` bytes. RFC 9110 section 14.4. */
export function contentRange(offset: number, length: number, size: number): string {
  return `bytes ${offset}-${offset + length - 1}/${size}`;
}

/** Several ranges of a file of `size` bytes, and its Content-Type. */
export interface MultipartOptions {
  readonly kernel: Kernel;
  readonly size: number;
  readonly type: string;
  readonly ranges: readonly ByteRange[];
}

/** A body of several ranges of a file. */
export interface Multipart {
  readonly contentType: string;
  /** The ranges, and the heads of the parts between them. */
  readonly pieces: readonly (ByteRange | string)[];
  readonly length: number;
}

/**
 * Several ranges of a file as `multipart/byteranges`.
 *
 * @source RFC 9110 section 14.6, RFC 2046 section 5.1
 */
export function multipartOf({ kernel, size, type, ranges }: MultipartOptions): Multipart {
  // Random, with 128 bits: a file contains it by chance with negligible probability.
  const boundary = Buffer.from(randomBytes(kernel, 16)).toString("hex");
  const pieces = ranges.flatMap(({ offset, length }) => [
    `\r\n--${boundary}\r\nContent-Type: ${type}\r\nContent-Range: ${contentRange(offset, length, size)}\r\n\r\n`,
    { offset, length },
  ]);
  pieces.push(`\r\n--${boundary}--\r\n`);
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  return { contentType: `multipart/byteranges; boundary=${boundary}`, pieces, length };
}

import { COMMA, isBlank, isText, lowerCase, NINE, TOKEN, ZERO } from "./characters.ts";
import type { FailureCode } from "./failures.ts";
import { type Fields, TRANSFER_ENCODING } from "./fields.ts";

/** The options of Connection as bits. */
export const CLOSE = 1;
export const KEEP_ALIVE = 2;
export const UPGRADE_OPTION = 4;

const CHUNKED = lowerCase("chunked");
const CLOSE_OPTION = lowerCase("close");
const KEEP_ALIVE_OPTION = lowerCase("keep-alive");
const UPGRADE = lowerCase("upgrade");

const TCHARS = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
/** A transfer coding with its parameters. Quoted parameters are not supported; no coding in use has any. */
const CODING_SHAPE: RegExp = new RegExp(
  `^[ \\t]*${TCHARS}(?:[ \\t]*;[ \\t]*${TCHARS}[ \\t]*=[ \\t]*${TCHARS})*[ \\t]*$`,
);

/** Parses a Content-Length, which is 1*DIGIT up to 2^53 - 1; -1 for anything else. RFC 9110 section 8.6. */
export function lengthOf(bytes: Uint8Array, from: number, to: number): number {
  let length = from < to ? 0 : -1;
  for (let i = from; i < to; i++) {
    const code = bytes[i] as number;
    if (code < ZERO || code > NINE) return -1;
    // Parenthesized, because the sum of the other terms may exceed 2^53.
    length = length * 10 + (code - ZERO);
    if (length > Number.MAX_SAFE_INTEGER) return -1;
  }
  return length;
}

/** The options of a Connection header as bits. It is a list, and unknown options are ignored. */
export function connectionOptionsOf(bytes: Uint8Array, from: number, to: number): number {
  // The most common value.
  if (to - from === 10 && isText(bytes, from, KEEP_ALIVE_OPTION)) return KEEP_ALIVE;
  let flags = 0;
  let i = from;
  while (i < to) {
    while (i < to && (isBlank(bytes[i] as number) || bytes[i] === COMMA)) i++;
    const start = i;
    while (i < to && TOKEN[bytes[i] as number] === 1) i++;
    const length = i - start;
    while (i < to && isBlank(bytes[i] as number)) i++;
    // An element that is not a token is no option.
    const alone = i === to || bytes[i] === COMMA;
    while (i < to && bytes[i] !== COMMA) i++;
    if (!alone) continue;
    if (length === 5 && isText(bytes, start, CLOSE_OPTION)) flags |= CLOSE;
    else if (length === 7 && isText(bytes, start, UPGRADE)) flags |= UPGRADE_OPTION;
    else if (length === 10 && isText(bytes, start, KEEP_ALIVE_OPTION)) flags |= KEEP_ALIVE;
  }
  return flags;
}

/**
 * Checks that the transfer codings of all fields of a request are a single `chunked`. RFC 9112 sections 6.1, 6.3 and 7.
 *
 * @remarks
 * If the last one is not `chunked`, the end of the body is unknown, and the answer is 400. Other codings before it are
 * valid, but not implemented here.
 */
export function whyNotChunked(fields: Fields): FailureCode | undefined {
  const { bytes } = fields;
  let chunked = 0;
  let others = 0;
  let last = false;
  for (let c = 0; c < fields.controlCount; c++) {
    const control = fields.controls[c] as number;
    if ((control & 7) !== TRANSFER_ENCODING) continue;
    const index = control >> 3;
    const from = fields.valueStart(index);
    last = fields.valueEnd(index) - from === CHUNKED.length && isText(bytes, from, CHUNKED);
    if (last) {
      chunked++;
      continue;
    }
    for (const element of fields.value(index).split(",")) {
      if (!CODING_SHAPE.test(element)) return "CODING_INVALID";
      const [coding, parameter] = element.split(";").map((part) => part.trim().toLowerCase());
      last = coding === "chunked";
      // It has no parameters: with some, another server might not take it for chunked.
      if (last && parameter !== undefined) return "CODING_INVALID";
      if (last) chunked++;
      else others++;
    }
  }
  if (chunked > 1) return "CODING_REPEATED";
  if (!last) return "CODING_NOT_CHUNKED";
  return others > 0 ? "CODING_UNKNOWN" : undefined;
}

/**
 * Whether the last coding of this Transfer-Encoding of a response is `chunked`. Otherwise its body ends with the
 * connection. RFC 9112 section 6.3.
 */
export function endsChunked(bytes: Uint8Array, from: number, to: number): boolean {
  let end = to;
  // Empty elements of a list are ignored. RFC 9110 section 5.6.1.
  while (end > from && (isBlank(bytes[end - 1] as number) || bytes[end - 1] === COMMA)) end--;
  let start = end - CHUNKED.length;
  if (start < from || !isText(bytes, start, CHUNKED)) return false;
  while (start > from && isBlank(bytes[start - 1] as number)) start--;
  return start === from || bytes[start - 1] === COMMA;
}

import { OFFSETS } from "./fields.ts";
import {
  CHUNKED,
  CLOSE,
  EXPECTS_CONTINUE,
  KEEP_ALIVE,
  type RequestHead,
  UPGRADE_OPTION,
} from "./head.ts";
import { isAuthority } from "./authority.ts";
import type { ParserLimits } from "./limits.ts";
import type { FailureCode } from "./failures.ts";
import { COMMA, isBlank, isText, lowerCase, NINE, TOKEN, ZERO } from "./characters.ts";

/** The header is missing. */
const NONE = -2;

const HOST = lowerCase("host");
const EXPECT = lowerCase("expect");
const UPGRADE = lowerCase("upgrade");
const CONNECTION = lowerCase("connection");
const CONTENT_LENGTH = lowerCase("content-length");
const TRANSFER_ENCODING = lowerCase("transfer-encoding");
const CONTINUE = lowerCase("100-continue");
const CHUNKED_CODING = lowerCase("chunked");
const CLOSE_OPTION = lowerCase("close");
const KEEP_ALIVE_OPTION = lowerCase("keep-alive");

const CODING = "transfer-encoding";
const TCHARS = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
/** A transfer coding with its parameters. Quoted parameters are not supported; no coding in use has any. */
const CODING_SHAPE: RegExp = new RegExp(
  `^[ \\t]*${TCHARS}(?:[ \\t]*;[ \\t]*${TCHARS}[ \\t]*=[ \\t]*${TCHARS})*[ \\t]*$`,
);

/**
 * Reads the framing of the body and the persistence of the connection from a complete head.
 *
 * @returns The failure if the request must be refused.
 */
export function readHead(head: RequestHead, limits: ParserLimits): FailureCode | undefined {
  const { bytes, base, count, offsets } = head.fields;
  let length = NONE;
  let codings = 0;
  head.flags = 0;
  head.hostField = -1;
  head.upgradeField = -1;
  for (let k = 0; k < count; k++) {
    const at = k * OFFSETS;
    const name = base + (offsets[at] as number);
    const from = base + (offsets[at + 2] as number);
    const to = base + (offsets[at + 3] as number);
    // Few names have these lengths, so one comparison skips most headers.
    switch (base + (offsets[at + 1] as number) - name) {
      case 4:
        if (!isText(bytes, name, HOST)) break;
        if (head.hostField >= 0) return "HOST_REPEATED";
        if (from < to && !isAuthority(bytes, from, to)) return "HOST_INVALID";
        head.hostField = k;
        break;
      case 6:
        if (!isText(bytes, name, EXPECT)) break;
        if (to - from !== 12 || !isText(bytes, from, CONTINUE)) return "EXPECT_UNKNOWN";
        head.flags |= EXPECTS_CONTINUE;
        break;
      case 7:
        if (head.upgradeField < 0 && isText(bytes, name, UPGRADE)) head.upgradeField = k;
        break;
      case 10:
        if (isText(bytes, name, CONNECTION)) head.flags |= optionsOf(bytes, from, to);
        break;
      case 14:
        if (!isText(bytes, name, CONTENT_LENGTH)) break;
        if (length !== NONE) return "LENGTH_REPEATED";
        length = lengthOf(bytes, from, to);
        if (length < 0) return "LENGTH_INVALID";
        break;
      case 17:
        if (isText(bytes, name, TRANSFER_ENCODING)) codings++;
        break;
    }
  }
  if (head.version === 0) head.flags &= ~EXPECTS_CONTINUE;
  else if (head.hostField < 0) return "HOST_MISSING";
  if (codings > 0) {
    if (length !== NONE) return "LENGTH_AND_CODING";
    if (head.version === 0) return "CODING_VERSION";
    head.flags |= CHUNKED;
    head.contentLength = -1;
    return whyNotChunked(head);
  }
  head.contentLength = length === NONE ? 0 : length;
  return head.contentLength > limits.maxBodyBytes ? "BODY_LARGE" : undefined;
}

/** Parses 1*DIGIT up to 2^53 - 1; -1 for anything else. RFC 9110 section 8.6. */
function lengthOf(bytes: Uint8Array, from: number, to: number): number {
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

/** The options of a Connection header as flags. It is a list, and unknown options are ignored. */
function optionsOf(bytes: Uint8Array, from: number, to: number): number {
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
 * Checks that the transfer codings of all fields are a single `chunked`. RFC 9112 sections 6.1, 6.3 and 7.
 *
 * @remarks
 * If the last one is not `chunked`, the end of the body is unknown, and the answer is 400. Other codings before it are
 * valid, but not implemented here.
 */
function whyNotChunked(head: RequestHead): FailureCode | undefined {
  const { bytes, base, offsets } = head.fields;
  let chunked = 0;
  let others = 0;
  let last = false;
  for (let k = head.fields.find(CODING, 0); k >= 0; k = head.fields.find(CODING, k + 1)) {
    const from = base + (offsets[k * OFFSETS + 2] as number);
    const to = base + (offsets[k * OFFSETS + 3] as number);
    last = to - from === 7 && isText(bytes, from, CHUNKED_CODING);
    if (last) {
      chunked++;
      continue;
    }
    for (const element of head.fields.value(k).split(",")) {
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

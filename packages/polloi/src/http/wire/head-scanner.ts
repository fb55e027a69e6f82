import { FieldScanner } from "./field-scanner.ts";
import { readHead } from "./framing.ts";
import { RequestHead } from "./head.ts";
import { latin1 } from "./latin1.ts";
import type { ParserLimits } from "./limits.ts";
import type { FailureCode } from "./failures.ts";
import { readTarget } from "./target.ts";
import {
  BAD,
  CR,
  LF,
  NINE,
  pastClass,
  SHORT,
  SP,
  TARGET,
  TOKEN,
  wordAt,
  wordOf,
  ZERO,
} from "./characters.ts";

/** The part of the head at which the scanner stopped for lack of bytes. */
const METHOD = 0;
const TARGET_PART = 1;
const VERSION = 2;
const FIELDS = 3;

/** The longest method. No registered one is half as long. */
const MAX_METHOD_BYTES = 32;
const VERSION_LINE = "HTTP/1.1\r\n";
const VERSION_BYTES = VERSION_LINE.length;

const GET_ = wordOf("GET ");
const PUT_ = wordOf("PUT ");
const POST = wordOf("POST");
const HEAD = wordOf("HEAD");
const HTTP = wordOf("HTTP");
const SLASH_1_1 = wordOf("/1.1");

/** The known parts of a request line; `undefined` for the unknown ones. */
export interface KnownLine {
  readonly method: string | undefined;
  readonly target: string | undefined;
  readonly version: 0 | 1 | undefined;
}

/** Methods that are recognized without making a string; any other method becomes a string when accessed. */
const KNOWN: readonly string[] = ["DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"];

/**
 * Scans a request line, passes the fields to a `FieldScanner`, and interprets the result.
 *
 * @remarks
 * RFC 9112 section 3: exactly one space between the parts, and CRLF after them.
 */
export class HeadScanner {
  readonly head: RequestHead;
  failure: FailureCode = "METHOD_INVALID";
  readonly #limits: ParserLimits;
  readonly #fields: FieldScanner;
  #state = METHOD;
  /** The offset to continue at, from the first byte of the head. */
  #at = 0;
  #hasVersion = false;

  constructor(limits: ParserLimits) {
    this.#limits = limits;
    this.#fields = new FieldScanner(limits.maxHeaders, "HEADERS_MANY");
    this.head = new RequestHead(this.#fields.fields);
  }

  /** Begins a new head. */
  begin(): void {
    this.head.methodEnd = 0;
    this.head.targetEnd = 0;
    this.#hasVersion = false;
    this.#state = METHOD;
    this.#at = 0;
    this.head.begin();
  }

  /** The parts of the request line that were scanned so far. */
  lineSoFar(bytes: Uint8Array, base: number): KnownLine {
    const { methodEnd, targetEnd, version } = this.head;
    return {
      method: methodEnd === 0 ? undefined : latin1(bytes, base, base + methodEnd),
      target: targetEnd === 0 ? undefined : latin1(bytes, base + methodEnd + 1, base + targetEnd),
      version: this.#hasVersion ? version : undefined,
    };
  }

  /** Whether the target exceeds the limit of the head, which is then reported as TARGET_LONG. */
  get inTarget(): boolean {
    return this.#state === TARGET_PART;
  }

  /** See `FieldScanner.scan`. */
  scan(bytes: Uint8Array, base: number, stop: number): number {
    if (this.#state !== FIELDS) {
      const at = this.#requestLine(bytes, base, stop);
      if (at < 0) return at;
      this.#state = FIELDS;
      this.#fields.begin(at - base);
    }
    const end = this.#fields.scan(bytes, base, stop);
    if (end < 0) {
      this.failure = this.#fields.failure;
      return end;
    }
    const { head } = this;
    head.fields.bytes = bytes;
    head.fields.base = base;
    head.length = end - base;
    const failure = readHead(head, this.#limits);
    return failure === undefined ? end : this.#bad(failure);
  }

  #requestLine(bytes: Uint8Array, base: number, stop: number): number {
    const { head } = this;
    let state = this.#state;
    let i = base + this.#at;
    if (state === METHOD) {
      i = this.#method(bytes, base, stop);
      if (i < 0) return i;
      state = TARGET_PART;
    }
    if (state === TARGET_PART) {
      const start = base + head.methodEnd + 1;
      const { maxTargetBytes } = this.#limits;
      i = pastClass(bytes, TARGET, i, Math.min(stop, start + maxTargetBytes + 1));
      if (i - start > maxTargetBytes) return this.#bad("TARGET_LONG");
      if (i === stop) return this.#short(state, i - base);
      const code = bytes[i];
      if (code === CR || code === LF) return this.#bad("VERSION_MALFORMED");
      if (code !== SP || i === start) return this.#bad("TARGET_INVALID");
      head.targetEnd = i - base;
      i++;
    }
    return this.#version(bytes, base, stop);
  }

  /** @returns The offset of the target. */
  #method(bytes: Uint8Array, base: number, stop: number): number {
    const { head } = this;
    let i = base + this.#at;
    if (this.#at === 0 && stop - i > 4) {
      const first = wordAt(bytes, i);
      if (first === GET_) return this.#known("GET", i);
      if (first === POST && bytes[i + 4] === SP) return this.#known("POST", i);
      if (first === PUT_) return this.#known("PUT", i);
      if (first === HEAD && bytes[i + 4] === SP) return this.#known("HEAD", i);
    }
    const last = Math.min(stop, base + MAX_METHOD_BYTES + 1);
    while (i < last && TOKEN[bytes[i] as number] === 1) i++;
    if (i - base > MAX_METHOD_BYTES) return this.#bad("METHOD_LONG");
    if (i === stop) return this.#short(METHOD, i - base);
    if (bytes[i] !== SP || i === base) return this.#bad("METHOD_INVALID");
    head.methodEnd = i - base;
    for (const method of KNOWN) {
      if (method.length === head.methodEnd && isExactly(bytes, base, method)) head.know(method);
    }
    return i + 1;
  }

  #known(method: string, at: number): number {
    this.head.know(method);
    this.head.methodEnd = method.length;
    return at + method.length + 1;
  }

  /** @returns The offset of the fields. */
  #version(bytes: Uint8Array, base: number, stop: number): number {
    const { head } = this;
    const at = base + head.targetEnd + 1;
    const usual = stop - at >= VERSION_BYTES && isVersion11(bytes, at);
    for (let k = usual ? VERSION_BYTES : 0; k < VERSION_BYTES; k++) {
      if (at + k === stop) return this.#short(VERSION, at - base);
      const failure = whyNoVersion(k, bytes[at + k] as number);
      if (failure !== undefined) return this.#bad(failure);
    }
    if (bytes[at + 5] !== 0x31) return this.#bad("VERSION_UNSUPPORTED");
    head.version = bytes[at + 7] === ZERO ? 0 : 1;
    this.#hasVersion = true;
    // The method may still have to become a string, for CONNECT and OPTIONS.
    head.fields.bytes = bytes;
    head.fields.base = base;
    return readTarget(head, bytes, base) ? at + VERSION_BYTES : this.#bad("TARGET_INVALID");
  }

  #short(state: number, at: number): number {
    this.#state = state;
    this.#at = at;
    return SHORT;
  }

  #bad(failure: FailureCode): number {
    this.failure = failure;
    return BAD;
  }
}

function isVersion11(bytes: Uint8Array, at: number): boolean {
  if (wordAt(bytes, at) !== HTTP || wordAt(bytes, at + 4) !== SLASH_1_1) return false;
  return bytes[at + 8] === CR && bytes[at + 9] === LF;
}

/** The failure of a byte at this position of `HTTP/1.1` and CRLF, where the digits may differ. */
function whyNoVersion(place: number, code: number): FailureCode | undefined {
  if (code === VERSION_LINE.charCodeAt(place)) return undefined;
  if (place === 8 && code === LF) return "BARE_LF";
  if (place === 9) return "BARE_CR";
  const digit = (place === 5 || place === 7) && code >= ZERO && code <= NINE;
  return digit ? undefined : "VERSION_MALFORMED";
}

function isExactly(bytes: Uint8Array, from: number, text: string): boolean {
  for (let k = 0; k < text.length; k++) {
    if (bytes[from + k] !== text.charCodeAt(k)) return false;
  }
  return true;
}

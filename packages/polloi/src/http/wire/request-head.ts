import { isAuthority, isHostAndPort } from "./authority.ts";
import {
  ASTERISK,
  BAD,
  COLON,
  CR,
  isText,
  LF,
  LOWER,
  lowerCase,
  NINE,
  pastClass,
  QUESTION,
  SHORT,
  SLASH,
  SP,
  TARGET,
  TOKEN,
  wordAt,
  wordOf,
  ZERO,
} from "./characters.ts";
import type { FailureCode } from "./failures.ts";
import {
  CONNECTION,
  CONTENT_LENGTH,
  EXPECT,
  Fields,
  HOST,
  TRANSFER_ENCODING,
  UPGRADE,
} from "./fields.ts";
import {
  CLOSE,
  connectionOptionsOf,
  KEEP_ALIVE,
  lengthOf,
  UPGRADE_OPTION,
  whyNotChunked,
} from "./framing.ts";
import { latin1, Remembered } from "./latin1.ts";
import { DEFAULT_LIMITS, type ParserLimits } from "./limits.ts";

/** The four forms of a request target. RFC 9112 section 3.2. */
export type TargetForm = "origin" | "absolute" | "authority" | "asterisk";

/** The known parts of a request line; `undefined` for the unknown ones. */
export interface KnownLine {
  readonly method: string | undefined;
  readonly target: string | undefined;
  readonly version: 0 | 1 | undefined;
}

/** The part of the head at which the scan stopped for lack of bytes. */
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
const SCHEME = lowerCase("http");
const CONTINUE = lowerCase("100-continue");

/** Methods that are recognized without making a string; any other method becomes a string when accessed. */
const KNOWN: readonly string[] = ["DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"];

/** No Content-Length was found. */
const NO_LENGTH = -2;

/** Bits beside those of the Connection options. */
const EXPECTS_CONTINUE = 8;
const CHUNKED = 16;

/** The longest Host to remember. */
const LONGEST_HOST = 64;

/**
 * The head of a request: its request line and headers.
 *
 * @remarks
 * {@link scan} reads it in one pass: each byte once, whether the head arrives in one piece or in many. The result is a
 * view of lent bytes, whose parts become strings when they are accessed. It is valid until the parser begins the next
 * request, as long as the chunk in which the head ended is not overwritten. To keep it longer, call `parser.keepHead()`,
 * which copies it from the chunk, or take a {@link copy}.
 *
 * RFC 9112 section 3: exactly one space between the parts of the request line, and CRLF after them.
 */
export class RequestHead {
  /** The headers. */
  readonly fields: Fields;
  /** The minor version: 0 for HTTP/1.0, 1 for HTTP/1.1 and for any later 1.x. RFC 9112 section 2.3. */
  version: 0 | 1 = 1;
  /** The form of the target. */
  form: TargetForm = "origin";
  /** The length of the body in bytes: 0 without a body, -1 for a chunked body. RFC 9112 section 6.3. */
  contentLength = 0;
  /** The length of the head in bytes, from the request line to the empty line. */
  length = 0;
  /** After `BAD`: the reason. */
  failure: FailureCode = "METHOD_INVALID";
  readonly #limits: ParserLimits;
  #part = METHOD;
  /** The offset to continue at. All offsets count from the first byte of the head. */
  #at = 0;
  #hasVersion = false;
  #methodEnd = 0;
  #targetEnd = 0;
  /** The path and, in the absolute form, the authority. */
  #pathStart = 0;
  #authorityStart = 0;
  #flags = 0;
  /** The indexes of these headers; -1 if missing. */
  #hostField = -1;
  #upgradeField = -1;
  #known: string | undefined;
  #target: string | undefined;
  #path: string | undefined;
  readonly #paths: Remembered = new Remembered(1);
  readonly #targets: Remembered = new Remembered(1);
  /** The last valid Host, because most requests of a server have the same: its bytes, and its text once it is needed. */
  readonly #lastHost: Uint8Array = new Uint8Array(LONGEST_HOST);
  #lastHostLength = 0;
  #lastHostText: string | undefined;
  /** Whether this head has that Host. */
  #hasLastHost = false;

  constructor(limits: ParserLimits = DEFAULT_LIMITS) {
    this.#limits = limits;
    this.fields = new Fields(limits.maxHeaders, "HEADERS_MANY");
  }

  /** The method as it was sent. Methods are case-sensitive. */
  get method(): string {
    const { bytes, base } = this.fields;
    this.#known ??= latin1(bytes, base, base + this.#methodEnd);
    return this.#known;
  }

  /** The target as it was sent. */
  get target(): string {
    if (this.#target === undefined) {
      const { bytes, base } = this.fields;
      const from = base + this.#methodEnd + 1;
      this.#target = this.#targets.of(bytes, from, base + this.#targetEnd);
    }
    return this.#target;
  }

  /**
   * The path as it was sent: percent-encoding and dot segments are left as they are.
   *
   * @remarks
   * `/` for an absolute target without a path, and `*` for one with OPTIONS, which means the server as a whole, as `*`
   * itself does (RFC 9112 section 3.2.4). Empty in the authority form.
   */
  get path(): string {
    this.#path ??= this.#readPath();
    return this.#path;
  }

  /** The part of the target after the first `?`, as it was sent; empty if there is none. */
  get query(): string {
    const { bytes, base } = this.fields;
    return latin1(bytes, base + this.#pathEnd() + 1, base + this.#targetEnd);
  }

  /**
   * The requested host and port: those of an absolute target or of the target of CONNECT, else those of Host (RFC 9112
   * section 3.2.2). Empty if Host is empty; `undefined` if a request of HTTP/1.0 has no Host.
   */
  get host(): string | undefined {
    const { bytes, base } = this.fields;
    if (this.form === "authority") return this.target;
    if (this.form === "absolute") {
      return latin1(bytes, base + this.#authorityStart, base + this.#pathStart);
    }
    if (this.#hostField < 0) return undefined;
    if (!this.#hasLastHost) return this.fields.value(this.#hostField);
    this.#lastHostText ??= this.fields.value(this.#hostField);
    return this.#lastHostText;
  }

  /** Whether the body is chunked. RFC 9112 section 7.1. */
  get chunked(): boolean {
    return (this.#flags & CHUNKED) !== 0;
  }

  /** Whether a body follows, which may be an empty chunked one. */
  get hasBody(): boolean {
    return this.contentLength !== 0;
  }

  /** Whether the connection may be used for another request. RFC 9112 section 9.3. */
  get keepAlive(): boolean {
    if ((this.#flags & CLOSE) !== 0) return false;
    return this.version === 1 || (this.#flags & KEEP_ALIVE) !== 0;
  }

  /** Whether the client waits for `100 Continue` before it sends the body. RFC 9110 section 10.1.1. */
  get expectsContinue(): boolean {
    return (this.#flags & EXPECTS_CONTINUE) !== 0;
  }

  /**
   * The value of Upgrade. `undefined` without one, if Connection does not name it, and in HTTP/1.0. RFC 9110 section 7.8.
   */
  get upgrade(): string | undefined {
    if (this.#upgradeField < 0 || this.version === 0) return undefined;
    return (this.#flags & UPGRADE_OPTION) === 0 ? undefined : this.fields.get("upgrade");
  }

  /** The value of a header: see `Fields.get`. */
  header(name: string): string | undefined {
    return this.fields.get(name);
  }

  /** All headers in order, each as its name (as it was sent) and its value. */
  headers(): [name: string, value: string][] {
    return this.fields.entries();
  }

  /** A copy of the head in memory of its own, which stays valid. */
  copy(): RequestHead {
    const head = new RequestHead(this.#limits);
    head.fields.copyFrom(this.fields, this.length);
    head.version = this.version;
    head.form = this.form;
    head.contentLength = this.contentLength;
    head.length = this.length;
    head.#methodEnd = this.#methodEnd;
    head.#targetEnd = this.#targetEnd;
    head.#pathStart = this.#pathStart;
    head.#authorityStart = this.#authorityStart;
    head.#flags = this.#flags;
    head.#hostField = this.#hostField;
    head.#upgradeField = this.#upgradeField;
    head.#known = this.#known;
    return head;
  }

  // Used by the parser.

  /** Begins a new head. */
  begin(): void {
    this.#part = METHOD;
    this.#at = 0;
    this.#hasVersion = false;
    this.#methodEnd = 0;
    this.#targetEnd = 0;
    this.#known = undefined;
    this.#target = undefined;
    this.#path = undefined;
  }

  /** Whether the target exceeds the limit of the head, which is then reported as TARGET_LONG. */
  get isInTarget(): boolean {
    return this.#part === TARGET_PART;
  }

  /** The parts of the request line that were scanned so far. */
  lineSoFar(bytes: Uint8Array, base: number): KnownLine {
    const methodEnd = this.#methodEnd;
    const targetEnd = this.#targetEnd;
    return {
      method: methodEnd === 0 ? undefined : latin1(bytes, base, base + methodEnd),
      target: targetEnd === 0 ? undefined : latin1(bytes, base + methodEnd + 1, base + targetEnd),
      version: this.#hasVersion ? this.version : undefined,
    };
  }

  /** See `Fields.scan`. */
  scan(bytes: Uint8Array, base: number, stop: number): number {
    const { fields } = this;
    if (this.#part !== FIELDS) {
      const at = this.#scanLine(bytes, base, stop);
      if (at < 0) return at;
      this.#part = FIELDS;
      fields.begin(at - base);
    }
    const end = fields.scan(bytes, base, stop);
    if (end < 0) {
      this.failure = fields.failure;
      return end;
    }
    fields.bytes = bytes;
    fields.base = base;
    this.length = end - base;
    const failure = this.#interpret();
    return failure === undefined ? end : this.#bad(failure);
  }

  #scanLine(bytes: Uint8Array, base: number, stop: number): number {
    let i = base + this.#at;
    if (this.#part === METHOD) {
      i = this.#scanMethod(bytes, base, stop);
      if (i < 0) return i;
      this.#part = TARGET_PART;
    }
    if (this.#part === TARGET_PART) {
      const start = base + this.#methodEnd + 1;
      const { maxTargetBytes } = this.#limits;
      i = pastClass(bytes, TARGET, i, Math.min(stop, start + maxTargetBytes + 1));
      if (i - start > maxTargetBytes) return this.#bad("TARGET_LONG");
      if (i === stop) return this.#short(i - base);
      const code = bytes[i];
      if (code === CR || code === LF) return this.#bad("VERSION_MALFORMED");
      if (code !== SP || i === start) return this.#bad("TARGET_INVALID");
      this.#targetEnd = i - base;
      this.#part = VERSION;
    }
    return this.#scanVersion(bytes, base, stop);
  }

  /** @returns The position of the target. */
  #scanMethod(bytes: Uint8Array, base: number, stop: number): number {
    let i = base + this.#at;
    if (this.#at === 0 && stop - i > 4) {
      const first = wordAt(bytes, i);
      if (first === GET_) return this.#recognized("GET", i);
      if (first === POST && bytes[i + 4] === SP) return this.#recognized("POST", i);
      if (first === PUT_) return this.#recognized("PUT", i);
      if (first === HEAD && bytes[i + 4] === SP) return this.#recognized("HEAD", i);
    }
    const last = Math.min(stop, base + MAX_METHOD_BYTES + 1);
    while (i < last && TOKEN[bytes[i] as number] === 1) i++;
    if (i - base > MAX_METHOD_BYTES) return this.#bad("METHOD_LONG");
    if (i === stop) return this.#short(i - base);
    if (bytes[i] !== SP || i === base) return this.#bad("METHOD_INVALID");
    this.#methodEnd = i - base;
    for (const method of KNOWN) {
      if (method.length === i - base && isExactly(bytes, base, method)) this.#known = method;
    }
    return i + 1;
  }

  #recognized(method: string, at: number): number {
    this.#known = method;
    this.#methodEnd = method.length;
    return at + method.length + 1;
  }

  /** @returns The position of the fields. */
  #scanVersion(bytes: Uint8Array, base: number, stop: number): number {
    const at = base + this.#targetEnd + 1;
    const usual = stop - at >= VERSION_BYTES && isVersion11(bytes, at);
    for (let k = usual ? VERSION_BYTES : 0; k < VERSION_BYTES; k++) {
      if (at + k === stop) return this.#short(at - base);
      const failure = whyNoVersion(k, bytes[at + k] as number);
      if (failure !== undefined) return this.#bad(failure);
    }
    if (bytes[at + 5] !== 0x31) return this.#bad("VERSION_UNSUPPORTED");
    this.version = bytes[at + 7] === ZERO ? 0 : 1;
    this.#hasVersion = true;
    // The method may still have to become a string, for CONNECT and OPTIONS.
    this.fields.bytes = bytes;
    this.fields.base = base;
    return this.#isTarget(bytes, base) ? at + VERSION_BYTES : this.#bad("TARGET_INVALID");
  }

  /**
   * Stores the form of the target, and the parts of an absolute one. RFC 9112 section 3.2.
   *
   * @remarks
   * Absolute targets must have the scheme http or https and a host, and no user information (RFC 9110 section 4.2.4).
   * The authority form is valid for CONNECT only, and the asterisk form for OPTIONS only.
   *
   * @returns Whether the target is valid.
   */
  #isTarget(bytes: Uint8Array, base: number): boolean {
    const from = base + this.#methodEnd + 1;
    const to = base + this.#targetEnd;
    this.#pathStart = this.#methodEnd + 1;
    if (this.method === "CONNECT") {
      this.form = "authority";
      this.#pathStart = this.#targetEnd;
      return isHostAndPort(bytes, from, to);
    }
    if (bytes[from] === SLASH) {
      this.form = "origin";
      return true;
    }
    if (bytes[from] === ASTERISK) {
      this.form = "asterisk";
      return to === from + 1 && this.method === "OPTIONS";
    }
    this.form = "absolute";
    const authority = schemeEnd(bytes, from, to);
    if (authority < 0) return false;
    let end = authority;
    while (end < to && bytes[end] !== SLASH && bytes[end] !== QUESTION) end++;
    this.#authorityStart = authority - base;
    this.#pathStart = end - base;
    return isAuthority(bytes, authority, end);
  }

  /**
   * Reads the framing of the body and the persistence of the connection from the fields that the scan has found.
   *
   * @returns The failure if the request must be refused.
   */
  #interpret(): FailureCode | undefined {
    const { fields } = this;
    const { bytes, controls, controlCount } = fields;
    let length = NO_LENGTH;
    let codings = 0;
    this.#flags = 0;
    this.#hostField = -1;
    this.#hasLastHost = false;
    this.#upgradeField = -1;
    for (let c = 0; c < controlCount; c++) {
      const index = (controls[c] as number) >> 3;
      const from = fields.valueStart(index);
      const to = fields.valueEnd(index);
      switch ((controls[c] as number) & 7) {
        case HOST:
          if (this.#hostField >= 0) return "HOST_REPEATED";
          if (from < to && !this.#isHost(bytes, from, to)) return "HOST_INVALID";
          this.#hostField = index;
          break;
        case EXPECT:
          if (to - from !== 12 || !isText(bytes, from, CONTINUE)) return "EXPECT_UNKNOWN";
          this.#flags |= EXPECTS_CONTINUE;
          break;
        case UPGRADE:
          if (this.#upgradeField < 0) this.#upgradeField = index;
          break;
        case CONNECTION:
          this.#flags |= connectionOptionsOf(bytes, from, to);
          break;
        case CONTENT_LENGTH:
          if (length !== NO_LENGTH) return "LENGTH_REPEATED";
          length = lengthOf(bytes, from, to);
          if (length < 0) return "LENGTH_INVALID";
          break;
        case TRANSFER_ENCODING:
          codings++;
          break;
      }
    }
    if (this.version === 0) this.#flags &= ~EXPECTS_CONTINUE;
    else if (this.#hostField < 0) return "HOST_MISSING";
    if (codings > 0) {
      if (length !== NO_LENGTH) return "LENGTH_AND_CODING";
      if (this.version === 0) return "CODING_VERSION";
      this.#flags |= CHUNKED;
      this.contentLength = -1;
      return whyNotChunked(fields);
    }
    this.contentLength = length === NO_LENGTH ? 0 : length;
    return this.contentLength > this.#limits.maxBodyBytes ? "BODY_LARGE" : undefined;
  }

  /** Whether this is a valid host. Comparing it with the last valid one is faster than checking it. */
  #isHost(bytes: Uint8Array, from: number, to: number): boolean {
    const last = this.#lastHost;
    const length = to - from;
    if (length === this.#lastHostLength) {
      let k = 0;
      while (k < length && last[k] === bytes[from + k]) k++;
      this.#hasLastHost = k === length;
      if (this.#hasLastHost) return true;
    }
    if (!isAuthority(bytes, from, to)) return false;
    if (length > LONGEST_HOST) return true;
    for (let k = 0; k < length; k++) last[k] = bytes[from + k] as number;
    this.#lastHostLength = length;
    this.#lastHostText = undefined;
    this.#hasLastHost = true;
    return true;
  }

  #readPath(): string {
    const { bytes, base } = this.fields;
    const end = this.#pathEnd();
    if (end === this.#pathStart && this.form === "absolute") {
      return this.method === "OPTIONS" && end === this.#targetEnd ? "*" : "/";
    }
    return this.#paths.of(bytes, base + this.#pathStart, base + end);
  }

  /** The offset of the end of the path: the question mark, or the end of the target. */
  #pathEnd(): number {
    const { bytes, base } = this.fields;
    let i = this.#pathStart;
    while (i < this.#targetEnd && bytes[base + i] !== QUESTION) i++;
    return i;
  }

  #short(at: number): number {
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

/** The position of the authority; -1 if the target does not begin with `http://` or `https://`. */
function schemeEnd(bytes: Uint8Array, from: number, to: number): number {
  if (to - from < 8 || !isText(bytes, from, SCHEME)) return -1;
  const colon = LOWER[bytes[from + 4] as number] === 0x73 ? from + 5 : from + 4;
  if (bytes[colon] !== COLON || bytes[colon + 1] !== SLASH || bytes[colon + 2] !== SLASH) return -1;
  return colon + 3;
}

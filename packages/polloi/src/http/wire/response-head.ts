import {
  BAD,
  CR,
  LF,
  NINE,
  pastClass,
  SHORT,
  SP,
  VALUE,
  wordAt,
  wordOf,
  ZERO,
} from "./characters.ts";
import type { FailureCode } from "./failures.ts";
import { CONNECTION, CONTENT_LENGTH, Fields, TRANSFER_ENCODING } from "./fields.ts";
import { CLOSE, connectionOptionsOf, endsChunked, KEEP_ALIVE, lengthOf } from "./framing.ts";

/** A reason to reject a response: those of a request that apply, and these. */
export type ResponseFailure = FailureCode | "STATUS_INVALID" | "LENGTH_CONFLICT" | "SWITCHED";

/** The part of the head at which the scan stopped for lack of bytes. */
const STATUS = 0;
const REASON = 1;
const LINE_FEED = 2;
const FIELDS = 3;

const HTTP = wordOf("HTTP");
/** The length of `HTTP/1.1 200`. */
const STATUS_BYTES = 12;

/**
 * The head of a response: its status line and headers.
 *
 * @remarks
 * Its rules about lent bytes are those of `RequestHead`. RFC 9112 section 4. The space before an empty reason phrase may
 * be missing, because some servers omit it.
 */
export class ResponseHead {
  readonly fields: Fields;
  status = 0;
  /** The minor version of HTTP/1. */
  version: 0 | 1 = 1;
  /** The length of the body in bytes; -1 if it is chunked, Infinity if it ends with the connection. */
  contentLength = 0;
  /** Whether the server closes the connection after this response. */
  closes = false;
  failure: ResponseFailure = "STATUS_INVALID";
  #part = STATUS;
  /** The offset to continue at, from the first byte of the head. */
  #at = 0;

  constructor(maxFields: number) {
    this.fields = new Fields(maxFields, "HEADERS_MANY");
  }

  /** Begins a new head. */
  begin(): void {
    this.#part = STATUS;
    this.#at = 0;
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
    const failure = this.#interpret();
    return failure === undefined ? end : this.#bad(failure);
  }

  /** @returns The position of the fields. */
  #scanLine(bytes: Uint8Array, base: number, stop: number): number {
    let i = base + this.#at;
    if (this.#part === STATUS) {
      i = this.#scanStatus(bytes, base, stop);
      if (i < 0) return i;
      this.#part = REASON;
    }
    if (this.#part === REASON) {
      i = pastClass(bytes, VALUE, i, stop);
      if (i === stop) return this.#short(i - base);
      if (bytes[i] !== CR) return this.#bad(bytes[i] === LF ? "BARE_LF" : "STATUS_INVALID");
      i++;
      this.#part = LINE_FEED;
    }
    if (i === stop) return this.#short(i - base);
    return bytes[i] === LF ? i + 1 : this.#bad("BARE_CR");
  }

  /** @returns The position of the reason phrase, or of the CR. */
  #scanStatus(bytes: Uint8Array, base: number, stop: number): number {
    for (let k = Math.min(4, stop - base); k > 0; k--) {
      if (bytes[base + k - 1] !== "HTTP".charCodeAt(k - 1)) return this.#bad("VERSION_MALFORMED");
    }
    // The byte after the status shows that it has three digits.
    if (stop - base <= STATUS_BYTES) return this.#short(0);
    const version = wordAt(bytes, base + 4);
    const minor = (bytes[base + 7] as number) - ZERO;
    if (
      wordAt(bytes, base) !== HTTP ||
      version >>> 8 !== 0x2f312e ||
      (minor !== 0 && minor !== 1)
    ) {
      return this.#bad("VERSION_MALFORMED");
    }
    if (bytes[base + 8] !== SP) return this.#bad("STATUS_INVALID");
    let status = 0;
    for (let k = 9; k < STATUS_BYTES; k++) {
      const digit = bytes[base + k] as number;
      if (digit < ZERO || digit > NINE) return this.#bad("STATUS_INVALID");
      status = 10 * status + digit - ZERO;
    }
    const after = bytes[base + STATUS_BYTES];
    if (status < 100 || (after !== SP && after !== CR)) return this.#bad("STATUS_INVALID");
    this.status = status;
    this.version = minor;
    return base + STATUS_BYTES;
  }

  /** Determines the length of the body and the end of the connection. RFC 9112 sections 6.3 and 9.3. */
  #interpret(): ResponseFailure | undefined {
    const { fields, status } = this;
    // It was not requested, and another protocol follows.
    if (status === 101) return "SWITCHED";
    let length = -1;
    let options = 0;
    let codings = 0;
    let isChunked = false;
    for (let c = 0; c < fields.controlCount; c++) {
      const index = (fields.controls[c] as number) >> 3;
      const from = fields.valueStart(index);
      const to = fields.valueEnd(index);
      switch ((fields.controls[c] as number) & 7) {
        case CONNECTION:
          options |= connectionOptionsOf(fields.bytes, from, to);
          break;
        case CONTENT_LENGTH: {
          const said = lengthOf(fields.bytes, from, to);
          if (said < 0) return "LENGTH_INVALID";
          if (length >= 0 && said !== length) return "LENGTH_CONFLICT";
          length = said;
          break;
        }
        case TRANSFER_ENCODING:
          codings++;
          isChunked = endsChunked(fields.bytes, from, to);
          break;
      }
    }
    this.closes = (options & CLOSE) !== 0 || (this.version === 0 && (options & KEEP_ALIVE) === 0);
    if (status < 200 || status === 204 || status === 304) {
      this.contentLength = 0;
    } else if (codings > 0) {
      // A response with both is invalid, and a way to smuggle responses.
      if (length >= 0) return "LENGTH_AND_CODING";
      this.contentLength = isChunked ? -1 : Number.POSITIVE_INFINITY;
    } else {
      this.contentLength = length >= 0 ? length : Number.POSITIVE_INFINITY;
    }
    if (this.contentLength === Number.POSITIVE_INFINITY) this.closes = true;
    return undefined;
  }

  #short(at: number): number {
    this.#at = at;
    return SHORT;
  }

  #bad(failure: ResponseFailure): number {
    this.failure = failure;
    return BAD;
  }
}

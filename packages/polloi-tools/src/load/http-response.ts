import {
  BAD,
  ChunkLine,
  COLON,
  COMMA,
  CR,
  isBlank,
  isText,
  LF,
  lowerCase,
  NINE,
  SHORT,
  SP,
  TOKEN,
  VALUE,
  ZERO,
} from "polloi/internal";

/** Limit of a head, and of the trailers. That of Chromium is the same, that of curl somewhat higher. */
export const MAX_HEAD_BYTES = 262_144;
const MAX_CHUNK_EXTENSION_BYTES = 16_384;

const CONTENT_LENGTH = lowerCase("content-length");
const TRANSFER_ENCODING = lowerCase("transfer-encoding");
const CONNECTION = lowerCase("connection");
const CHUNKED = lowerCase("chunked");
const CLOSE = lowerCase("close");
const KEEP_ALIVE = lowerCase("keep-alive");
const VERSION = [0x48, 0x54, 0x54, 0x50, 0x2f, 0x31, 0x2e] as const;

/** States: what the next byte belongs to. */
const HEAD = 0;
const BODY = 1;
const CHUNK_LINE = 2;
const CHUNK_DATA = 3;
const CHUNK_END = 4;
const TRAILERS = 5;
const UNTIL_END = 6;

/**
 * Reads the consecutive responses of a connection, as far as needed to find the end of each.
 *
 * @remarks
 * It is strict and rejects what RFC 9112 does not allow, since a response that is misread makes all later ones wrong.
 * Bodies are counted and discarded. Between calls it keeps only an incomplete line of a head.
 */
export class HttpResponseReader {
  status = 0;
  /** Whether the server closes the connection after this response. */
  closes = false;
  /** Whether the last `BAD` was a head or trailers above {@link MAX_HEAD_BYTES}. */
  isTooLarge = false;
  #state = HEAD;
  /** Remaining bytes of the body or of the chunk. */
  #left = 0;
  #chunkLine: ChunkLine | null = null;
  /** Whether the status line was read and fields follow. */
  #inFields = false;
  /** Bytes of the complete lines of this head. */
  #headBytes = 0;
  /** An incomplete line of the head. */
  #cut: Uint8Array | null = null;
  /** Bytes of the trailers so far, and of their current line. */
  #trailers = 0;
  #line = 0;
  #length = -1;
  #chunked = false;
  #coded = false;
  #keepsAlive = false;

  /** Whether a response has started and not ended. */
  get within(): boolean {
    return this.#state !== HEAD || this.#inFields || this.#cut !== null;
  }

  /**
   * @returns The position after the response when it is complete; `SHORT` when everything was read and the response is
   * incomplete; `BAD` when it is invalid.
   */
  read(bytes: Uint8Array, from: number, to: number): number {
    let at = from;
    if (this.#state === HEAD) {
      at = this.#cut === null ? this.#readHead(bytes, at, to) : this.#resume(bytes, at, to);
      if (at < 0) return at;
      if (this.#state === HEAD) return at;
    }
    return this.#readBody(bytes, at, to);
  }

  /** The peer has ended its half. @returns Whether that completes a response. */
  end(): boolean {
    if (this.#state !== UNTIL_END) return false;
    this.#state = HEAD;
    return true;
  }

  /** Resets the state for another connection. */
  reset(): void {
    this.#state = HEAD;
    this.#inFields = false;
    this.#headBytes = 0;
    this.#cut = null;
    this.closes = false;
  }

  /** Joins an incomplete line with the bytes that follow, and continues. */
  #resume(bytes: Uint8Array, from: number, to: number): number {
    const cut = this.#cut as Uint8Array;
    const length = Math.min(to - from, MAX_HEAD_BYTES);
    const whole = new Uint8Array(cut.length + length);
    whole.set(cut);
    whole.set(bytes.subarray(from, from + length), cut.length);
    this.#cut = null;
    const end = this.#readHead(whole, 0, whole.length);
    // The incomplete line was no end of a head, so the end is within the new bytes.
    return end < 0 ? end : from + end - cut.length;
  }

  /** Reads heads up to the end of the final one. */
  #readHead(bytes: Uint8Array, from: number, to: number): number {
    let at = from;
    for (;;) {
      const isLast = this.#inFields && bytes[at] === CR;
      const end = this.#readLine(bytes, at, to, isLast);
      if (end === BAD) return BAD;
      this.isTooLarge = this.#headBytes + (end === SHORT ? to : end) - at > MAX_HEAD_BYTES;
      if (this.isTooLarge) return BAD;
      if (end === SHORT) {
        if (to > at) this.#cut = bytes.slice(at, to);
        return SHORT;
      }
      this.#headBytes += end - at;
      this.#inFields = true;
      at = end;
      if (!isLast) continue;
      this.#inFields = false;
      this.#headBytes = 0;
      if (this.status >= 200) return this.#frame() ? at : BAD;
      // 101 switches to another protocol, which was not requested.
      if (this.status === 101) return BAD;
    }
  }

  /** @param isLast - Whether it is the empty line. */
  #readLine(bytes: Uint8Array, from: number, to: number, isLast: boolean): number {
    if (isLast) return pastLineEnd(bytes, from, to);
    return this.#inFields
      ? this.#readField(bytes, from, to)
      : this.#readStatusLine(bytes, from, to);
  }

  #readStatusLine(bytes: Uint8Array, from: number, to: number): number {
    for (let i = 0; i < VERSION.length; i++) {
      if (from + i >= to) return SHORT;
      if (bytes[from + i] !== VERSION[i]) return BAD;
    }
    // At least "HTTP/1.x ddd ".
    if (from + 12 >= to) return SHORT;
    const minor = (bytes[from + 7] as number) - ZERO;
    if ((minor !== 0 && minor !== 1) || bytes[from + 8] !== SP) return BAD;
    let status = 0;
    for (let i = 9; i < 12; i++) {
      const digit = bytes[from + i] as number;
      if (digit < ZERO || digit > NINE) return BAD;
      status = 10 * status + digit - ZERO;
    }
    if (status < 100) return BAD;
    this.status = status;
    this.#length = -1;
    this.#chunked = false;
    this.#coded = false;
    this.closes = false;
    this.#keepsAlive = minor === 1;
    let at = from + 12;
    // Some servers omit the space before an empty reason phrase.
    if (bytes[at] === SP) at = pastValue(bytes, at + 1, to);
    return pastLineEnd(bytes, at, to);
  }

  #readField(bytes: Uint8Array, from: number, to: number): number {
    let at = from;
    while (at < to && TOKEN[bytes[at] as number] === 1) at++;
    if (at >= to) return SHORT;
    if (at === from || bytes[at] !== COLON) return BAD;
    const nameLength = at - from;
    at++;
    const valueFrom = at;
    at = pastValue(bytes, at, to);
    const end = pastLineEnd(bytes, at, to);
    if (end < 0) return end;
    // Three fields determine the framing. A first comparison of letter and length excludes most others.
    const first = (bytes[from] as number) | 0x20;
    if (first !== 0x63 && first !== 0x74) return end;
    if (nameLength === CONTENT_LENGTH.length && isText(bytes, from, CONTENT_LENGTH)) {
      return this.#takeLength(bytes, valueFrom, at) ? end : BAD;
    }
    if (nameLength === CONNECTION.length && isText(bytes, from, CONNECTION)) {
      this.#takeConnection(bytes, valueFrom, at);
    } else if (nameLength === TRANSFER_ENCODING.length && isText(bytes, from, TRANSFER_ENCODING)) {
      this.#takeCodings(bytes, valueFrom, at);
    }
    return end;
  }

  #takeLength(bytes: Uint8Array, from: number, to: number): boolean {
    let [at, end] = [from, to];
    while (at < end && isBlank(bytes[at] as number)) at++;
    while (end > at && isBlank(bytes[end - 1] as number)) end--;
    if (end === at || end - at > 15) return false;
    let length = 0;
    for (; at < end; at++) {
      const digit = bytes[at] as number;
      if (digit < ZERO || digit > NINE) return false;
      length = 10 * length + digit - ZERO;
    }
    if (this.#length >= 0 && this.#length !== length) return false;
    this.#length = length;
    return true;
  }

  #takeConnection(bytes: Uint8Array, from: number, to: number): void {
    eachItem(bytes, from, to, (at, end) => {
      if (end - at === CLOSE.length && isText(bytes, at, CLOSE)) this.closes = true;
      else if (end - at === KEEP_ALIVE.length && isText(bytes, at, KEEP_ALIVE)) {
        this.#keepsAlive = true;
      }
    });
  }

  #takeCodings(bytes: Uint8Array, from: number, to: number): void {
    this.#coded = true;
    eachItem(bytes, from, to, (at, end) => {
      this.#chunked = end - at === CHUNKED.length && isText(bytes, at, CHUNKED);
    });
  }

  /** Determines the length of the body: RFC 9112 section 6.3. @returns False when it is ambiguous. */
  #frame(): boolean {
    if (!this.#keepsAlive) this.closes = true;
    if (this.status === 204 || this.status === 304) return true;
    if (this.#coded) {
      // A response with both is invalid, and a way to smuggle responses.
      if (this.#length >= 0) return false;
      if (this.#chunked) {
        this.#chunkLine ??= new ChunkLine(MAX_CHUNK_EXTENSION_BYTES);
        this.#chunkLine.begin();
        this.#state = CHUNK_LINE;
        return true;
      }
    } else if (this.#length >= 0) {
      this.#left = this.#length;
      if (this.#left > 0) this.#state = BODY;
      return true;
    }
    this.closes = true;
    this.#state = UNTIL_END;
    return true;
  }

  #readBody(bytes: Uint8Array, from: number, to: number): number {
    let at = from;
    for (;;) {
      switch (this.#state) {
        case BODY:
        case CHUNK_DATA: {
          const taken = Math.min(this.#left, to - at);
          this.#left -= taken;
          at += taken;
          if (this.#left > 0) return SHORT;
          if (this.#state === BODY) return this.#complete(at);
          this.#state = CHUNK_END;
          this.#left = 2;
          break;
        }
        case CHUNK_LINE: {
          const line = this.#chunkLine as ChunkLine;
          at = line.read(bytes, at, to);
          if (at < 0) return at;
          this.#left = line.size;
          this.#state = line.size === 0 ? TRAILERS : CHUNK_DATA;
          this.#trailers = 0;
          this.#line = 0;
          break;
        }
        case CHUNK_END: {
          for (; this.#left > 0 && at < to; at++, this.#left--) {
            if (bytes[at] !== (this.#left === 2 ? CR : LF)) return BAD;
          }
          if (this.#left > 0) return SHORT;
          this.#state = CHUNK_LINE;
          (this.#chunkLine as ChunkLine).next();
          break;
        }
        case TRAILERS:
          at = this.#skipTrailers(bytes, at, to);
          return at < 0 ? at : this.#complete(at);
        default:
          return SHORT;
      }
    }
  }

  /** The position after the empty line that ends the trailers, which are ignored. */
  #skipTrailers(bytes: Uint8Array, from: number, to: number): number {
    for (let at = from; at < to; at++) {
      const code = bytes[at] as number;
      this.isTooLarge = ++this.#trailers > MAX_HEAD_BYTES;
      if (this.isTooLarge) return BAD;
      if (this.#line < 0) {
        if (code !== LF) return BAD;
        // -1 after the CR of an empty line, -2 after the CR of a trailer.
        if (this.#line === -1) return at + 1;
        this.#line = 0;
      } else if (code === CR) {
        this.#line = this.#line === 0 ? -1 : -2;
      } else if (VALUE[code] === 1) {
        this.#line++;
      } else {
        return BAD;
      }
    }
    return SHORT;
  }

  #complete(at: number): number {
    this.#state = HEAD;
    return at;
  }
}

function pastValue(bytes: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to && VALUE[bytes[at] as number] === 1) at++;
  return at;
}

function pastLineEnd(bytes: Uint8Array, at: number, to: number): number {
  if (at >= to) return SHORT;
  if (bytes[at] !== CR) return BAD;
  if (at + 1 >= to) return SHORT;
  return bytes[at + 1] === LF ? at + 2 : BAD;
}

/** Calls back with each item of a list separated by commas, without surrounding blanks. */
function eachItem(
  bytes: Uint8Array,
  from: number,
  to: number,
  take: (at: number, end: number) => void,
): void {
  for (let start = from; start <= to; ) {
    let comma = start;
    while (comma < to && bytes[comma] !== COMMA) comma++;
    let [at, end] = [start, comma];
    while (at < end && isBlank(bytes[at] as number)) at++;
    while (end > at && isBlank(bytes[end - 1] as number)) end--;
    if (end > at) take(at, end);
    start = comma + 1;
  }
}

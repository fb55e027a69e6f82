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

/**
 * A head may be this long, and so may the trailers, in however many pieces they come. Chromium allows as much, curl
 * somewhat more.
 */
export const MAX_HEAD_BYTES = 262_144;
const MAX_CHUNK_EXTENSION_BYTES = 16_384;

const CONTENT_LENGTH = lowerCase("content-length");
const TRANSFER_ENCODING = lowerCase("transfer-encoding");
const CONNECTION = lowerCase("connection");
const CHUNKED = lowerCase("chunked");
const CLOSE = lowerCase("close");
const KEEP_ALIVE = lowerCase("keep-alive");
const VERSION = [0x48, 0x54, 0x54, 0x50, 0x2f, 0x31, 0x2e] as const;

/** What comes next. */
const HEAD = 0;
const BODY = 1;
const CHUNK_LINE = 2;
const CHUNK_DATA = 3;
const CHUNK_END = 4;
const TRAILERS = 5;
const UNTIL_END = 6;

/**
 * Reads the responses of one connection, one after the other, as far as it takes to know where each ends.
 *
 * @remarks
 * Strict, since a response that is misread makes all that follow wrong: what RFC 9112 does not have is
 * refused. Bodies are counted and let go. Nothing is kept of a chunk but a head that it cuts in two.
 */
export class HttpResponseReader {
  status = 0;
  /** Whether the connection ends with this response. */
  closes = false;
  /** Whether a head, or trailers, were longer than {@link MAX_HEAD_BYTES}: the reason for a `BAD`. */
  isTooLarge = false;
  #state = HEAD;
  /** Bytes of the body, or of the chunk, that are to come. */
  #left = 0;
  #chunkLine: ChunkLine | null = null;
  /** Whether the status line was read, and fields follow. */
  #inFields = false;
  /** Bytes of the lines of this head that were read. */
  #headBytes = 0;
  /** A line of the head that is not complete. */
  #cut: Uint8Array | null = null;
  /** Bytes of trailers so far, and of the line in which they are. */
  #trailers = 0;
  #line = 0;
  #length = -1;
  #chunked = false;
  #coded = false;
  #keepsAlive = false;

  /** Whether a response has begun and not ended. */
  get within(): boolean {
    return this.#state !== HEAD || this.#inFields || this.#cut !== null;
  }

  /**
   * @returns The position after the response when it is complete; `SHORT` when all was taken and more is
   * to come; `BAD` when this is no HTTP.
   */
  read(bytes: Uint8Array, from: number, to: number): number {
    let at = from;
    if (this.#state === HEAD) {
      at = this.#cut === null ? this.#readHead(bytes, at, to) : this.#goOn(bytes, at, to);
      if (at < 0) return at;
      if (this.#state === HEAD) return at;
    }
    return this.#readBody(bytes, at, to);
  }

  /** The peer has ended. @returns Whether that completes a response. */
  end(): boolean {
    if (this.#state !== UNTIL_END) return false;
    this.#state = HEAD;
    return true;
  }

  /** Forgets everything: the next bytes are those of another connection. */
  reset(): void {
    this.#state = HEAD;
    this.#inFields = false;
    this.#headBytes = 0;
    this.#cut = null;
    this.closes = false;
  }

  /** Puts together a line of which a part came before, and reads on. */
  #goOn(bytes: Uint8Array, from: number, to: number): number {
    const cut = this.#cut as Uint8Array;
    const room = Math.min(to - from, MAX_HEAD_BYTES);
    const whole = new Uint8Array(cut.length + room);
    whole.set(cut);
    whole.set(bytes.subarray(from, from + room), cut.length);
    this.#cut = null;
    const end = this.#readHead(whole, 0, whole.length);
    // What was there before was no line by itself, so the end of the head lies within what came now.
    return end < 0 ? end : from + end - cut.length;
  }

  /** Reads heads up to the end of the one that is final. */
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
      // 101 would be another protocol, which nobody has asked for.
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
    // "HTTP/1.x ddd " at the least.
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
    // Some leave out the space before a reason that is not there.
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
    // Only three fields frame, and no other has their lengths and first letters, of either case.
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

  /** How long the body is: RFC 9112 section 6.3. @returns False when nobody can know. */
  #frame(): boolean {
    if (!this.#keepsAlive) this.closes = true;
    if (this.status === 204 || this.status === 304) return true;
    if (this.#coded) {
      // Both are a way to smuggle, and a server that sends both is broken.
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

  /** Past the empty line that ends the trailers, whatever they say. */
  #skipTrailers(bytes: Uint8Array, from: number, to: number): number {
    for (let at = from; at < to; at++) {
      const code = bytes[at] as number;
      this.isTooLarge = ++this.#trailers > MAX_HEAD_BYTES;
      if (this.isTooLarge) return BAD;
      if (this.#line < 0) {
        if (code !== LF) return BAD;
        // -1 after the CR of an empty line, -2 after that of a trailer.
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

/** Each item of a list between commas, without the blanks around it. */
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

import { rangeError } from "../../base/misuse.ts";
import { BodyParser } from "./body.ts";
import { BAD, CR, LF } from "./characters.ts";
import {
  END,
  FAILED,
  FAILURES,
  type FailureCode,
  HEAD,
  NEED_MORE,
  type ReadResult,
} from "./failures.ts";
import type { Fields } from "./fields.ts";
import { DEFAULT_LIMITS, type ParserLimits } from "./limits.ts";
import { type KnownLine, RequestHead } from "./request-head.ts";
import { OVER, Section } from "./section.ts";

/** The part of the message that the next byte belongs to. */
const IDLE = 0;
const EMPTY_LINE = 1;
const IN_HEAD = 2;
const IN_BODY = 3;
/** There is no body: the end of the request follows its head. */
const AT_END = 4;
const REFUSED = 5;

/** Some clients send a CRLF after a body, without counting it. RFC 9112 section 2.2. */
const MAX_EMPTY_LINES = 4;

/**
 * Parses HTTP/1.0 and HTTP/1.1 requests in the received bytes, one result at a time.
 *
 * @remarks
 * A request is HEAD, any number of BODY, and END; NEED_MORE may come between any two. After each result except NEED_MORE
 * and FAILED, the caller continues at {@link position}; after END the next request begins there. How the bytes are split
 * into chunks affects only how a body is split.
 *
 * ```text
 *   for (let at = from; ; at = parser.position) {
 *     switch (parser.read(chunk, at, to)) {
 *       case NEED_MORE: return;               // the whole chunk was taken
 *       case HEAD:      begin(parser.head); break;
 *       case BODY:      body(chunk, parser.bodyStart, parser.bodyEnd); break;
 *       case END:       end(parser.trailers); break;
 *       case FAILED:    refuse(parser.status, parser.reason); return;
 *     }
 *   }
 * ```
 *
 * The parser is strict. RFC 9112 allows a server to tolerate a bare LF, folded lines, a space before a colon and more.
 * Each of these can make two servers see different requests, and no current client needs them.
 *
 * Nothing is allocated for a request whose head arrives in one chunk. A head is in that chunk, or else in a buffer of the
 * parser. It is valid until the next request begins, as long as the chunk does not change. {@link keepHead} copies it
 * from the chunk.
 *
 * Between two requests ({@link idle}) a parser has no state of its connection. So a server can use one parser for many
 * connections, and needs further ones only for connections in the middle of a request.
 *
 * RFC 9112.
 */
export class RequestParser {
  /** The position after the last read. */
  position = 0;
  /** The head of the request, after HEAD. */
  readonly head: RequestHead;
  readonly #section: Section;
  readonly #body: BodyParser;
  #state = IDLE;
  #emptyLines = 0;
  #failure: FailureCode | undefined;

  /** @param limits - The result of `parserLimitsOf`. All parsers may share one object. */
  constructor(limits: ParserLimits = DEFAULT_LIMITS) {
    this.head = new RequestHead(limits);
    this.#section = new Section(this.head, limits.maxHeadBytes);
    this.#body = new BodyParser(limits);
  }

  /**
   * The known parts of the request line while the head is incomplete, or after it was refused; null if nothing of the next
   * request has arrived.
   */
  get knownLine(): KnownLine | null {
    // The head still has the values of the previous request.
    if (this.#state === IDLE || this.#state === EMPTY_LINE) return null;
    return this.head.lineSoFar(this.#section.bytes, this.#section.base);
  }

  /** After BODY: the position of its first byte in the chunk. */
  get bodyStart(): number {
    return this.#body.bodyStart;
  }

  /** After BODY: the position after its last byte in the chunk. */
  get bodyEnd(): number {
    return this.#body.bodyEnd;
  }

  /** After END: the trailers. They are valid as long as the head is. */
  get trailers(): Fields {
    return this.#body.trailers;
  }

  /** Whether it is between two requests, and nothing of the next one has arrived. */
  get idle(): boolean {
    return this.#state === IDLE && this.#emptyLines === 0;
  }

  /** After FAILED: the code of the failure. */
  get failure(): FailureCode | undefined {
    return this.#failure;
  }

  /** After FAILED: the status of the reply; 0 before. */
  get status(): number {
    return this.#failure === undefined ? 0 : FAILURES[this.#failure].status;
  }

  /** After FAILED: the reason, without any data from the client; empty before. */
  get reason(): string {
    return this.#failure === undefined ? "" : FAILURES[this.#failure].reason;
  }

  /**
   * Parses up to the next result.
   *
   * @param bytes - The chunk. It is not changed, and not needed after NEED_MORE.
   * @param from - The position of the first byte that was not parsed yet.
   * @param to - The position after the last received byte.
   * @returns The result. After FAILED, every result is FAILED.
   * @throws RangeError `ERR_INVALID_LENGTH` if the range is not within the bytes.
   */
  read(bytes: Uint8Array, from: number = 0, to: number = bytes.length): ReadResult {
    if (!(from >= 0 && from <= to && to <= bytes.length)) {
      throw rangeError(
        "ERR_INVALID_LENGTH",
        `Cannot read from ${from} to ${to}: give a range within the ${bytes.length} bytes`,
      );
    }
    this.position = from;
    if (this.#state === AT_END) {
      this.#state = IDLE;
      this.#emptyLines = 0;
      return END;
    }
    if (this.#state === IN_BODY) return this.#readBody(bytes, from, to);
    if (this.#state === REFUSED) return FAILED;
    if (this.#state !== IN_HEAD) {
      if (!this.#skipEmptyLines(bytes, from, to)) return FAILED;
      if (this.position === to) return NEED_MORE;
      this.#section.begin();
      this.head.begin();
      this.#state = IN_HEAD;
    }
    return this.#readHead(bytes, this.position, to);
  }

  /** Copies the head from the chunk, so that it is valid until the next request begins. */
  keepHead(): void {
    if (this.#state === EMPTY_LINE || this.#state === IN_HEAD || this.#state === REFUSED) return;
    this.#section.keep();
    const { fields } = this.head;
    fields.bytes = this.#section.bytes;
    fields.base = this.#section.base;
  }

  /**
   * Resets the parser to its initial state, a failure included. It releases its head, its trailers, its buffers and the
   * last chunk. Must be called before the parser is kept unused, or is used for another connection.
   */
  reset(): void {
    this.#state = IDLE;
    this.#emptyLines = 0;
    this.#failure = undefined;
    this.#section.release();
    this.#body.release();
    this.head.fields.clear();
    this.position = 0;
  }

  #readHead(bytes: Uint8Array, from: number, to: number): ReadResult {
    const end = this.#section.read(bytes, from, to);
    if (end >= 0) {
      this.position = end;
      const { contentLength } = this.head;
      this.#state = contentLength === 0 ? AT_END : IN_BODY;
      this.#body.begin(contentLength);
      return HEAD;
    }
    if (end === BAD) return this.#fail(this.head.failure);
    if (end === OVER) return this.#fail(this.head.isInTarget ? "TARGET_LONG" : "HEAD_LARGE");
    this.position = to;
    return NEED_MORE;
  }

  #readBody(bytes: Uint8Array, from: number, to: number): ReadResult {
    const result = this.#body.read(bytes, from, to);
    this.position = this.#body.position;
    if (result === END) {
      this.#state = IDLE;
      this.#emptyLines = 0;
    } else if (result === FAILED) {
      // The handler of the request may still read the head.
      this.keepHead();
      return this.#fail(this.#body.failure);
    }
    return result;
  }

  /** Skips empty lines before a request line. @returns false if there are too many. */
  #skipEmptyLines(bytes: Uint8Array, from: number, to: number): boolean {
    let i = from;
    while (i < to) {
      const code = bytes[i] as number;
      if (this.#state === EMPTY_LINE) {
        if (code !== LF) return this.#fail("BARE_CR") !== FAILED;
        this.#state = IDLE;
      } else if (code === CR) {
        this.#emptyLines++;
        if (this.#emptyLines > MAX_EMPTY_LINES) return this.#fail("EMPTY_LINES") !== FAILED;
        this.#state = EMPTY_LINE;
      } else {
        if (code === LF) return this.#fail("BARE_LF") !== FAILED;
        break;
      }
      i++;
    }
    this.position = i;
    return true;
  }

  #fail(failure: FailureCode): ReadResult {
    if (this.#state === IDLE || this.#state === EMPTY_LINE) this.head.begin();
    this.#failure = failure;
    this.#state = REFUSED;
    return FAILED;
  }
}

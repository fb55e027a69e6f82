import { rangeError } from "../../base/misuse.ts";
import { BodyParser } from "./body-parser.ts";
import type { Fields } from "./fields.ts";
import type { RequestHead } from "./head.ts";
import { HeadScanner, type KnownLine } from "./head-scanner.ts";
import { DEFAULT_LIMITS, type ParserLimits } from "./limits.ts";
import {
  END,
  FAILED,
  FAILURES,
  type FailureCode,
  HEAD,
  NEED_MORE,
  type ReadResult,
} from "./results.ts";
import { OVER, Section } from "./section.ts";
import { BAD, CR, LF } from "./tokens.ts";

/** What the next byte is part of. */
const IDLE = 0;
const EMPTY_LINE = 1;
const IN_HEAD = 2;
const IN_BODY = 3;
const REFUSED = 4;

/** Some clients end a body with a CRLF that they do not count. RFC 9112 section 2.2. */
const MAX_EMPTY_LINES = 4;

/**
 * Reads HTTP/1.0 and HTTP/1.1 requests from the bytes of a connection, in place and one result at a time.
 *
 * @remarks
 * Each request is HEAD, any number of BODY, END; NEED_MORE may come between any two. After each
 * result but NEED_MORE and FAILED one reads on from {@link position}, where for END the next request
 * begins. How the bytes are split into chunks changes only how a body is split, and nothing else.
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
 * It is strict. RFC 9112 lets a server tolerate bare LF, folded lines, a space before a colon and more; each
 * of them is a way to make two servers see different requests, and none is needed by a client of today.
 *
 * Nothing is allocated for a request whose head came in one chunk. A head lies in that chunk, or else in a
 * buffer of the parser, and holds until the next request begins, for as long as the chunk is left as it is.
 * {@link keepHead} takes it off the chunk.
 *
 * Between two requests, when {@link idle} says so, a parser remembers nothing of its connection. So a
 * server may lend one parser to many connections, and keep one of its own only for those in mid-request.
 *
 * RFC 9112.
 */
export class RequestParser {
  /** How far the last read got. */
  position = 0;
  readonly #head: HeadScanner;
  readonly #section: Section;
  readonly #body: BodyParser;
  #state = IDLE;
  #emptyLines = 0;
  #failure: FailureCode | undefined;

  /** @param limits - As `parserLimitsOf` gives them. One object may be shared by all parsers. */
  constructor(limits: ParserLimits = DEFAULT_LIMITS) {
    this.#head = new HeadScanner(limits);
    this.#section = new Section(this.#head, limits.maxHeadBytes);
    this.#body = new BodyParser(limits);
  }

  /** The head of the request, from HEAD on. The same object each time. */
  get head(): RequestHead {
    return this.#head.head;
  }

  /**
   * What is known of the request line while the head is incomplete, or after it was refused; null when nothing of the
   * next request has come.
   */
  get knownLine(): KnownLine | null {
    // What the head has is of the last one.
    if (this.#state === IDLE || this.#state === EMPTY_LINE) return null;
    return this.#head.lineSoFar(this.#section.bytes, this.#section.base);
  }

  /** After BODY: where in the chunk its bytes begin. */
  get bodyStart(): number {
    return this.#body.bodyStart;
  }

  /** After BODY: where in the chunk its bytes end. */
  get bodyEnd(): number {
    return this.#body.bodyEnd;
  }

  /** After END: the trailers, which hold as long as the head does. */
  get trailers(): Fields {
    return this.#body.trailers;
  }

  /** Is it between two requests, with nothing of the next one seen? */
  get idle(): boolean {
    return this.#state === IDLE && this.#emptyLines === 0;
  }

  /** After FAILED: what for. */
  get failure(): FailureCode | undefined {
    return this.#failure;
  }

  /** After FAILED: the status to answer with; 0 before. */
  get status(): number {
    return this.#failure === undefined ? 0 : FAILURES[this.#failure].status;
  }

  /** After FAILED: why, in a few words that hold nothing of what was sent; empty before. */
  get reason(): string {
    return this.#failure === undefined ? "" : FAILURES[this.#failure].reason;
  }

  /**
   * Reads on.
   *
   * @param bytes - The chunk. It is not changed, and after NEED_MORE not needed any more.
   * @param from - The first byte that was not read yet.
   * @param to - Where the received bytes end.
   * @returns what was found. FAILED once is FAILED for good.
   * @throws RangeError `ERR_INVALID_LENGTH` when the range does not lie in the bytes.
   */
  read(bytes: Uint8Array, from: number = 0, to: number = bytes.length): ReadResult {
    if (!(from >= 0 && from <= to && to <= bytes.length)) {
      throw rangeError(
        "ERR_INVALID_LENGTH",
        `Cannot read from ${from} to ${to}: give a range within the ${bytes.length} bytes`,
      );
    }
    this.position = from;
    if (this.#state === IN_BODY) return this.#readBody(bytes, from, to);
    if (this.#state === REFUSED) return FAILED;
    if (this.#state !== IN_HEAD) {
      if (!this.#skipEmptyLines(bytes, from, to)) return FAILED;
      if (this.position === to) return NEED_MORE;
      this.#section.begin();
      this.#head.begin();
      this.#state = IN_HEAD;
    }
    return this.#readHead(bytes, this.position, to);
  }

  /** Moves the head off the chunk that it came in, so that it holds until the next request begins. */
  keepHead(): void {
    if (this.#state !== IN_BODY && this.#state !== IDLE) return;
    this.#section.keep();
    const { fields } = this.head;
    fields.bytes = this.#section.bytes;
    fields.base = this.#section.base;
  }

  /**
   * Forgets everything, a failure too: the parser is as new, its head and trailers are gone, and it holds no
   * memory of its own or of the last chunk. To be called before it is put away, or lent to another connection.
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
      this.#state = IN_BODY;
      this.#body.begin(this.head.contentLength);
      return HEAD;
    }
    if (end === BAD) return this.#fail(this.#head.failure);
    if (end === OVER) return this.#fail(this.#head.inTarget ? "TARGET_LONG" : "HEAD_LARGE");
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
      // Whoever has begun with the request may go on looking at it.
      this.keepHead();
      return this.#fail(this.#body.failure);
    }
    return result;
  }

  /** Leaves the position at the first byte of a request line. @returns false when it failed. */
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
    if (this.#state === IDLE || this.#state === EMPTY_LINE) this.#head.begin();
    this.#failure = failure;
    this.#state = REFUSED;
    return FAILED;
  }
}

import { BodyParser } from "./body.ts";
import { BAD } from "./characters.ts";
import { END, FAILED, HEAD, NEED_MORE, type ReadResult } from "./failures.ts";
import type { ParserLimits } from "./limits.ts";
import { type ResponseFailure, ResponseHead } from "./response-head.ts";
import { OVER, Section } from "./section.ts";

/** The part of the message that the next byte belongs to. */
const IDLE = 0;
const IN_HEAD = 1;
const IN_BODY = 2;
const REJECTED = 3;

/** The limit of a head, and of trailers, in bytes. That of Chromium is the same, that of curl somewhat higher. */
export const MAX_RESPONSE_HEAD_BYTES = 262_144;

const LIMITS: ParserLimits = {
  maxHeadBytes: MAX_RESPONSE_HEAD_BYTES,
  maxTargetBytes: 0,
  maxHeaders: Number.POSITIVE_INFINITY,
  maxBodyBytes: Number.POSITIVE_INFINITY,
  maxChunkExtensionBytes: 16_384,
  maxTrailerBytes: MAX_RESPONSE_HEAD_BYTES,
};

/**
 * Parses the consecutive responses of a connection, one result at a time.
 *
 * @remarks
 * Its results are those of `RequestParser`: HEAD, any number of BODY, and END. Interim responses (1xx) are skipped. A
 * body that ends with the connection has no END: call {@link end} when the connection has ended.
 *
 * It is strict and rejects what RFC 9112 does not allow, since a response that is misread makes all later ones wrong.
 * Between two responses it has no state of its connection, so one parser can serve many connections.
 */
export class ResponseParser {
  /** The position after the last read. */
  position = 0;
  readonly head: ResponseHead = new ResponseHead(LIMITS.maxHeaders);
  /** After FAILED: the reason. */
  failure: ResponseFailure = "STATUS_INVALID";
  readonly #section: Section = new Section(this.head, LIMITS.maxHeadBytes);
  readonly #body: BodyParser = new BodyParser(LIMITS, true);
  #state = IDLE;
  /** Whether an interim response was skipped, after which the final one must follow. */
  #hasInterim = false;

  /** Whether it is between two responses, and nothing of the next one has arrived. */
  get idle(): boolean {
    return this.#state === IDLE && !this.#hasInterim;
  }

  /** After BODY: the position of its first byte in the chunk. */
  get bodyStart(): number {
    return this.#body.bodyStart;
  }

  /** After BODY: the position after its last byte in the chunk. */
  get bodyEnd(): number {
    return this.#body.bodyEnd;
  }

  /** Whether the last failure was a head or trailers above {@link MAX_RESPONSE_HEAD_BYTES}. */
  get isTooLarge(): boolean {
    return this.failure === "HEAD_LARGE" || this.failure === "TRAILERS_LARGE";
  }

  /** Parses up to the next result: see `RequestParser.read`. */
  read(bytes: Uint8Array, from: number = 0, to: number = bytes.length): ReadResult {
    this.position = from;
    if (this.#state === IN_BODY) return this.#readBody(bytes, from, to);
    if (this.#state === REJECTED) return FAILED;
    for (let at = from; at < to; ) {
      if (this.#state === IDLE) {
        this.#section.begin();
        this.head.begin();
        this.#state = IN_HEAD;
      }
      const end = this.#section.read(bytes, at, to);
      if (end === BAD) return this.#fail(this.head.failure);
      if (end === OVER) return this.#fail("HEAD_LARGE");
      if (end < 0) break;
      at = end;
      this.position = end;
      this.#hasInterim = this.head.status < 200;
      this.#state = this.#hasInterim ? IDLE : IN_BODY;
      if (this.#hasInterim) continue;
      this.#body.begin(this.head.contentLength);
      return HEAD;
    }
    this.position = to;
    return NEED_MORE;
  }

  /** The server has ended its half. @returns Whether that completes a response. */
  end(): boolean {
    const isComplete =
      this.#state === IN_BODY && this.head.contentLength === Number.POSITIVE_INFINITY;
    if (isComplete) this.#state = IDLE;
    return isComplete;
  }

  /** Resets the parser to its initial state, and releases its buffers and the last chunk. */
  reset(): void {
    this.#state = IDLE;
    this.#hasInterim = false;
    this.#section.release();
    this.#body.release();
    this.head.fields.clear();
    this.position = 0;
  }

  #readBody(bytes: Uint8Array, from: number, to: number): ReadResult {
    const result = this.#body.read(bytes, from, to);
    this.position = this.#body.position;
    if (result === END) this.#state = IDLE;
    return result === FAILED ? this.#fail(this.#body.failure) : result;
  }

  #fail(failure: ResponseFailure): typeof FAILED {
    this.failure = failure;
    this.#state = REJECTED;
    return FAILED;
  }
}

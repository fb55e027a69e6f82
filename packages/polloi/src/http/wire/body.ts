import { BAD, CR, LF, SHORT } from "./characters.ts";
import { ChunkLine } from "./chunk-line.ts";
import { BODY, END, FAILED, type FailureCode, NEED_MORE, type ReadResult } from "./failures.ts";
import { Fields, hasForbidden } from "./fields.ts";
import type { ParserLimits } from "./limits.ts";
import { OVER, Section } from "./section.ts";

/** The part of the body that the next byte belongs to. */
const FIXED = 0;
const SIZE = 1;
const DATA = 2;
const DATA_CR = 3;
const DATA_LF = 4;
const TRAILERS = 5;

/**
 * Parses a body of fixed length or a chunked one, and reports it as ranges of the received bytes, without copying. RFC
 * 9112 sections 6 and 7.1.
 */
export class BodyParser {
  /** After each read: the position, and for `BODY` the range. */
  position = 0;
  bodyStart = 0;
  bodyEnd = 0;
  failure: FailureCode = "CHUNK_UNENDED";
  readonly #limits: ParserLimits;
  readonly #allowsTrailers: boolean;
  readonly #line: ChunkLine;
  /** The trailers of the body after its end; none if it was not chunked. */
  readonly trailers: Fields;
  readonly #section: Section;
  #state = FIXED;
  /** The bytes left of the body, or of its current chunk. */
  #left = 0;
  /** The length of a chunked body so far, including the current chunk. */
  #total = 0;

  /** @param allowsTrailers - Whether every trailer is allowed, also one that must not be merged into the headers. */
  constructor(limits: ParserLimits, allowsTrailers = false) {
    this.#limits = limits;
    this.#allowsTrailers = allowsTrailers;
    this.#line = new ChunkLine(limits.maxChunkExtensionBytes);
    this.trailers = new Fields(limits.maxHeaders, "TRAILERS_MANY");
    this.#section = new Section(this.trailers, limits.maxTrailerBytes);
  }

  /** The bytes left of the body, or of its current chunk. */
  get left(): number {
    return this.#left;
  }

  /**
   * Begins a new body.
   *
   * @param contentLength - In bytes; -1 for a chunked body; Infinity for one that ends with the connection.
   */
  begin(contentLength: number): void {
    // The trailers of a chunked body do not apply to the next one.
    if (this.#state !== FIXED) this.release();
    this.#left = contentLength;
    this.#state = FIXED;
    if (contentLength >= 0) return;
    this.#state = SIZE;
    this.#total = 0;
    this.#line.begin();
  }

  /** Releases the trailers and their memory. */
  release(): void {
    this.trailers.clear();
    this.#section.release();
  }

  /** See `RequestParser.read`. */
  read(bytes: Uint8Array, from: number, to: number): ReadResult {
    this.position = from;
    if (this.#state === FIXED) return this.#left === 0 ? END : this.#range(from, to);
    let i = from;
    for (;;) {
      if (this.#state === TRAILERS) return this.#readTrailers(bytes, i, to);
      if (i === to) return this.#more(to);
      switch (this.#state) {
        case SIZE:
          i = this.#line.read(bytes, i, to);
          if (i === SHORT) return this.#more(to);
          if (i === BAD) return this.#fail(this.#line.failure);
          if (!this.#announce(this.#line.size)) return this.#fail("BODY_LARGE");
          break;
        case DATA:
          return this.#range(i, to);
        case DATA_CR:
          if (bytes[i] !== CR) return this.#fail("CHUNK_UNENDED");
          this.#state = DATA_LF;
          i++;
          break;
        case DATA_LF:
          if (bytes[i] !== LF) return this.#fail("CHUNK_UNENDED");
          this.#state = SIZE;
          this.#line.next();
          i++;
          break;
      }
    }
  }

  /** Begins a chunk of this size, or the trailers. @returns Whether the limit of the body allows it. */
  #announce(size: number): boolean {
    this.#left = size;
    this.#total += size;
    this.#state = size > 0 ? DATA : TRAILERS;
    return this.#total <= this.#limits.maxBodyBytes;
  }

  #range(from: number, to: number): ReadResult {
    if (from === to) return this.#more(to);
    this.bodyStart = from;
    this.bodyEnd = Math.min(to, from + this.#left);
    this.#left -= this.bodyEnd - from;
    this.position = this.bodyEnd;
    if (this.#left === 0 && this.#state === DATA) this.#state = DATA_CR;
    return BODY;
  }

  #readTrailers(bytes: Uint8Array, from: number, to: number): ReadResult {
    const end = this.#section.read(bytes, from, to);
    if (end === SHORT) return this.#more(to);
    if (end === BAD) return this.#fail(this.trailers.failure);
    if (end === OVER) return this.#fail("TRAILERS_LARGE");
    this.trailers.bytes = this.#section.bytes;
    this.trailers.base = this.#section.base;
    if (!this.#allowsTrailers && hasForbidden(this.trailers))
      return this.#fail("TRAILER_FORBIDDEN");
    this.position = end;
    return END;
  }

  #more(to: number): ReadResult {
    this.position = to;
    return NEED_MORE;
  }

  #fail(failure: FailureCode): ReadResult {
    this.failure = failure;
    return FAILED;
  }
}

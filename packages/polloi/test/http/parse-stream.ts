/** Parses a stream of bytes, split at any places, into a value that can be compared. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { BODY, END, FAILED, HEAD, NEED_MORE } from "../../src/http/wire/failures.ts";
import type { Fields } from "../../src/http/wire/fields.ts";
import type { ParserLimits } from "../../src/http/wire/limits.ts";
import type { RequestHead } from "../../src/http/wire/request-head.ts";
import { RequestParser } from "../../src/http/wire/request-parser.ts";

/** A request as far as it was parsed. */
export interface Message {
  readonly method: string;
  readonly target: string;
  readonly form: string;
  readonly path: string;
  readonly query: string;
  readonly version: number;
  readonly host: string | undefined;
  readonly headers: readonly (readonly [string, string])[];
  readonly contentLength: number;
  readonly keepAlive: boolean;
  readonly expectsContinue: boolean;
  readonly upgrade: string | undefined;
  body: string;
  /** Set when the request is complete: its trailers, and its end in the stream. */
  trailers?: readonly (readonly [string, string])[];
  end?: number;
}

/** The result for a whole stream. */
export interface ParseResult {
  readonly messages: readonly Message[];
  readonly failure: string | undefined;
  readonly idle: boolean;
}

/** A byte for each character. */
export function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "latin1"));
}

/** A character for each byte. */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}

/** Bytes before and after each chunk, which the parser must not read. */
const MARGIN = 3;

/**
 * Parses a stream in chunks that are split at `cuts`, and records the results.
 *
 * @remarks
 * Each chunk lies inside a larger buffer, and is overwritten after it was parsed. The head of every
 * second request is kept, and must be unchanged when the request ends.
 */
export function parseStream(
  stream: Uint8Array,
  cuts: readonly number[] = [],
  limits?: ParserLimits,
): ParseResult {
  const parser = new RequestParser(limits);
  const reader = new Reader(parser);
  const places = [...new Set([0, ...cuts, stream.length])]
    .filter((cut) => cut >= 0 && cut <= stream.length)
    .sort((a, b) => a - b);
  for (let k = 0; k + 1 < places.length; k++) {
    const [from, to] = [places[k] as number, places[k + 1] as number];
    const buffer = new Uint8Array(to - from + 2 * MARGIN).fill(0x0d);
    buffer.set(stream.subarray(from, to), MARGIN);
    const more = reader.chunk(buffer, from);
    for (let at = from; at < to; at++) {
      if (buffer[at - from + MARGIN] !== stream[at]) assert.fail("the chunk was changed");
    }
    buffer.fill(0x58);
    if (!more) break;
  }
  return { messages: reader.messages, failure: parser.failure, idle: parser.idle };
}

class Reader {
  readonly messages: Message[] = [];
  readonly #parser: RequestParser;
  #kept = "";
  #open = false;

  constructor(parser: RequestParser) {
    this.#parser = parser;
  }

  /** @returns false when the parser has failed. */
  chunk(buffer: Uint8Array, offset: number): boolean {
    const to = buffer.length - MARGIN;
    for (let at = MARGIN; ; ) {
      const result = this.#parser.read(buffer, at, to);
      const { position } = this.#parser;
      assert.ok(position >= at && position <= to, `position ${position} is not in ${at}..${to}`);
      if (result === NEED_MORE) {
        assert.equal(position, to, "NEED_MORE before the end of the chunk");
        return true;
      }
      if (result === FAILED) {
        assert.ok(this.#parser.status >= 400 && this.#parser.reason !== "");
        assert.equal(
          this.#parser.read(buffer, at, to),
          FAILED,
          "a read after a failure does not fail",
        );
        return false;
      }
      this.#take(result, buffer, position - MARGIN + offset);
      if (result !== END) assert.ok(position > at, "no progress");
      at = position;
    }
  }

  #take(result: typeof HEAD | typeof BODY | typeof END, buffer: Uint8Array, end: number): void {
    const { head } = this.#parser;
    assert.equal(this.#open, result !== HEAD, `result ${result} out of order`);
    if (result === HEAD) {
      const message = messageOf(head);
      this.messages.push(message);
      this.#open = true;
      this.#kept = "";
      if (this.messages.length % 2 === 1) return;
      this.#kept = JSON.stringify(message);
      assert.equal(JSON.stringify(messageOf(head.copy())), this.#kept, "a copy differs");
      this.#parser.keepHead();
      return;
    }
    const message = this.messages.at(-1) as Message;
    if (result === BODY) {
      message.body += textOf(buffer.subarray(this.#parser.bodyStart, this.#parser.bodyEnd));
      return;
    }
    if (this.#kept !== "") assert.equal(JSON.stringify(messageOf(head)), this.#kept, "not kept");
    message.trailers = entriesOf(this.#parser.trailers);
    message.end = end;
    this.#open = false;
  }
}

function messageOf(head: RequestHead): Message {
  return {
    method: head.method,
    target: head.target,
    form: head.form,
    path: head.path,
    query: head.query,
    version: head.version,
    host: head.host,
    headers: head.headers(),
    contentLength: head.contentLength,
    keepAlive: head.keepAlive,
    expectsContinue: head.expectsContinue,
    upgrade: head.upgrade,
    body: "",
  };
}

function entriesOf(fields: Fields): [string, string][] {
  return fields.entries();
}

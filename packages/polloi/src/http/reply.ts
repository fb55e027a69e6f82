import { printAs } from "../base/inspect.ts";
import { numberError, rangeError, show, typeError } from "../base/misuse.ts";
import type { OutgoingFile } from "../reactor/connection.ts";
import { checkCallback, checkData, checkOutgoingFile } from "../reactor/options.ts";
import { type Batch, SHORT_TEXT } from "./batch.ts";
import type { HttpConnection } from "./connection.ts";
import { ABANDONED, DONE, type Exchange, FRESH, STREAMING } from "./exchange.ts";
import { checkField, shortBy, wrongLength } from "./field-check.ts";
import { CHUNKED, ReplyHead, UNFRAMED } from "./reply-head.ts";
import { clientLeft } from "./request-error.ts";
import { isBodiless, reasonOf } from "./status.ts";
import { isForbiddenTrailer } from "./wire/fields.ts";

/** Bits of a reply. */
const HAS_LENGTH = 1;
/** The body is sent in chunks. */
const IN_CHUNKS = 2;
/** The body is not sent: for HEAD, or because the status has none. */
const HIDDEN = 4;

/** Space for what follows the fields of a head. */
const FRAMING_BYTES = 64;

/**
 * The reply to one request.
 *
 * @remarks
 * Set a status and headers, then call `send` once; or call `begin`, `write` any number of times, and `end`. The
 * body of a reply to HEAD is counted and not sent. After the client has left or was refused, all of this does
 * nothing, so a handler that replies later need not check.
 *
 * @example
 * ```ts nocheck
 * reply.status(201).header("Location", "/things/7").send("created");
 * ```
 */
export interface HttpReply {
  /** The status that was or will be sent. */
  readonly statusCode: number;
  /** How many bytes of the body were written, without chunk sizes. */
  readonly bodyBytes: number;
  /** Whether the head was sent, and can no longer be changed. */
  readonly begun: boolean;
  /** Whether the reply is complete, or the client has left. */
  readonly done: boolean;
  /**
   * Sets the status. The default is 200.
   *
   * @param status - From 200 to 599. A 2xx for CONNECT is sent as 501: use `upgrade` of the request.
   * @throws TypeError or RangeError `ERR_INVALID_OPTION`; TypeError `ERR_CLOSED` after the head was sent.
   */
  status(status: number): this;
  /**
   * Adds a header. Date, Content-Length and, for a string, Content-Type are added if they were not set.
   *
   * @remarks
   * `Connection: close` closes the connection after the reply. `Connection: keep-alive` has no effect: the server
   * decides that, and says so. Other options of Connection are sent unchanged. An Upgrade header is also named in
   * Connection, as RFC 9110 section 7.8 requires.
   *
   * @param name - A token of RFC 9110 section 5.6.2.
   * @param value - Visible characters, spaces and tabs of ISO 8859-1. For Connection, a list of tokens.
   * @throws TypeError `ERR_INVALID_DATA` for a name or value that would break the head, and for Keep-Alive and
   * Transfer-Encoding, which the server sets; `ERR_CLOSED` after the head was sent.
   */
  header(name: string, value: string | number): this;
  /**
   * Sends the whole reply.
   *
   * @param body - A string is sent as UTF-8. Arrays up to 256 KiB (262,144 bytes) are copied. A larger one is sent
   * without a copy and must not change until the client has received it, so one array can be the reply to any number
   * of clients. Default: an empty body.
   * @throws TypeError `ERR_CLOSED` after the head was sent, `ERR_INVALID_DATA`; RangeError `ERR_INVALID_LENGTH` if a
   * Content-Length was set that differs.
   */
  send(body?: string | Uint8Array): void;
  /**
   * Sends the head. The body follows with {@link HttpReply.write} and {@link HttpReply.end}.
   *
   * @remarks
   * With a Content-Length, the body must have that length. Without one it is chunked; to a client of HTTP/1.0 it
   * is sent until the connection ends.
   *
   * @throws TypeError `ERR_CLOSED` after the head was sent.
   */
  begin(): this;
  /**
   * Sends a part of the body.
   *
   * @param bytes - As for {@link HttpReply.send}. An array that is not copied must not change until `whenDrained`
   * calls back.
   * @returns Whether to continue. false means that the client is slower than the handler: continue when
   * {@link HttpReply.whenDrained} calls back.
   * @throws TypeError `ERR_CLOSED` before `begin` and after the end, `ERR_INVALID_DATA`; RangeError
   * `ERR_INVALID_LENGTH` for more bytes than Content-Length.
   */
  write(bytes: string | Uint8Array): boolean;
  /**
   * Adds a trailer field, for what is known only after the body, such as a checksum. Trailers are sent after a
   * chunked body, and left out of any other reply.
   *
   * @throws TypeError `ERR_INVALID_DATA` as {@link HttpReply.header} does, and for fields that frame or route a
   * message; `ERR_CLOSED` after the end.
   * @source RFC 9110 section 6.5
   */
  trailer(name: string, value: string | number): this;
  /**
   * Sends a body from an asynchronous source, no faster than the client receives it: `begin`, `write` and `end` in
   * one.
   *
   * @param source - A ReadableStream, a Node stream or an async generator. When the client has left, the source is
   * stopped after its next chunk. An error of the source is an error of the handler, and the reply is cut off.
   * @returns Resolves when the reply is complete. Never rejects because of the source or the client.
   * @throws TypeError `ERR_INVALID_DATA`, `ERR_CLOSED`, as a rejection
   */
  stream(source: AsyncIterable<string | Uint8Array>): Promise<void>;
  /**
   * Ends the body. If it is shorter than its Content-Length, the connection is reset, because the client would wait
   * for the rest, and `error` of `serve` is called with a RangeError `ERR_INVALID_LENGTH`.
   *
   * @param bytes - A last part of the body.
   * @throws as {@link HttpReply.write} does.
   */
  end(bytes?: string | Uint8Array): void;
  /**
   * Sends a range of a file as the whole reply, from the page cache to the socket without a copy.
   *
   * @remarks
   * `file.done` is always called: for HEAD, and when the client has left, before this returns. If the file is
   * shorter than stated, the connection is reset.
   *
   * @param file - As for `Connection.sendFile`.
   * @throws TypeError `ERR_CLOSED` after the head was sent; RangeError `ERR_INVALID_LENGTH` if a Content-Length was
   * set that differs. Then `done` is not called.
   * @source sendfile(2)
   */
  sendFile(file: OutgoingFile): void;
  /**
   * Sends a range of a file as a part of the body, as {@link HttpReply.sendFile} does.
   *
   * @returns Whether to continue: see {@link HttpReply.write}.
   * @throws as {@link HttpReply.write} does; TypeError `ERR_INVALID_OPTION` for a body without a Content-Length.
   */
  writeFile(file: OutgoingFile): boolean;
  /**
   * Calls back once: when the data that waits to be sent has fallen to half of the high-water mark (64 KiB), or when
   * the client has left.
   *
   * @throws TypeError `ERR_INVALID_OPTION`
   */
  whenDrained(callback: () => void): void;
}

/** The reply as its handler has it: what the file server and the fetch handler need of it, too. */
export class ReplyWriter implements HttpReply {
  static {
    printAs(
      ReplyWriter,
      ({ statusCode, begun, done }) => ({ statusCode, begun, done }),
      "HttpReply",
    );
  }

  readonly #connection: HttpConnection;
  readonly #exchange: Exchange;
  #head: ReplyHead = ReplyHead.of(200);
  #bits = 0;
  /** The bytes left of a body of known length; -1 if it is chunked. */
  #left = -1;
  #trailers = "";
  /** The option of Connection that the server adds. */
  #persistence = "";

  constructor(connection: HttpConnection, exchange: Exchange) {
    this.#connection = connection;
    this.#exchange = exchange;
  }

  get statusCode(): number {
    return this.#exchange.status || this.#head.status;
  }

  get bodyBytes(): number {
    return this.#exchange.bodyBytes;
  }

  get begun(): boolean {
    return this.#exchange.hasBegun;
  }

  /** Whether the request is HEAD. */
  get isToHead(): boolean {
    return this.#exchange.method === "HEAD";
  }

  get done(): boolean {
    return this.#exchange.isReplied;
  }

  status(status: number): this {
    this.#isFresh();
    if (!(Number.isInteger(status) && status >= 200 && status <= 599)) {
      throw numberError(
        "ERR_INVALID_OPTION",
        status,
        `Cannot answer with the status ${show(status)}: give an integer from 200 to 599`,
      );
    }
    this.#head = this.#head.withStatus(status);
    return this;
  }

  header(name: string, value: string | number): this {
    this.#isFresh();
    checkFieldTypes(name, value);
    if (name.length === 14 && name.toLowerCase() === "content-length") {
      this.#setLength(name, String(value));
    } else {
      this.#head = this.#head.with(name, String(value));
      if (this.#head.closes) this.#connection.endAfterReply(this.#exchange);
    }
    return this;
  }

  /**
   * Adds header lines that were checked before, each with its CRLF, without Content-Length and the fields of the
   * server.
   *
   * @param hasDate - Whether Date is among them.
   * @param length - The Content-Length; -1 if there is none.
   */
  lines(lines: string, hasDate: boolean, length: number): void {
    this.#head = this.#head.withLines(lines, hasDate);
    if (length < 0) return;
    this.#bits |= HAS_LENGTH;
    this.#left = length;
  }

  /** For HEAD, if the length of the body for GET is unknown: sends no Content-Length unless one was set. */
  leaveLengthOut(): void {
    this.#bits |= HAS_LENGTH;
  }

  send(body: string | Uint8Array = ""): void {
    checkData(body);
    const connection = this.#connection;
    const exchange = this.#exchange;
    if (!this.#isFresh() || !connection.isAnswerable(exchange)) return;
    const isText = typeof body === "string";
    const bodiless = isBodiless(this.#head.status);
    const isHidden = bodiless || this.isToHead;
    const hasLength = (this.#bits & HAS_LENGTH) !== 0;
    // A short text is probably ASCII, which shows while it is written.
    const isGuessed = isText && body.length <= SHORT_TEXT && !hasLength && !isHidden;
    const length = isText && !isGuessed ? Buffer.byteLength(body) : body.length;
    if (hasLength && this.#left !== length && !isHidden) {
      throw rangeError(
        "ERR_INVALID_LENGTH",
        `Cannot send ${length} bytes: Content-Length says ${this.#left}`,
      );
    }
    if (isText && length > 0 && !bodiless) this.#head = this.#head.forText();
    const batch = this.#prepare(false);
    if (isGuessed) {
      this.#addText(batch, body);
    } else {
      if (!hasLength) this.#left = length;
      this.#addHead(batch, this.#framing());
      if (!isHidden && length > 0) {
        exchange.bodyBytes = length;
        connection.add(batch, body, length);
      }
    }
    connection.wrote(batch);
    this.#finish();
  }

  begin(): this {
    const connection = this.#connection;
    const exchange = this.#exchange;
    if (!this.#isFresh() || !connection.isAnswerable(exchange)) return this;
    const bodiless = isBodiless(this.#head.status);
    const isUnknown = (this.#bits & HAS_LENGTH) === 0 && !bodiless;
    const isChunked = isUnknown && exchange.head?.version === 1;
    if (bodiless || this.isToHead) this.#bits |= HIDDEN;
    if (isChunked) this.#bits |= IN_CHUNKS;
    const batch = this.#prepare(isUnknown && !isChunked);
    this.#addHead(batch, isChunked ? CHUNKED : this.#framing());
    exchange.reply = STREAMING;
    connection.wrote(batch);
    return this;
  }

  write(bytes: string | Uint8Array): boolean {
    checkData(bytes);
    const connection = this.#connection;
    if (!this.#isStreaming()) return false;
    const length = lengthOf(bytes);
    if (length === 0) return !connection.isFull;
    if ((this.#bits & HAS_LENGTH) !== 0) {
      if (length > this.#left) {
        throw rangeError(
          "ERR_INVALID_LENGTH",
          `Cannot send ${length} bytes more: ${this.#left} are left of Content-Length`,
        );
      }
      this.#left -= length;
    }
    if ((this.#bits & HIDDEN) !== 0) return !connection.isFull;
    this.#exchange.bodyBytes += length;
    connection.expect(length);
    const batch = connection.writing();
    const isChunked = (this.#bits & IN_CHUNKS) !== 0;
    if (isChunked) {
      const size = `${length.toString(16)}\r\n`;
      connection.add(batch, size, size.length);
    }
    connection.add(batch, bytes, length);
    if (isChunked) connection.add(batch, "\r\n", 2);
    return connection.wrote(batch);
  }

  trailer(name: string, value: string | number): this {
    checkFieldTypes(name, value);
    if (this.#exchange.reply === FRESH || this.#isStreaming()) {
      const text = String(value);
      checkField(name, text, isForbiddenTrailer(name.toLowerCase()));
      this.#trailers += `${name}: ${text}\r\n`;
    }
    return this;
  }

  async stream(source: AsyncIterable<string | Uint8Array>): Promise<void> {
    checkSource(source);
    this.begin();
    try {
      if ((this.#bits & HIDDEN) === 0) await pour(source, this);
      if (this.#exchange.reply === STREAMING) this.end();
    } catch (error) {
      this.#connection.call(() => {
        throw error;
      });
    }
  }

  end(bytes?: string | Uint8Array): void {
    if (bytes !== undefined) this.write(bytes);
    if (!this.#isStreaming()) return;
    const isHidden = (this.#bits & HIDDEN) !== 0;
    if ((this.#bits & HAS_LENGTH) !== 0 && this.#left > 0 && !isHidden) {
      const left = this.#left;
      this.#connection.call(() => {
        throw shortBy(left);
      });
      return;
    }
    if ((this.#bits & IN_CHUNKS) !== 0 && !isHidden) {
      const batch = this.#connection.writing();
      batch.reserve(this.#trailers.length + FRAMING_BYTES);
      batch.addAscii("0\r\n");
      if (this.#trailers !== "") batch.addLatin1(this.#trailers);
      batch.addAscii("\r\n");
      this.#connection.wrote(batch);
    }
    this.#finish();
  }

  sendFile(file: OutgoingFile): void {
    checkOutgoingFile(file);
    if (!this.#isFresh()) {
      file.done?.(clientLeft());
      return;
    }
    if ((this.#bits & HAS_LENGTH) === 0) this.header("Content-Length", file.length);
    else if (this.#left !== file.length) throw wrongLength(file.length, this.#left);
    this.begin();
    this.writeFile(file);
    this.#finish();
  }

  writeFile(file: OutgoingFile): boolean {
    checkOutgoingFile(file);
    if (!this.#isStreaming()) {
      file.done?.(clientLeft());
      return false;
    }
    if ((this.#bits & HAS_LENGTH) === 0) {
      throw typeError(
        "ERR_INVALID_OPTION",
        "Cannot send a file in chunks: set Content-Length before begin()",
      );
    }
    if (file.length > this.#left) throw wrongLength(file.length, this.#left);
    this.#left -= file.length;
    if ((this.#bits & HIDDEN) !== 0 || file.length === 0) {
      file.done?.();
      return !this.#connection.isFull;
    }
    this.#exchange.bodyBytes += file.length;
    return this.#connection.sendFile(file);
  }

  whenDrained(callback: () => void): void {
    checkCallback(callback);
    if (this.#exchange.reply === ABANDONED) this.#connection.soon(callback);
    else this.#connection.whenDrained(callback);
  }

  /** Collects what is written until {@link uncork}, which must follow. */
  cork(): void {
    this.#connection.cork();
  }

  /** Sends what was written. */
  uncork(): void {
    this.#connection.uncork();
  }

  /** The handler failed before anything was sent: replies with 500. */
  fail(): void {
    this.forget();
    this.status(500).send(`${reasonOf(500)}\n`);
  }

  /** Drops everything that the handler set before it failed. */
  forget(): void {
    this.#head = ReplyHead.of(200);
    this.#bits = 0;
    this.#left = -1;
    this.#trailers = "";
  }

  /** @throws TypeError `ERR_INVALID_DATA` */
  #setLength(name: string, text: string): void {
    if (!/^\d{1,15}$/.test(text)) {
      checkField(name, text, false);
      throw typeError(
        "ERR_INVALID_DATA",
        `Cannot set ${name} to ${show(text)}: give a number of bytes`,
      );
    }
    // Written with the head, if the status allows it.
    this.#bits |= HAS_LENGTH;
    this.#left = Number(text);
  }

  /**
   * Determines what the server adds to the head.
   *
   * @param endsConnection - Whether the body ends with the connection.
   * @returns The batch to add the head to.
   */
  #prepare(endsConnection: boolean): Batch {
    const exchange = this.#exchange;
    // A proxy takes a 2xx for the beginning of a tunnel. RFC 9110 section 9.3.6.
    if (exchange.method === "CONNECT" && this.#head.status < 300) {
      this.#head = this.#head.withStatus(501);
    }
    exchange.status = this.#head.status;
    if (endsConnection) this.#connection.endAfterReply(exchange);
    this.#persistence = this.#connection.persistence(exchange);
    return this.#connection.writing();
  }

  #addHead(batch: Batch, framing: number): void {
    const { date } = this.#connection.shared.sweep;
    this.#head.write(batch, date, this.#persistence, framing);
  }

  /** Adds the head and a short body. */
  #addText(batch: Batch, body: string): void {
    const begin = batch.length;
    let { length } = body;
    this.#addHead(batch, length);
    if (!batch.addIfAscii(body)) {
      batch.length = begin;
      length = Buffer.byteLength(body);
      this.#addHead(batch, length);
      batch.addText(body, length);
    }
    this.#exchange.bodyBytes = length;
  }

  /** The Content-Length, if it is known and the status allows it. RFC 9110 section 8.6. */
  #framing(): number {
    const { status } = this.#head;
    if (status === 204) return UNFRAMED;
    if (status === 205) return 0;
    // For 304 it is the length that a 200 would have, if the program has set it.
    if (status === 304 && (this.#bits & HAS_LENGTH) === 0) return UNFRAMED;
    return this.#left < 0 ? UNFRAMED : this.#left;
  }

  #finish(): void {
    // The last write may have closed the connection.
    if (this.#exchange.reply === ABANDONED) return;
    this.#exchange.reply = DONE;
    this.#connection.replied();
  }

  /** @returns false if the client has left. @throws TypeError `ERR_CLOSED` after the head was sent. */
  #isFresh(): boolean {
    const { reply } = this.#exchange;
    if (reply === FRESH || reply === ABANDONED) return reply === FRESH;
    throw typeError(
      "ERR_CLOSED",
      `Cannot change the reply: ${reply === STREAMING ? "its head" : "it"} was already sent`,
    );
  }

  #isStreaming(): boolean {
    const { reply } = this.#exchange;
    if (reply === STREAMING || reply === ABANDONED) return reply === STREAMING;
    const why = reply === DONE ? "it is complete" : "call begin() first, or send()";
    throw typeError("ERR_CLOSED", `Cannot write to a reply: ${why}`);
  }
}

/** @throws TypeError `ERR_INVALID_DATA` */
function checkFieldTypes(name: unknown, value: unknown): void {
  if (typeof name === "string" && (typeof value === "string" || typeof value === "number")) return;
  throw typeError(
    "ERR_INVALID_DATA",
    `Cannot set ${show(name)} to ${show(value)}: give a name, and a string or a number`,
  );
}

/** @throws TypeError `ERR_INVALID_DATA` */
function checkSource(source: AsyncIterable<unknown> | Iterable<unknown>): void {
  const { [Symbol.asyncIterator]: async, [Symbol.iterator]: sync } = Object(source);
  if (typeof async === "function" || typeof sync === "function") return;
  throw typeError("ERR_INVALID_DATA", `Cannot stream ${show(source)}: give an async iterable`);
}

/** The length in bytes, as UTF-8. For a short text, counting is faster than a call out of JavaScript. */
function lengthOf(text: string | Uint8Array): number {
  const { length } = text;
  if (typeof text !== "string") return length;
  if (length > 32) return Buffer.byteLength(text);
  for (let i = 0; i < length; i++) if (text.charCodeAt(i) > 127) return Buffer.byteLength(text);
  return length;
}

/** Writes what an asynchronous source yields, no faster than the client receives it. */
async function pour(source: AsyncIterable<string | Uint8Array>, reply: HttpReply): Promise<void> {
  for await (const piece of source) {
    const goOn = reply.write(piece);
    // This ends the iteration, and so the source.
    if (reply.done) return;
    if (!goOn) await new Promise<void>((resolve) => reply.whenDrained(resolve));
  }
}

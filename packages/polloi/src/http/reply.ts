import { printAs } from "../base/inspect.ts";
import { numberError, rangeError, show, typeError } from "../base/misuse.ts";
import type { OutgoingFile } from "../reactor/connection.ts";
import { checkCallback, checkData, checkOutgoingFile } from "../reactor/options.ts";
import type { Exchange } from "./exchange.ts";
import { checkField, connectionOptions, encoded, shortBy, wrongLength } from "./field-check.ts";
import { isForbiddenTrailer } from "./wire/fields.ts";
import { clientLeft } from "./request-error.ts";
import { isBodiless, reasonOf, statusLine } from "./status.ts";

/** The state of a reply: nothing is sent; the head is sent and the body follows; complete; the client has left. */
const FRESH = 0;
const STREAMING = 1;
const DONE = 2;
const ABANDONED = 3;

/** Fields that the program has set. */
const HAS_DATE = 1;
const HAS_TYPE = 2;
const HAS_LENGTH = 4;

/** Fields that only the server sets. */
const OWN: ReadonlySet<string> = new Set(["transfer-encoding", "keep-alive"]);

const TEXT_TYPE = "Content-Type: text/plain; charset=utf-8\r\n";

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

/** Writes a reply: what its session, the file server and the fetch handler need of it, too. */
export class ReplyWriter implements HttpReply {
  static {
    printAs(
      ReplyWriter,
      ({ statusCode, begun, done }) => ({ statusCode, begun, done }),
      "HttpReply",
    );
  }

  readonly #exchange: Exchange;
  readonly #toHead: boolean;
  readonly #toConnect: boolean;
  readonly #chunks: boolean;
  #status = 200;
  #fields = "";
  /** Options of Connection that the program has set, without `close` and `keep-alive`. */
  #options = "";
  #set = 0;
  #state = FRESH;
  /** The bytes left of a body of known length; -1 if it is chunked. */
  #left = -1;
  #hidden = false;
  #bodyBytes = 0;
  #trailers = "";

  /**
   * @param method - The method of the request.
   * @param chunks - Whether the client supports chunked bodies.
   */
  constructor(exchange: Exchange, method: string, chunks: boolean) {
    this.#exchange = exchange;
    this.#toHead = method === "HEAD";
    this.#toConnect = method === "CONNECT";
    this.#chunks = chunks;
  }

  get statusCode(): number {
    return this.#status;
  }

  get bodyBytes(): number {
    return this.#bodyBytes;
  }

  get begun(): boolean {
    return this.#state !== FRESH;
  }

  /** Whether the request is HEAD. */
  get isToHead(): boolean {
    return this.#toHead;
  }

  get done(): boolean {
    return this.#state >= DONE;
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
    this.#status = status;
    return this;
  }

  header(name: string, value: string | number): this {
    this.#isFresh();
    checkFieldTypes(name, value);
    const text = String(value);
    const lower = name.toLowerCase();
    checkField(name, text, OWN.has(lower));
    if (lower === "connection") {
      this.#connection(text);
      return this;
    }
    if (lower === "upgrade") this.#addOption("upgrade");
    if (lower === "date") this.#set |= HAS_DATE;
    else if (lower === "content-type") this.#set |= HAS_TYPE;
    else if (lower === "content-length") {
      if (!/^\d{1,15}$/.test(text)) {
        throw typeError(
          "ERR_INVALID_DATA",
          `Cannot set ${name} to ${show(text)}: give a number of bytes`,
        );
      }
      // Written with the head, if the status allows it.
      this.#set |= HAS_LENGTH;
      this.#left = Number(text);
      return this;
    }
    this.#fields += `${name}: ${text}\r\n`;
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
    this.#fields += lines;
    // The caller has decided about Content-Type.
    this.#set |= HAS_TYPE;
    if (hasDate) this.#set |= HAS_DATE;
    if (length < 0) return;
    this.#set |= HAS_LENGTH;
    this.#left = length;
  }

  /** For HEAD, if the length of the body for GET is unknown: sends no Content-Length unless one was set. */
  leaveLengthOut(): void {
    this.#set |= HAS_LENGTH;
  }

  send(body: string | Uint8Array = ""): void {
    checkData(body);
    if (!this.#isFresh() || !this.#exchange.isAnswerable()) return;
    const isText = typeof body === "string";
    const length = isText ? utf8Length(body) : body.length;
    const bodiless = isBodiless(this.#status);
    if ((this.#set & HAS_LENGTH) === 0) this.#left = length;
    else if (this.#left !== length && !this.#toHead && !bodiless) {
      throw rangeError(
        "ERR_INVALID_LENGTH",
        `Cannot send ${length} bytes: Content-Length says ${this.#left}`,
      );
    }
    const type = isText && length > 0 && (this.#set & HAS_TYPE) === 0 && !bodiless ? TEXT_TYPE : "";
    const head = encoded(
      `${this.#headUntilLength()}${type}${this.#lengthField()}\r\n`,
      this.#fields,
    );
    if (bodiless || this.#toHead || length === 0) {
      this.#exchange.write(head);
    } else {
      this.#bodyBytes = length;
      if (isText && typeof head === "string") {
        this.#exchange.write(head + body);
      } else {
        this.#exchange.write(head);
        this.#exchange.write(body);
      }
    }
    this.#finish();
  }

  begin(): this {
    if (!this.#isFresh() || !this.#exchange.isAnswerable()) return this;
    const bodiless = isBodiless(this.#status);
    const inChunks = (this.#set & HAS_LENGTH) === 0 && !bodiless;
    if (inChunks && !this.#chunks) this.#exchange.endAfterReply();
    const framing =
      inChunks && this.#chunks ? "Transfer-Encoding: chunked\r\n" : this.#lengthField();
    this.#hidden = this.#toHead || bodiless;
    this.#state = STREAMING;
    this.#exchange.write(encoded(`${this.#headUntilLength()}${framing}\r\n`, this.#fields));
    return this;
  }

  write(bytes: string | Uint8Array): boolean {
    checkData(bytes);
    if (!this.#isStreaming()) return false;
    const length = typeof bytes === "string" ? utf8Length(bytes) : bytes.length;
    if (length === 0) return !this.#exchange.isFull;
    if ((this.#set & HAS_LENGTH) !== 0) {
      if (length > this.#left) {
        throw rangeError(
          "ERR_INVALID_LENGTH",
          `Cannot send ${length} bytes more: ${this.#left} are left of Content-Length`,
        );
      }
      this.#left -= length;
    }
    if (this.#hidden) return !this.#exchange.isFull;
    this.#bodyBytes += length;
    if ((this.#set & HAS_LENGTH) !== 0 || !this.#chunks) return this.#exchange.write(bytes);
    this.#exchange.write(`${length.toString(16)}\r\n`);
    this.#exchange.write(bytes);
    return this.#exchange.write("\r\n");
  }

  trailer(name: string, value: string | number): this {
    checkFieldTypes(name, value);
    if (this.#state === FRESH || this.#isStreaming()) {
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
      if (!this.#hidden) await pour(source, this);
      if (this.#state === STREAMING) this.end();
    } catch (error) {
      this.#exchange.call(() => {
        throw error;
      });
    }
  }

  end(bytes?: string | Uint8Array): void {
    if (bytes !== undefined) this.write(bytes);
    if (!this.#isStreaming()) return;
    if ((this.#set & HAS_LENGTH) !== 0) {
      if (this.#left > 0 && !this.#hidden) {
        const left = this.#left;
        this.#exchange.call(() => {
          throw shortBy(left);
        });
        return;
      }
    } else if (this.#chunks && !this.#hidden) {
      this.#exchange.write(encoded(`0\r\n${this.#trailers}\r\n`, this.#trailers));
    }
    this.#finish();
  }

  sendFile(file: OutgoingFile): void {
    checkOutgoingFile(file);
    if (!this.#isFresh()) {
      file.done?.(clientLeft());
      return;
    }
    if ((this.#set & HAS_LENGTH) === 0) this.header("Content-Length", file.length);
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
    if ((this.#set & HAS_LENGTH) === 0) {
      throw typeError(
        "ERR_INVALID_OPTION",
        "Cannot send a file in chunks: set Content-Length before begin()",
      );
    }
    if (file.length > this.#left) throw wrongLength(file.length, this.#left);
    this.#left -= file.length;
    if (this.#hidden || file.length === 0) {
      file.done?.();
      return !this.#exchange.isFull;
    }
    this.#bodyBytes += file.length;
    return this.#exchange.sendFile(file);
  }

  whenDrained(callback: () => void): void {
    checkCallback(callback);
    if (this.#state === ABANDONED) this.#exchange.soon(callback);
    else this.#exchange.whenDrained(callback);
  }

  /** The handler failed before anything was sent: replies with 500. */
  fail(): void {
    this.forget();
    this.status(500).send(`${reasonOf(500)}\n`);
  }

  /** Drops everything that the handler set before it failed. */
  forget(): void {
    this.#status = 200;
    this.#fields = "";
    this.#options = "";
    this.#set = 0;
    this.#left = -1;
    this.#trailers = "";
  }

  /** The client has left: all methods do nothing from now on. */
  abandon(): void {
    this.#state = ABANDONED;
  }

  #headUntilLength(): string {
    const date = (this.#set & HAS_DATE) === 0 ? this.#exchange.date : "";
    // A proxy takes a 2xx for the beginning of a tunnel. RFC 9110 section 9.3.6.
    if (this.#toConnect && this.#status < 300) this.#status = 501;
    return statusLine(this.#status) + date + this.#connectionField() + this.#fields;
  }

  /** The Connection field with the options of the server and those of the program. */
  #connectionField(): string {
    const field = this.#exchange.connectionField();
    if (this.#options === "") return field;
    return field === ""
      ? `Connection: ${this.#options}\r\n`
      : field.replace("\r\n", `, ${this.#options}\r\n`);
  }

  /** @throws TypeError `ERR_INVALID_DATA` */
  #connection(value: string): void {
    for (const option of connectionOptions(value)) {
      if (option === "close") this.#exchange.endAfterReply();
      else if (option !== "keep-alive") this.#addOption(option);
    }
  }

  #addOption(option: string): void {
    const options = this.#options === "" ? [] : this.#options.split(", ");
    if (!options.includes(option)) this.#options = [...options, option].join(", ");
  }

  /** The Content-Length, if it is known and the status allows it. RFC 9110 section 8.6. */
  #lengthField(): string {
    switch (this.#status) {
      case 204:
        return "";
      case 205:
        return "Content-Length: 0\r\n";
      case 304:
        // The length that a 200 would have, if the program has set it.
        if ((this.#set & HAS_LENGTH) === 0 || this.#left < 0) return "";
        return `Content-Length: ${this.#left}\r\n`;
      default:
        return this.#left < 0 ? "" : `Content-Length: ${this.#left}\r\n`;
    }
  }

  #finish(): void {
    // The last write may have closed the connection.
    if (this.#state === ABANDONED) return;
    this.#state = DONE;
    this.#exchange.replied();
  }

  /** @returns false if the client has left. @throws TypeError `ERR_CLOSED` after the head was sent. */
  #isFresh(): boolean {
    if (this.#state === FRESH || this.#state === ABANDONED) return this.#state === FRESH;
    throw typeError(
      "ERR_CLOSED",
      `Cannot change the reply: ${this.#state === STREAMING ? "its head" : "it"} was already sent`,
    );
  }

  #isStreaming(): boolean {
    if (this.#state === STREAMING || this.#state === ABANDONED) return this.#state === STREAMING;
    const why = this.#state === DONE ? "it is complete" : "call begin() first, or send()";
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

/** The length as UTF-8, in bytes. For a short text, counting is faster than a call out of JavaScript. */
function utf8Length(text: string): number {
  const { length } = text;
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

import { rangeError, show, typeError } from "../base/misuse.ts";
import type { OutgoingFile } from "../reactor/connection.ts";
import { checkCallback, checkData, checkOutgoingFile } from "../reactor/options.ts";
import type { Exchange } from "./exchange.ts";
import { checkField, connectionOptions, encoded, shortBy, wrongLength } from "./field-check.ts";
import { isForbiddenTrailer } from "./parser/trailers.ts";
import { pour } from "./pour.ts";
import { clientLeft } from "./refusal.ts";
import { isBodiless, reasonOf, statusLine } from "./status.ts";
import { utf8Length } from "./utf8-length.ts";

/** What is under way: nothing yet; the head has gone and the body follows; all of it has; nobody is there. */
const FRESH = 0;
const STREAMING = 1;
const DONE = 2;
const ABANDONED = 3;

/** Fields that the program has set itself. */
const HAS_DATE = 1;
const HAS_TYPE = 2;
const HAS_LENGTH = 4;

/** Fields that are the server's: what they say follows from what is sent. */
const OWN: ReadonlySet<string> = new Set(["transfer-encoding", "keep-alive"]);

const TEXT_TYPE = "Content-Type: text/plain; charset=utf-8\r\n";

/**
 * The answer to one request.
 *
 * @example
 * ```ts nocheck
 * reply.status(201).header("Location", "/things/7").send("made");
 * ```
 *
 * @remarks
 * A status, headers, then one `send`; or `begin`, any number of `write`, and `end`. What is sent for HEAD is
 * counted and not sent. When the client has left, or was refused, all of it does nothing: a handler that
 * answers later need not look first.
 */
export class HttpReply {
  readonly #exchange: Exchange;
  readonly #toHead: boolean;
  readonly #toConnect: boolean;
  readonly #chunks: boolean;
  #status = 200;
  #fields = "";
  /** Options of Connection that the program has set, but for those of the server's. */
  #options = "";
  #set = 0;
  #state = FRESH;
  /** Bytes of a body of known length that are still to come; -1 when it is sent in chunks. */
  #left = -1;
  #hidden = false;
  #bodyBytes = 0;
  #trailers = "";

  /**
   * @param method - What it answers.
   * @param chunks - Whether the client knows chunks.
   */
  constructor(exchange: Exchange, method: string, chunks: boolean) {
    this.#exchange = exchange;
    this.#toHead = method === "HEAD";
    this.#toConnect = method === "CONNECT";
    this.#chunks = chunks;
  }

  /** What was or will be answered. */
  get statusCode(): number {
    return this.#status;
  }

  /** Bytes of the body that were written, without chunk sizes. */
  get bodyBytes(): number {
    return this.#bodyBytes;
  }

  /** Whether its head has gone, and nothing of that can be changed any more. */
  get begun(): boolean {
    return this.#state !== FRESH;
  }

  /** Whether it answers HEAD. */
  get isToHead(): boolean {
    return this.#toHead;
  }

  /** Whether all of it has gone, or nobody is there to have it. */
  get done(): boolean {
    return this.#state >= DONE;
  }

  /**
   * Sets the status: 200 unless this is called.
   *
   * @param status - 200 to 599. What says 2xx to CONNECT is sent as 501: see `upgrade` of the request.
   * @throws RangeError `ERR_INVALID_OPTION`; TypeError `ERR_CLOSED` when the head has gone.
   */
  status(status: number): this {
    this.#isFresh();
    if (!(Number.isInteger(status) && status >= 200 && status <= 599)) {
      throw rangeError(
        "ERR_INVALID_OPTION",
        `Cannot answer with the status ${show(status)}: give an integer from 200 to 599`,
      );
    }
    this.#status = status;
    return this;
  }

  /**
   * Adds a header. Date, Content-Length and, for text, Content-Type are added if you do not.
   *
   * @remarks
   * `Connection: close` closes the connection after the reply. `keep-alive` changes nothing: the server decides,
   * and says so. Other options of Connection are sent as they are. Upgrade is named in Connection, as RFC 9110
   * section 7.8 asks.
   *
   * @param name - A token of RFC 9110 section 5.6.2.
   * @param value - Visible characters, spaces and tabs, of ISO 8859-1. For Connection, a list of tokens.
   * @throws TypeError `ERR_INVALID_DATA` for what would break the head, and for Keep-Alive and
   * Transfer-Encoding, which are the server's; `ERR_CLOSED` when the head has gone.
   */
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
      // Said with the head, as far as the status has one.
      this.#set |= HAS_LENGTH;
      this.#left = Number(text);
      return this;
    }
    this.#fields += `${name}: ${text}\r\n`;
    return this;
  }

  /**
   * For headers that are known to be sound: their lines, each with its CRLF, but for those of the server's and
   * Content-Length.
   *
   * @param hasDate - Whether Date is among them.
   * @param length - What Content-Length says; -1 when they have none.
   */
  lines(lines: string, hasDate: boolean, length: number): void {
    this.#fields += lines;
    // Whether there is a type has been decided.
    this.#set |= HAS_TYPE;
    if (hasDate) this.#set |= HAS_DATE;
    if (length < 0) return;
    this.#set |= HAS_LENGTH;
    this.#left = length;
  }

  /** For HEAD, when what GET would have is not known: no length is said, unless one was set. */
  leaveLengthOut(): void {
    this.#set |= HAS_LENGTH;
  }

  /**
   * Sends all of the answer. The bytes are yours again at once; an array of more than 256 KiB is sent without a
   * copy and must stay as it is until the client has it, so one array can be the answer to any number of clients.
   *
   * @param body - A string goes as UTF-8.
   * @throws TypeError `ERR_CLOSED` when the head has gone; `ERR_INVALID_LENGTH` when Content-Length was set
   * to something else.
   */
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

  /**
   * Sends the head, and lets the body follow: by {@link write} and {@link end}. With a Content-Length it has to
   * come to that; without one it goes in chunks, and to HTTP/1.0 until the connection ends.
   */
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

  /**
   * Sends a piece of the body. The bytes are yours again at once; an array of more than 256 KiB is sent without a
   * copy and must stay as it is until `whenDrained` calls back.
   *
   * @returns Whether to go on: false says that the peer falls behind, and `whenDrained` will tell.
   * @throws TypeError `ERR_CLOSED` before `begin` and after the end; RangeError `ERR_INVALID_LENGTH` when it
   * goes beyond Content-Length.
   */
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

  /**
   * Adds a field that follows the body: something that is known only then, such as a checksum. It goes with a
   * body in chunks, and is left out where there are none.
   *
   * @throws TypeError `ERR_INVALID_DATA` as `header`, and for what frames or routes a message;
   * `ERR_CLOSED` after the end.
   */
  trailer(name: string, value: string | number): this {
    checkFieldTypes(name, value);
    if (this.#state === FRESH || this.#isStreaming()) {
      const text = String(value);
      checkField(name, text, isForbiddenTrailer(name.toLowerCase()));
      this.#trailers += `${name}: ${text}\r\n`;
    }
    return this;
  }

  /**
   * Sends a body as it comes, no faster than the client takes it: `begin`, `write` and `end` in one.
   *
   * @param source - A ReadableStream, a Node stream, an async generator. It is told to stop with its next piece
   * when the client has left. What it throws is the handler's failure, and the reply is cut off.
   */
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

  /**
   * Ends the body. When it is shorter than its Content-Length, the connection is reset, since the client would wait
   * for the rest, and `error` of `serve` gets a RangeError `ERR_INVALID_LENGTH`.
   */
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

  /**
   * Sends a stretch of a file as all of the answer: from the page cache to the socket, without a copy here.
   * `file.done` is called in any case, to a HEAD and when nobody is there any more before this returns. A file
   * that has less than it is said to have cuts the client off.
   *
   * @param file - As `Connection.sendFile` takes it.
   * @throws TypeError `ERR_CLOSED` when the head has gone; RangeError `ERR_INVALID_LENGTH` when Content-Length
   * was set to something else. Then `done` is not called.
   * @source sendfile(2)
   */
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

  /**
   * Sends a stretch of a file as a piece of the body, as {@link sendFile} does.
   *
   * @returns Whether to go on: false says that `whenDrained` will tell.
   * @throws as {@link write} does; TypeError `ERR_INVALID_OPTION` in a body without Content-Length.
   */
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

  /** Calls back, once, when what was written has gone down to half of the high-water mark, or the client left. */
  whenDrained(callback: () => void): void {
    checkCallback(callback);
    if (this.#state === ABANDONED) this.#exchange.soon(callback);
    else this.#exchange.whenDrained(callback);
  }

  /** For the session: the handler failed before anything was sent. */
  fail(): void {
    this.forget();
    this.status(500).send(`${reasonOf(500)}\n`);
  }

  /** For the session: what the handler set before it failed is no part of the answer. */
  forget(): void {
    this.#status = 200;
    this.#fields = "";
    this.#options = "";
    this.#set = 0;
    this.#left = -1;
    this.#trailers = "";
  }

  /** For the session: nobody is there any more. */
  abandon(): void {
    this.#state = ABANDONED;
  }

  #headUntilLength(): string {
    const date = (this.#set & HAS_DATE) === 0 ? this.#exchange.date : "";
    // To whoever is between, a 2xx is the beginning of a tunnel. RFC 9110 section 9.3.6.
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

  /** The Content-Length, where it is known and the status has one. RFC 9110 section 8.6. */
  #lengthField(): string {
    switch (this.#status) {
      case 204:
        return "";
      case 205:
        return "Content-Length: 0\r\n";
      case 304:
        // What a 200 would have had, when the program knows.
        if ((this.#set & HAS_LENGTH) === 0 || this.#left < 0) return "";
        return `Content-Length: ${this.#left}\r\n`;
      default:
        return this.#left < 0 ? "" : `Content-Length: ${this.#left}\r\n`;
    }
  }

  #finish(): void {
    // What was written last may have ended the connection.
    if (this.#state === ABANDONED) return;
    this.#state = DONE;
    this.#exchange.replied();
  }

  /** @returns Whether there is anybody to answer. @throws TypeError when the head has gone. */
  #isFresh(): boolean {
    if (this.#state === FRESH || this.#state === ABANDONED) return this.#state === FRESH;
    throw typeError("ERR_CLOSED", "Cannot change a reply whose head has gone");
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

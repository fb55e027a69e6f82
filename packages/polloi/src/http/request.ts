import { type NamesOf, optionsOf, stringOf } from "../base/argument.ts";
import { type Fields, printAs } from "../base/inspect.ts";
import { show, typeError } from "../base/misuse.ts";
import type { Connection, ConnectionOptions, Handlers } from "../reactor/connection.ts";
import { checkCallback, checkCallbacks, checkConnectionOptions } from "../reactor/options.ts";
import type { SocketAddress } from "../socket/address.ts";
import type { TcpInfo } from "../socket/tcp-info.ts";
import type { LoopTimer } from "../sys/kernel.ts";
import type { Exchange } from "./exchange.ts";
import type { RequestHead } from "./wire/request-head.ts";
import { type RequestError, repliedFirst, unheard } from "./request-error.ts";

/** Receives a body as it arrives: see {@link HttpRequest.read}. */
export interface BodyReader {
  /** @param bytes - The next bytes of the body. They are lent, and change after this returns: copy what you keep. */
  data(bytes: Uint8Array): void;
  /** The body is complete. */
  end?(): void;
  /** The body will not be complete: the client left or exceeded a limit, or the reply was complete before it. */
  abort?(error: RequestError): void;
}

const BODY_READER: NamesOf<BodyReader> = { data: true, end: true, abort: true };

/** The most bytes of an unread body to discard, so that the connection can be used again. */
const MAX_THROWN_AWAY = 65_536;
const NO_TRAILERS: readonly (readonly [string, string])[] = [];

/**
 * A request as a `handler` receives it. Its head is decoded from the received bytes on demand.
 *
 * @remarks
 * A request is valid until its reply is complete. After that its head is gone, and reading it throws TypeError
 * `ERR_CLOSED`. If the client leaves before its reply is complete, the head stays.
 *
 * @source RFC 9110, RFC 9112
 */
export interface HttpRequest {
  /** The method as it was sent. Methods are case-sensitive. */
  readonly method: string;
  /** The request target as it was sent: path and query in most requests. */
  readonly target: string;
  /** The path as it was sent: percent-encoding and dot segments are left as they are. */
  readonly path: string;
  /** The part of the target after the first `?`, as it was sent; empty if there is none. */
  readonly query: string;
  /** The requested host, with the port if one was sent; `undefined` if a request of HTTP/1.0 has none. */
  readonly host: string | undefined;
  /** The minor version of HTTP/1. */
  readonly version: 0 | 1;
  /** The length of the body in bytes: 0 without a body, -1 for a chunked body. */
  readonly contentLength: number;
  /**
   * The trailer fields of a chunked body. They are complete when the reader's `end` is called, and empty before
   * that.
   *
   * @source RFC 9110 section 6.5
   */
  readonly trailers: readonly (readonly [name: string, value: string])[];
  /** The client's address; `null` when the connection is closed. */
  readonly remoteAddress: SocketAddress | null;
  /** The server's address of this connection; `null` when the connection is closed. */
  readonly localAddress: SocketAddress | null;
  /** The kernel's TCP state of the connection; `null` on a unix socket, or when the connection is closed. */
  readonly tcpInfo: TcpInfo | null;
  /**
   * The protocols that the client asks to switch to: its Upgrade header, if Connection names it.
   *
   * @source RFC 9110 section 7.8
   */
  readonly wantedUpgrade: string | undefined;
  /** Whether {@link HttpRequest.pause} was called, and {@link HttpRequest.resume} was not called since. */
  readonly paused: boolean;
  /** Whether the client has left: see {@link HttpRequest.whenLeft}. */
  readonly hasLeft: boolean;
  /** The connection's descriptor, to inspect; -1 when the connection is closed. */
  fileno(): number;
  /**
   * The value of a header.
   *
   * @param name - In any case.
   * @returns The value; `undefined` if the header is missing. The values of a repeated header are joined by `, `, those of Cookie by `; `.
   * @throws TypeError `ERR_INVALID_DATA`, `ERR_CLOSED`
   */
  header(name: string): string | undefined;
  /** All headers, in the order in which they were sent. @throws TypeError `ERR_CLOSED` */
  headers(): [name: string, value: string][];
  /**
   * Passes the body to `reader` as it arrives.
   *
   * @remarks
   * A body without a reader is not received; if the reply completes without one, the rest of the body is discarded.
   * A client that sent `Expect: 100-continue` is asked for its body by this call.
   *
   * @throws TypeError `ERR_CLOSED` if the body has a reader, or the request is over; `ERR_INVALID_OPTION`.
   */
  read(reader: BodyReader): void;
  /** Stops receiving the body. The client is slowed down, and `bodyTimeoutMs` does not run. */
  pause(): void;
  /** Receives the body again. */
  resume(): void;
  /**
   * Receives the whole body. The limit is `maxBodyBytes` of `serve`.
   *
   * @returns Rejects with a {@link RequestError} if the client leaves before it has sent the whole body.
   * @throws TypeError `ERR_CLOSED`, as a rejection
   */
  bytes(): Promise<Uint8Array>;
  /** Receives the whole body and decodes it as UTF-8, as {@link HttpRequest.bytes} does. */
  text(): Promise<string>;
  /**
   * Calls back when the client leaves, or its request is refused, before the reply is complete; at once if that
   * has happened already.
   *
   * @remarks
   * A client that ends its half of the connection counts as one that has left, because hardly any client waits for
   * a reply after that. A reply that is written nevertheless is sent.
   *
   * @throws TypeError `ERR_INVALID_OPTION`
   */
  whenLeft(callback: (error: RequestError) => void): void;
  /**
   * Takes over the connection for another protocol. The server sends no reply.
   *
   * @remarks
   * The program writes the `101 Switching Protocols` itself, or the 200 for CONNECT. Bytes that the client sent
   * behind the request are passed to `data` first. The server no longer counts the connection. When the server
   * stops, `stopping` of the handlers is called, as described at `Listener.stop`.
   *
   * @param options - The handlers and options of the connection, as for `listen`.
   * @returns The connection.
   * @throws TypeError `ERR_CLOSED` if the client has left, the reply has begun, or a body is still arriving.
   *
   * @example
   * ```ts nocheck
   * const socket = request.upgrade({ data: (socket, bytes) => socket.write(bytes) });
   * socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
   * ```
   */
  upgrade<Data = undefined>(options: Handlers<Data> & ConnectionOptions): Connection<Data>;
}

/** A request whose head was parsed: what its session and the fetch handler need of it, too. */
export class ParsedRequest implements HttpRequest {
  static {
    printAs(ParsedRequest, (it) => it.#fields(), "HttpRequest");
  }

  readonly #exchange: Exchange;
  #head: RequestHead | null;
  #reader: BodyReader | null = null;
  /** The reason why the client has certainly left; and why it has probably left. */
  #lost: RequestError | null = null;
  #left: RequestError | null = null;
  #whenLeft: ((error: RequestError) => void)[] | null = null;
  #paused = false;
  trailers: readonly (readonly [name: string, value: string])[] = NO_TRAILERS;

  /** The time at which its head was complete, as of the kernel's clock; 0 without a log. */
  began = 0;
  /** The number of body bytes received. */
  bodyBytes = 0;
  /** The known length of an unread chunked body, in bytes; Infinity before anything is known. */
  chunkedRest: number = Number.POSITIVE_INFINITY;
  /** The length of its chunks with their framing, if all have arrived; otherwise Infinity. */
  chunkedBytes: number = Number.POSITIVE_INFINITY;
  #dropped = 0;
  /** Whether the body is complete. */
  complete: boolean;

  constructor(exchange: Exchange, head: RequestHead) {
    this.#exchange = exchange;
    this.#head = head;
    this.complete = !head.hasBody;
  }

  get method(): string {
    return this.head.method;
  }

  get target(): string {
    return this.head.target;
  }

  get path(): string {
    return this.head.path;
  }

  get query(): string {
    return this.head.query;
  }

  get host(): string | undefined {
    return this.head.host;
  }

  get version(): 0 | 1 {
    return this.head.version;
  }

  get contentLength(): number {
    return this.head.contentLength;
  }

  get remoteAddress(): SocketAddress | null {
    return this.#exchange.connection.remoteAddress;
  }

  get tcpInfo(): TcpInfo | null {
    return this.#exchange.connection.tcpInfo;
  }

  fileno(): number {
    return this.#exchange.connection.fileno();
  }

  get localAddress(): SocketAddress | null {
    return this.#exchange.connection.localAddress;
  }

  header(name: string): string | undefined {
    stringOf(name, "the name of a header", "ERR_INVALID_DATA");
    return this.head.header(name);
  }

  headers(): [name: string, value: string][] {
    return this.head.headers();
  }

  get wantedUpgrade(): string | undefined {
    return this.head.upgrade;
  }

  read(reader: BodyReader): void {
    if (typeof optionsOf(reader, "a reader", BODY_READER).data !== "function") {
      throw typeError(
        "ERR_INVALID_OPTION",
        `Cannot read with ${show(reader)}: give a reader, with a data()`,
      );
    }
    checkCallbacks(reader, ["end", "abort"]);
    if (this.#reader !== null || this.#head === null) {
      throw typeError(
        "ERR_CLOSED",
        "Cannot read the body: it is being read, or the request is over",
      );
    }
    this.#reader = reader;
    if (this.#lost !== null) reader.abort?.(this.#lost);
    else if (!this.complete) this.#exchange.claimed();
    // There is no body, so no event will end it.
    else this.#exchange.soon(() => this.#reader?.end?.());
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#lost === null && this.#head !== null) this.#exchange.goOn();
  }

  whenLeft(callback: (error: RequestError) => void): void {
    checkCallback(callback);
    if (this.#left !== null) callback(this.#left);
    else if (this.#whenLeft === null) this.#whenLeft = [callback];
    else this.#whenLeft.push(callback);
  }

  upgrade<Data = undefined>(options: Handlers<Data> & ConnectionOptions): Connection<Data> {
    if (this.#lost !== null || this.#head === null) {
      throw typeError("ERR_CLOSED", "Cannot upgrade: the client has left, or has its reply");
    }
    checkConnectionOptions(options, "upgrade()");
    return this.#exchange.upgrade(options);
  }

  bytes(): Promise<Uint8Array> {
    const all = new Promise<Uint8Array>((resolve, reject) => {
      const pieces: Uint8Array[] = [];
      this.read({
        data: (bytes) => void pieces.push(bytes.slice()),
        end: () => resolve(Buffer.concat(pieces)),
        abort: reject,
      });
    });
    return unheard(all);
  }

  text(): Promise<string> {
    return unheard(this.bytes().then((bytes) => new TextDecoder().decode(bytes)));
  }

  /** The fields that `console.log` prints. */
  #fields(): Fields {
    const head = this.#head;
    if (head === null) return { state: "over" };
    const { method, target } = head;
    return { method, target, state: this.#left === null ? "open" : "left" };
  }

  // Used by the session and the fetch handler.

  /** The head. @throws TypeError `ERR_CLOSED` when the request is over. */
  get head(): RequestHead {
    if (this.#head !== null) return this.#head;
    throw typeError(
      "ERR_CLOSED",
      "Cannot read a request that is over: read what you need before its reply is complete",
    );
  }

  get reader(): BodyReader | null {
    return this.#reader;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Whether the connection must be closed after the request, as far as is known. */
  get endsConnection(): boolean {
    const { keepAlive, expectsContinue, method } = this.head;
    // After CONNECT the client may send data of another protocol.
    if (!keepAlive || method === "CONNECT") return true;
    if (this.complete || this.#reader !== null) return false;
    // A client that was not sent 100 Continue may or may not send its body now.
    return expectsContinue || this.isLong;
  }

  /** Whether the client may be waiting for 100 Continue. */
  get waitsToBeAsked(): boolean {
    return this.head.expectsContinue && this.bodyBytes === 0 && !this.complete;
  }

  /** Whether the known rest of the body is too long to discard. */
  get isLong(): boolean {
    if (this.complete) return false;
    const { contentLength } = this.head;
    const rest = contentLength < 0 ? this.chunkedRest : contentLength - this.bodyBytes;
    return rest > MAX_THROWN_AWAY;
  }

  /** Whether the body is chunked and has no reader. */
  get isUnreadInChunks(): boolean {
    return !this.complete && this.#reader === null && this.bodyBytes === 0 && this.head.chunked;
  }

  /** Whether all bytes of the body are received, and only its end is not reported yet. */
  get endIsDue(): boolean {
    return !this.complete && this.bodyBytes === this.head.contentLength;
  }

  /** Discards the rest of the body. */
  ignoreBody(): void {
    this.#reader = null;
    this.#paused = false;
  }

  /** The most bytes that are left of the body. */
  get receivedRest(): number {
    if (this.complete) return 0;
    const { contentLength } = this.head;
    return contentLength < 0 ? this.chunkedBytes : contentLength - this.bodyBytes;
  }

  /** Counts discarded bytes of the body. @returns Whether there are too many. */
  drop(bytes: number): boolean {
    this.#dropped += bytes;
    return this.#dropped > MAX_THROWN_AWAY;
  }

  get hasLeft(): boolean {
    return this.#left !== null;
  }

  /** The client has probably left. */
  left(error: RequestError): void {
    this.#left ??= error;
    const callbacks = this.#whenLeft;
    this.#whenLeft = null;
    if (callbacks === null) return;
    for (const callback of callbacks) this.#exchange.call(() => callback(error));
  }

  /** The client has left. */
  lost(error: RequestError): void {
    this.#lost = error;
    if (!this.complete) this.#exchange.call(() => this.#reader?.abort?.(error));
    this.left(error);
  }

  /** Calls back after `delayMs`, as a task of its own. */
  after(delayMs: number, callback: () => void): LoopTimer {
    return this.#exchange.after(delayMs, callback);
  }

  /** The request is over: its head and its reader are dropped. */
  over(): void {
    const reader = this.complete ? null : this.#reader;
    this.#head = null;
    this.#reader = null;
    this.#whenLeft = null;
    this.#paused = false;
    reader?.abort?.(repliedFirst());
  }
}

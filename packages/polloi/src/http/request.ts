import { optionsOf, stringOf } from "../base/argument.ts";
import { show, typeError } from "../base/misuse.ts";
import type { Connection, ConnectionOptions, Handlers } from "../reactor/connection.ts";
import { checkCallback, checkCallbacks, checkConnectionOptions } from "../reactor/options.ts";
import type { SocketAddress } from "../socket/address.ts";
import type { TcpInfo } from "../socket/tcp-info.ts";
import type { Exchange } from "./exchange.ts";
import type { RequestHead } from "./parser/head.ts";
import { type RequestError, repliedFirst, unheard } from "./refusal.ts";

/** Who takes a body as it comes. */
export interface BodyReader {
  /** @param bytes - Lent: they change when this returns. */
  data(bytes: Uint8Array): void;
  /** All of it has come. */
  end?(): void;
  /** It will never be complete: the client has left or gone beyond a limit, or the reply was there first. */
  abort?(error: RequestError): void;
}

/** What of a body that nobody reads is taken and thrown away, so that the connection can be used again. */
const MAX_THROWN_AWAY = 65_536;
const NO_TRAILERS: readonly (readonly [string, string])[] = [];

/**
 * A request, as the fast path sees it: what is asked for is read from the received bytes then, and not before.
 *
 * @remarks
 * Good until its reply is complete. Afterwards its head is gone, and asking for it throws. When the client
 * leaves before that, it stays.
 *
 * RFC 9110, RFC 9112.
 */
export class HttpRequest {
  readonly #exchange: Exchange;
  #head: RequestHead | null;
  #reader: BodyReader | null = null;
  /** Why nobody waits for the reply, when that is certain; and when it is likely. */
  #lost: RequestError | null = null;
  #left: RequestError | null = null;
  #whenLeft: ((error: RequestError) => void)[] | null = null;
  #paused = false;
  /**
   * What came behind a body in chunks: good from when its reader is told of the end, and empty before that and
   * when there is none. RFC 9110 section 6.5.
   */
  trailers: readonly (readonly [name: string, value: string])[] = NO_TRAILERS;

  /** When its head had come, as `performance.now()` has it; 0 when nobody asks. */
  began = 0;
  /** How many bytes of the body have come. */
  bodyBytes = 0;
  /** How many bytes of a body in chunks that nobody reads are known of; Infinity before anything is known. */
  chunkedRest: number = Number.POSITIVE_INFINITY;
  /** How many bytes its chunks take, with all that frames them, when all of them have come. */
  chunkedBytes: number = Number.POSITIVE_INFINITY;
  #dropped = 0;
  /** Whether all of it has come. */
  complete: boolean;

  constructor(exchange: Exchange, head: RequestHead) {
    this.#exchange = exchange;
    this.#head = head;
    this.complete = !head.hasBody;
  }

  /** The method as it was sent: methods are case-sensitive. */
  get method(): string {
    return this.head.method;
  }

  /** The target as it was sent. */
  get target(): string {
    return this.head.target;
  }

  /** The path as it was sent: neither decoded nor freed of its dots. */
  get path(): string {
    return this.head.path;
  }

  /** What follows the first `?`, as it was sent; empty when there is none. */
  get query(): string {
    return this.head.query;
  }

  /** The host and port that are asked for; `undefined` when HTTP/1.0 names none. */
  get host(): string | undefined {
    return this.head.host;
  }

  /** The minor version of HTTP/1. */
  get version(): 0 | 1 {
    return this.head.version;
  }

  /** The length of the body in bytes; 0 without one, -1 when it comes in chunks. */
  get contentLength(): number {
    return this.head.contentLength;
  }

  /** The peer; `null` when it is gone. */
  get remoteAddress(): SocketAddress | null {
    return this.#exchange.connection.remoteAddress;
  }

  /** The connection as the kernel's TCP sees it; `null` on a unix socket, or when it is gone. */
  get tcpInfo(): TcpInfo | null {
    return this.#exchange.connection.tcpInfo;
  }

  /** The connection's descriptor, to look at; -1 when it is gone. */
  fileno(): number {
    return this.#exchange.connection.fileno();
  }

  /** The own address, that the request was sent to; `null` when the connection is gone. */
  get localAddress(): SocketAddress | null {
    return this.#exchange.connection.localAddress;
  }

  /** The value of a header, in whatever case, joined when repeated; `undefined` when there is none. */
  header(name: string): string | undefined {
    stringOf(name, "the name of a header", "ERR_INVALID_DATA");
    return this.head.header(name);
  }

  /** All headers in their order. */
  headers(): [name: string, value: string][] {
    return this.head.headers();
  }

  /** What the client would rather speak: its Upgrade header, where Connection names it. RFC 9110 section 7.8. */
  get wantedUpgrade(): string | undefined {
    return this.head.upgrade;
  }

  /**
   * Has the body go to `reader`, piece by piece. What nobody asks for waits, and is thrown away when the reply
   * is complete.
   *
   * @throws TypeError `ERR_CLOSED` when it has a reader, or is over.
   */
  read(reader: BodyReader): void {
    if (typeof optionsOf(reader, "a reader").data !== "function") {
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
    // There is none, so nothing will come that ends it.
    else this.#exchange.soon(() => this.#reader?.end?.());
  }

  /** Has the rest of the body wait: the client is slowed down, and its time for the body stands still. */
  pause(): void {
    this.#paused = true;
  }

  /** Goes on with the body. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#lost === null && this.#head !== null) this.#exchange.goOn();
  }

  /**
   * Calls back when the client leaves, or is refused, before the reply is complete; at once when it has left
   * already. Otherwise never.
   *
   * @remarks
   * A client that ends its own half counts as one that leaves: hardly any waits on. What is replied all the
   * same is sent.
   */
  whenLeft(callback: (error: RequestError) => void): void {
    checkCallback(callback);
    if (this.#left !== null) callback(this.#left);
    else if (this.#whenLeft === null) this.#whenLeft = [callback];
    else this.#whenLeft.push(callback);
  }

  /**
   * Takes the connection out of HTTP's hands: no reply is sent but what you write.
   *
   * @remarks
   * For protocols that begin as a request: write the `101 Switching Protocols` yourself, or the 200 of
   * CONNECT. What the client has sent behind the request comes to `data` first.
   *
   * @param options - What happens to the connection from now on, and its options, as in `listen`.
   * @returns the connection. The server counts it no longer. When the server stops, `stopping` of the handlers is
   * called, as described at `Listener.stop`.
   * @throws TypeError `ERR_CLOSED` when the client has left, the reply has begun, or a body is still coming.
   *
   * @example
   * ```ts nocheck
   * const socket = request.upgrade({ data: (socket, bytes) => socket.write(bytes) });
   * socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
   * ```
   */
  upgrade<Data = undefined>(options: Handlers<Data> & ConnectionOptions): Connection<Data> {
    if (this.#lost !== null || this.#head === null) {
      throw typeError("ERR_CLOSED", "Cannot upgrade: the client has left, or has its reply");
    }
    checkConnectionOptions(options);
    return this.#exchange.upgrade(options);
  }

  /** All of the body. Rejects when the client leaves before it has sent all of it. */
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

  /** All of the body, as UTF-8. */
  text(): Promise<string> {
    return unheard(this.bytes().then((bytes) => new TextDecoder().decode(bytes)));
  }

  // What the session does with it.

  /** The head. @throws TypeError `ERR_CLOSED` when the request is over. */
  get head(): RequestHead {
    if (this.#head !== null) return this.#head;
    throw typeError(
      "ERR_CLOSED",
      "Cannot look at a request that is over: take what you need before its reply is complete",
    );
  }

  get reader(): BodyReader | null {
    return this.#reader;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Whether the connection cannot go on after it, as far as is known. */
  get endsConnection(): boolean {
    const { keepAlive, expectsContinue, method } = this.head;
    // Behind a CONNECT comes what is no request, as whoever sent it may think.
    if (!keepAlive || method === "CONNECT") return true;
    if (this.complete || this.#reader !== null) return false;
    // Nobody knows whether a client that was not asked for its body sends it now.
    return expectsContinue || this.isLong;
  }

  /** Whether the client may hold its body back until it is told to continue. */
  get waitsToBeAsked(): boolean {
    return this.head.expectsContinue && this.bodyBytes === 0 && !this.complete;
  }

  /** Whether what is known to be left of the body is too much to be read for nothing. */
  get isLong(): boolean {
    if (this.complete) return false;
    const { contentLength } = this.head;
    const rest = contentLength < 0 ? this.chunkedRest : contentLength - this.bodyBytes;
    return rest > MAX_THROWN_AWAY;
  }

  /** Whether the body comes in chunks, and nobody has asked for it. */
  get isUnreadInChunks(): boolean {
    return !this.complete && this.#reader === null && this.bodyBytes === 0 && this.head.chunked;
  }

  /** Whether no byte is missing, and the end of the body comes without any more. */
  get endIsDue(): boolean {
    return !this.complete && this.bodyBytes === this.head.contentLength;
  }

  /** What else comes of the body goes nowhere. */
  ignoreBody(): void {
    this.#reader = null;
    this.#paused = false;
  }

  /** How many of the bytes that come next are the rest of its body, at most. */
  get receivedRest(): number {
    if (this.complete) return 0;
    const { contentLength } = this.head;
    return contentLength < 0 ? this.chunkedBytes : contentLength - this.bodyBytes;
  }

  /** Bytes of the body are dropped. @returns Whether there have been too many of them. */
  drop(bytes: number): boolean {
    this.#dropped += bytes;
    return this.#dropped > MAX_THROWN_AWAY;
  }

  /** Whether the client has left, as far as is known. */
  get hasLeft(): boolean {
    return this.#left !== null;
  }

  /** Hardly anybody waits for the reply any more. */
  left(error: RequestError): void {
    this.#left ??= error;
    const callbacks = this.#whenLeft;
    this.#whenLeft = null;
    if (callbacks === null) return;
    for (const callback of callbacks) this.#exchange.call(() => callback(error));
  }

  /** Nobody waits for the reply any more. */
  lost(error: RequestError): void {
    this.#lost = error;
    if (!this.complete) this.#exchange.call(() => this.#reader?.abort?.(error));
    this.left(error);
  }

  /** Nothing more is to be had of it. */
  over(): void {
    const reader = this.complete ? null : this.#reader;
    this.#head = null;
    this.#reader = null;
    this.#whenLeft = null;
    this.#paused = false;
    reader?.abort?.(repliedFirst());
  }
}

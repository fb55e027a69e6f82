import { type NamesOf, optionsOf, stringOf } from "../base/argument.ts";
import { type Fields, printAs } from "../base/inspect.ts";
import { show, typeError } from "../base/misuse.ts";
import type { ProxyHeader } from "../proxy/header.ts";
import type { Connection, ConnectionOptions, Handlers } from "../reactor/connection.ts";
import { checkCallback, checkCallbacks, checkConnectionOptions } from "../reactor/options.ts";
import { isEncrypted } from "../reactor/tls-stream.ts";
import type { SocketAddress } from "../socket/address.ts";
import type { TcpInfo } from "../socket/tcp-info.ts";
import type { LoopTimer } from "../sys/kernel.ts";
import type { TlsInfo } from "../tls/session.ts";
import type { HttpConnection } from "./connection.ts";
import type { Exchange } from "./exchange.ts";
import type { BodyReader } from "./request-body.ts";
import { type RequestError, unheard } from "./request-error.ts";
import { WholeBody } from "./whole-body.ts";
import type { RequestHead } from "./wire/request-head.ts";

const BODY_READER: NamesOf<BodyReader> = { data: true, end: true, abort: true };

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
  /**
   * The requested host, with the port if one was sent; `undefined` if a request of HTTP/1.0 has none. Behind a proxy of
   * `trustProxy`: the host that the client has sent to the proxy.
   */
  readonly host: string | undefined;
  /**
   * The scheme of the URL. `"https"` if the client uses TLS towards a proxy that says so: one of `trustProxy`, or one that
   * has sent a PROXY header.
   */
  readonly scheme: "http" | "https";
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
  /**
   * The client's address; `null` when the connection is closed. Behind a proxy of `trustProxy`: the address that the proxy
   * says, with port 0 if it says none.
   */
  readonly remoteAddress: SocketAddress | null;
  /** The server's address of this connection; `null` when the connection is closed. */
  readonly localAddress: SocketAddress | null;
  /** The PROXY header of the connection; `null` without one: see `proxyProtocol` of `serve`. */
  readonly proxyHeader: ProxyHeader | null;
  /** Facts about the TLS session, such as the certificate of the client; `null` without TLS. */
  readonly tls: TlsInfo | null;
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

/** The request as its handler has it: what the fetch handler needs of it, too. */
export class ParsedRequest implements HttpRequest {
  static {
    printAs(ParsedRequest, (it) => it.#fields(), "HttpRequest");
  }

  readonly #connection: HttpConnection;
  readonly #exchange: Exchange;

  constructor(connection: HttpConnection, exchange: Exchange) {
    this.#connection = connection;
    this.#exchange = exchange;
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
    const { host } = this.head;
    return this.#exchange.client?.host ?? host;
  }

  get scheme(): "http" | "https" {
    const scheme = this.#exchange.client?.scheme;
    if (scheme !== undefined) return scheme;
    const { transport } = this.#connection;
    if (isEncrypted(transport)) return "https";
    return transport.proxyHeader?.overTls === true ? "https" : "http";
  }

  get version(): 0 | 1 {
    return this.head.version;
  }

  get contentLength(): number {
    return this.head.contentLength;
  }

  get trailers(): readonly (readonly [string, string])[] {
    return this.#exchange.body?.trailers ?? NO_TRAILERS;
  }

  /** Whether a trusted proxy has said something about the client. */
  get isForwarded(): boolean {
    return this.#exchange.client !== null;
  }

  get remoteAddress(): SocketAddress | null {
    const { transport } = this.#connection;
    const address = this.#exchange.client?.address;
    return address && transport.fileno() >= 0 ? address : transport.remoteAddress;
  }

  get localAddress(): SocketAddress | null {
    return this.#connection.transport.localAddress;
  }

  get proxyHeader(): ProxyHeader | null {
    return this.#connection.transport.proxyHeader;
  }

  get tls(): TlsInfo | null {
    return this.#connection.transport.tls;
  }

  get tcpInfo(): TcpInfo | null {
    return this.#connection.transport.tcpInfo;
  }

  fileno(): number {
    return this.#connection.transport.fileno();
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

  get paused(): boolean {
    return this.#exchange.isPaused;
  }

  get hasLeft(): boolean {
    return this.#exchange.left !== null;
  }

  read(reader: BodyReader): void {
    if (typeof optionsOf(reader, "a reader", BODY_READER).data !== "function") {
      throw typeError(
        "ERR_INVALID_OPTION",
        `Cannot read with ${show(reader)}: give a reader, with a data()`,
      );
    }
    checkCallbacks(reader, ["end", "abort"]);
    const exchange = this.#exchange;
    if (exchange.reader !== null || exchange.head === null) {
      throw typeError(
        "ERR_CLOSED",
        "Cannot read the body: it is being read, or the request is over",
      );
    }
    exchange.reader = reader;
    if (exchange.lost !== null) reader.abort?.(exchange.lost);
    else if (!exchange.isReceived) this.#connection.bodyClaimed(exchange);
    // There is no body, so no event will end it.
    else this.#connection.soon(() => exchange.reader?.end?.());
  }

  pause(): void {
    this.#exchange.isPaused = true;
    this.#connection.bodyPaused(this.#exchange);
  }

  resume(): void {
    const exchange = this.#exchange;
    if (!exchange.isPaused) return;
    exchange.isPaused = false;
    if (exchange.lost === null && exchange.head !== null) this.#connection.goOn();
  }

  whenLeft(callback: (error: RequestError) => void): void {
    checkCallback(callback);
    const exchange = this.#exchange;
    if (exchange.left !== null) callback(exchange.left);
    else if (exchange.whenLeft === null) exchange.whenLeft = [callback];
    else exchange.whenLeft.push(callback);
  }

  upgrade<Data = undefined>(options: Handlers<Data> & ConnectionOptions): Connection<Data> {
    const exchange = this.#exchange;
    if (exchange.lost !== null || exchange.head === null) {
      throw typeError("ERR_CLOSED", "Cannot upgrade: the client has left, or has its reply");
    }
    checkConnectionOptions(options, "upgrade()");
    return this.#connection.upgrade(exchange, options);
  }

  bytes(): Promise<Uint8Array> {
    const all = new Promise<Uint8Array>((resolve, reject) => {
      const body = new WholeBody(this.contentLength);
      this.read({
        data: (bytes) => body.add(bytes),
        end: () => resolve(Buffer.from(body.take().buffer)),
        abort: reject,
      });
    });
    return unheard(all);
  }

  text(): Promise<string> {
    return unheard(this.bytes().then((bytes) => new TextDecoder().decode(bytes)));
  }

  /** The text of the head, from the request line to the empty line. */
  get headText(): string {
    return this.#connection.headText(this.head);
  }

  /** Calls back after `delayMs`, as a task of its own. */
  after(delayMs: number, callback: () => void): LoopTimer {
    return this.#connection.shared.kernel.after(delayMs, callback);
  }

  /** The head. @throws TypeError `ERR_CLOSED` when the request is over. */
  get head(): RequestHead {
    const { head } = this.#exchange;
    if (head !== null) return head;
    throw typeError(
      "ERR_CLOSED",
      "Cannot read a request that is over: read what you need before its reply is complete",
    );
  }

  /** The fields that `console.log` prints. */
  #fields(): Fields {
    const { head, left } = this.#exchange;
    if (head === null) return { state: "over" };
    const { method, target } = head;
    return { method, target, state: left === null ? "open" : "left" };
  }
}

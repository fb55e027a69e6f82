import { type Fields, printAs } from "../base/inspect.ts";
import { fromCaller, show, typeError } from "../base/misuse.ts";
import type { Connection, ConnectionOptions, Handlers } from "../reactor/connection.ts";
import { acceptingOf, DEFAULT_GRACE_MS, type Listener } from "../reactor/listener.ts";
import { checkTimeout } from "../reactor/options.ts";
import type { Reactor } from "../reactor/reactor.ts";
import type { Stream } from "../reactor/stream.ts";
import { stopOnAbort } from "../reactor/streams/abort.ts";
import type { SocketAddress } from "../socket/address.ts";
import type { TlsServerOptions } from "../tls/options.ts";
import { AdoptedConnections } from "./adopted.ts";
import { HttpConnection, type Transport } from "./connection.ts";
import { checkClose } from "./counterparts.ts";
import type { Exchange } from "./exchange.ts";
import { fetchDirectly } from "./fetch/direct-fetch.ts";
import { answerFailure, isThenable, refuse } from "./fetch/fetch-handler.ts";
import { urlOf } from "./fetch/url.ts";
import { type HttpSettings, withProtocol } from "./options.ts";

import { ReplyWriter } from "./reply.ts";
import { ParsedRequest } from "./request.ts";
import { type RefusalCode, RequestError, refusalOf } from "./request-error.ts";
import { Shared, type UnfinishedHead } from "./shared.ts";
import type { RequestHead } from "./wire/request-head.ts";
import { NOTHING } from "./wire/section.ts";

/** The status in the log for a client that left, as in nginx. It is never sent. */
const CLIENT_LEFT_STATUS = 499;

/** Counters of a server, from its start. */
export interface HttpCounts {
  /** Connections that were accepted. */
  readonly connections: number;
  /** Requests that were answered. */
  readonly requests: number;
  /** Requests that were refused and connections that a limit ended, by the code of the reason. */
  readonly refused: Readonly<Partial<Record<RefusalCode, number>>>;
}

/** An HTTP server: see {@link serve}. */
export interface HttpServer extends AsyncDisposable {
  /** The address that it listens on; `null` once it does not listen any more. */
  readonly address: SocketAddress | null;
  /** The port that it listens on; -1 for a unix socket, or once it does not listen any more. */
  readonly port: number;
  /**
   * The URL of the server, such as `http://localhost:8080/`: `localhost` if it listens on all addresses. `null` for a
   * unix socket, or once it does not listen any more.
   */
  readonly url: URL | null;
  /** The number of open connections, without those that were upgraded. */
  readonly connections: number;
  /** Counters, which are kept up to date. */
  readonly counts: HttpCounts;
  /**
   * Stops gracefully, as {@link Listener.stop} does.
   *
   * @remarks
   * Every request that has arrived is answered, those on connections in the backlog included. The last reply on a
   * connection says `Connection: close`. A connection between two requests is kept for 200 ms, and one that has not
   * sent a request yet for 500 ms, for a request that is on its way. A reply to a client that has ended its half of
   * the connection is waited for at most 1 second.
   *
   * @param graceMs - The longest time for this, in milliseconds, from 0 up. Connections that are left then are
   * destroyed. A second call may shorten it. Default 10,000.
   * @returns Resolves when all connections are closed, those that were upgraded included. Never rejects.
   * @throws TypeError or RangeError `ERR_INVALID_TIMEOUT`, as a rejection
   */
  stop(graceMs?: number): Promise<void>;
  /**
   * Stops listening at once, as {@link Listener.close} does.
   *
   * @remarks
   * Connections that were accepted continue without a limit, and keep the process alive. Those in the backlog are
   * reset. {@link HttpServer.stop} serves the backlog and ends connections; it may follow. Calling it twice is safe.
   */
  close(): void;
  /**
   * Serves HTTP on a connection that exists already: one that another listener has accepted, that the program has made, or
   * that a descriptor was adopted as.
   *
   * @remarks
   * The connection is handed over: the server's handlers replace those that it has. It is counted and limited like the
   * others. {@link HttpServer.stop} waits for it, and so does its own listener.
   *
   * @param connection - An open connection of the reactor of the server.
   * @param received - Bytes that the program has received from it already.
   * @throws TypeError `ERR_CLOSED` if the connection is not open, or the server is stopped or closed; `ERR_INVALID_OPTION`
   * for a connection of another reactor; `ERR_INVALID_DATA`.
   *
   * @example
   * ```ts nocheck
   * listen({
   *   port: 7788,
   *   data(connection, bytes) {
   *     if (bytes[0] === 0x16) startTls(connection, bytes);
   *     else server.adopt(connection, bytes);
   *   },
   * });
   * ```
   */
  adopt<Data>(connection: Connection<Data>, received?: Uint8Array): void;
  /**
   * Replaces the settings of TLS for new connections, as {@link Listener.setTls} does.
   *
   * @throws TypeError or RangeError `ERR_INVALID_OPTION`, `ERR_INVALID_TIMEOUT`, `ERR_UNSUPPORTED`, `ERR_CLOSED`
   */
  setTls(options: TlsServerOptions): void;
  /** Keeps the process alive again after {@link HttpServer.unref}. */
  ref(): void;
  /** Allows the process to end although the server listens, as {@link Listener.unref} does. */
  unref(): void;
  /**
   * Calls the fetch handler without a connection, for tests and for requests of the program itself.
   *
   * @remarks
   * If the handler fails, `error` of `serve` is called, and its response or a 500 is returned, as for a client. Limits do
   * not apply, nothing is counted or logged, and the second argument of the handler has no addresses.
   *
   * @param request - A request, or a URL. A relative URL is resolved against that of the server.
   * @throws TypeError `ERR_UNSUPPORTED` if the server has a `handler`; `ERR_INVALID_OPTION` for anything else. Both as
   * rejections.
   *
   * @example
   * ```ts nocheck
   * const response = await server.fetch("/things/7");
   * ```
   */
  fetch(request: Request | string | URL): Promise<Response>;
  /** Stops gracefully, as {@link HttpServer.stop} does with the default grace period. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** An HTTP server. It calls the program for its connections. */
export class ServingServer implements HttpServer {
  static {
    const fieldsOf = ({ port, connections, counts }: ServingServer): Fields => {
      return { port, connections, requests: counts.requests };
    };
    printAs(ServingServer, fieldsOf, "HttpServer");
  }

  readonly shared: Shared<HttpConnection>;
  listener: Listener | undefined;
  /** The handlers and options of adopted connections. */
  adoptedHandlers: Handlers<HttpConnection> & ConnectionOptions = {};
  readonly #adopted: AdoptedConnections;
  readonly #settings: HttpSettings;
  readonly #reactor: Reactor;
  #forgetSignal: () => void = () => {};
  /** {@link HttpServer.close} was called: what the server holds is released with its last connection. */
  #closed = false;

  constructor(reactor: Reactor, settings: HttpSettings) {
    this.#reactor = reactor;
    this.#adopted = new AdoptedConnections(reactor);
    this.#settings = settings;
    this.shared = new Shared(reactor, settings, {
      handle: (connection, exchange) => this.#handle(connection, exchange),
      failed: (connection, exchange, error) => this.#failed(connection, exchange, error),
      log: settings.log === undefined ? undefined : (...ended) => this.#log(...ended),
      unused: () => this.#unused(),
      soon: (callback) => this.#soon(callback),
    });
  }

  get address(): SocketAddress | null {
    return this.listener?.address ?? null;
  }

  get port(): number {
    return this.listener?.port ?? -1;
  }

  get url(): URL | null {
    return urlOf(this.#settings.scheme, this.address);
  }

  get connections(): number {
    return this.shared.sweep.size;
  }

  get counts(): HttpCounts {
    return this.shared.counts;
  }

  async stop(graceMs: number = DEFAULT_GRACE_MS): Promise<void> {
    // Before anything is changed.
    checkTimeout("graceMs", graceMs);
    this.#beginStopping();
    await Promise.all([this.listener?.stop(graceMs), this.#adopted.stop(graceMs)]);
    this.#release();
  }

  close(...others: readonly unknown[]): void {
    checkClose(others);
    this.listener?.close();
    this.#closed = true;
    if (this.connections === 0) this.#unused();
  }

  adopt<Data>(connection: Connection<Data>, received: Uint8Array = NOTHING): void {
    const stream = this.#adopted.check(connection);
    if (!(received instanceof Uint8Array)) {
      throw typeError(
        "ERR_INVALID_DATA",
        `Cannot use ${show(received)} as bytes: give a Uint8Array`,
      );
    }
    if (this.#closed || this.shared.isStopping) {
      throw typeError("ERR_CLOSED", "Cannot adopt a connection: the server is stopped or closed");
    }
    // The same object, with other handlers.
    const transport = stream.handOver(this.adoptedHandlers) as Stream<HttpConnection>;
    this.#adopted.add(transport);
    this.opened(transport);
    transport.resume();
    if (received.length > 0) transport.data?.received(received);
  }

  setTls(options: TlsServerOptions): void {
    fromCaller(ServingServer.prototype.setTls, () => {
      if (this.listener === undefined) {
        throw typeError("ERR_UNSUPPORTED", "Cannot set TLS: the server has no listener");
      }
      this.listener.setTls(withProtocol(options));
    });
  }

  ref(): void {
    this.listener?.ref();
  }

  unref(): void {
    this.listener?.unref();
  }

  fetch(request: Request | string | URL): Promise<Response> {
    const report = (error: unknown) => this.report(error);
    return fetchDirectly({ fetch: this.#settings.fetch, report, url: this.url }, request);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Stops when `signal` aborts, until nothing is left to stop. */
  stopOnAbort(signal: AbortSignal): void {
    this.#forgetSignal = stopOnAbort(signal, () => this.stop());
    if (this.listener === undefined) return;
    acceptingOf(this.listener).onEnded = () => {
      if (this.#adopted.size === 0) this.#forgetSignal();
    };
  }

  // Events of the connections.

  opened(transport: Transport): void {
    const { shared } = this;
    shared.counts.connections++;
    if (shared.sweep.size >= this.#settings.maxConnections) {
      shared.refused("CONNECTIONS");
      transport.write(refusalOf(503, "too many connections", shared.sweep.date.text));
      transport.close();
      return;
    }
    const connection = new HttpConnection(shared, transport);
    const { log, proxies } = this.#settings;
    if (log !== undefined || proxies !== undefined) {
      const { remoteAddress } = transport;
      const isProxy = proxies?.has(remoteAddress) === true;
      connection.peer = { address: remoteAddress?.address ?? "-", isProxy, headBegan: 0 };
    }
    transport.data = connection;
    shared.sweep.add(connection);
  }

  /** The listener of a connection stops, also when a pool of workers stops it. */
  stopping(connection: HttpConnection | undefined): void {
    this.#beginStopping();
    connection?.stopping();
  }

  closed(connection: HttpConnection | undefined): void {
    // One that was too many never had any.
    connection?.closed();
  }

  // Calls of the connections.

  #handle(connection: HttpConnection, exchange: Exchange): void {
    if (this.#settings.log !== undefined) exchange.began = this.shared.kernel.now();
    if (connection.peer?.isProxy === true && !this.#forwarded(connection, exchange)) return;
    try {
      const returned: unknown = this.#settings.handler(
        new ParsedRequest(connection, exchange),
        new ReplyWriter(connection, exchange),
      );
      // Most handlers return undefined or a promise, but a program may return anything.
      if (returned !== undefined) this.#await(returned, connection, exchange);
    } catch (error) {
      this.#failed(connection, exchange, error);
    }
  }

  /** Reads what a trusted proxy says about the client. @returns false if the request was refused. */
  #forwarded(connection: HttpConnection, exchange: Exchange): boolean {
    const client = this.#settings.proxies?.clientOf(exchange.head as RequestHead) ?? null;
    if (typeof client !== "string") {
      exchange.client = client;
      return true;
    }
    this.shared.refused("FORWARDED");
    refuse(new ReplyWriter(connection, exchange), 400, client);
    return false;
  }

  /** The handler failed: replies with 500, or resets the connection if the reply has begun. */
  #failed(connection: HttpConnection, exchange: Exchange | null, error: unknown): void {
    // A RequestError says that the client has left, which is no error of the handler.
    const isReported = exchange === null || !(error instanceof RequestError);
    const answer = isReported ? this.report(error) : undefined;
    if (exchange === null || exchange.isReplied) return;
    if (exchange.hasBegun) {
      connection.cutOff();
      return;
    }
    const reply = new ReplyWriter(connection, exchange);
    answerFailure(answer, new ParsedRequest(connection, exchange), reply, (thrown) => {
      // The response for a handler that failed could not be sent.
      if (!(thrown instanceof RequestError)) this.report(thrown);
      if (exchange.isReplied) return;
      if (exchange.hasBegun) connection.cutOff();
      else reply.fail();
    });
  }

  /**
   * Calls `error` of the options.
   *
   * @returns The value that it returned.
   */
  report(error: unknown): unknown {
    try {
      const answer = this.#settings.error(error);
      if (!isThenable(answer)) return answer;
      return Promise.resolve(answer).catch((thrown: unknown) => this.#failedToReport(thrown));
    } catch (thrown) {
      return this.#failedToReport(thrown);
    }
  }

  #unused(): void {
    if (this.#closed) this.#release();
  }

  #release(): void {
    this.#settings.release();
    this.#forgetSignal();
  }

  #soon(callback: () => void): void {
    // The timers of a closed reactor do not fire, and a handler may still be running.
    if (this.#reactor.fileno() < 0) queueMicrotask(callback);
    else this.#reactor.setTimer(0, callback);
  }

  /** Waits for a handler that returned something. */
  #await(returned: unknown, connection: HttpConnection, exchange: Exchange): void {
    Promise.resolve(returned).then(
      (value: unknown) => {
        // Fails a handler that returns what a `fetch` handler would, because its client would wait in vain.
        if (exchange.hasBegun) return;
        if (typeof value !== "string" && !(value instanceof Response)) return;
        const message = `Cannot answer with ${show(value)} from handler: call reply.send(), or give the function as fetch`;
        this.#failed(connection, exchange, typeError("ERR_INVALID_DATA", message));
      },
      (error: unknown) => this.#failed(connection, exchange, error),
    );
  }

  /** `error` itself threw: the process fails, and the connection is served. */
  #failedToReport(thrown: unknown): undefined {
    this.#soon(() => {
      throw thrown;
    });
  }

  /** From now on deadlines are short, and are checked more often. */
  #beginStopping(): void {
    const { shared } = this;
    if (shared.isStopping) return;
    shared.isStopping = true;
    shared.sweep.hurry();
  }

  /** Writes an entry to the log. An error of the log does not affect the request. */
  #log(
    connection: HttpConnection,
    exchange: Exchange | null,
    error: RequestError | null,
    head: UnfinishedHead | null,
  ): void {
    const request = exchange === null ? null : new ParsedRequest(connection, exchange);
    const line = request ?? head?.line ?? null;
    // A client that leaves between two requests is not logged.
    if (line === null && error?.code === "CLIENT_LEFT") return;
    const now = this.shared.kernel.now();
    try {
      this.#settings.log?.write({
        request,
        method: line?.method,
        target: line?.target,
        version: line?.version,
        remoteAddress: exchange?.client?.address?.address ?? connection.peer?.address ?? "-",
        status: exchange?.status || error?.status || CLIENT_LEFT_STATUS,
        bytes: exchange?.bodyBytes ?? 0,
        durationMs: now - (exchange?.began ?? head?.began ?? now),
      });
    } catch (thrown) {
      this.report(thrown);
    }
  }
}

import { type Fields, printAs } from "../base/inspect.ts";
import type { Connection, ConnectionState } from "../reactor/connection.ts";
import { DEFAULT_GRACE_MS, type Listener } from "../reactor/listener.ts";
import { checkTimeout } from "../reactor/options.ts";
import { loopOf, type Reactor } from "../reactor/reactor.ts";
import type { Timer } from "../reactor/timers.ts";
import type { SocketAddress } from "../socket/address.ts";
import type { Kernel } from "../sys/kernel.ts";
import type { AccessEntry } from "./access-log.ts";
import { dateField } from "./date.ts";
import { isThenable } from "./fetch/fetch-handler.ts";
import type { HttpSettings } from "./options.ts";
import { RequestParser } from "./wire/request-parser.ts";
import type { ReplyWriter } from "./reply.ts";
import type { ParsedRequest } from "./request.ts";
import { type RefusalCode, type RequestError, refusalOf } from "./request-error.ts";
import { Session } from "./session.ts";
import type { Logged, SessionHost, UnfinishedHead } from "./session-host.ts";

/** The most unused parsers to keep. A connection needs its own parser while a request is incomplete. */
const SPARE_PARSERS = 64;
/** Deadlines are checked this often within the shortest timeout. */
const CHECKS_PER_TIMEOUT = 16;
const SHORTEST_LOOK_MS = 5;
const LONGEST_LOOK_MS = 500;
const STOPPING_LOOK_MS = 50;
/** The longest `halfCloseTimeoutMs` while the server stops. */
const STOPPING_MS = 1000;

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
  /** Stops gracefully, as {@link HttpServer.stop} does with the default grace period. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** A server: what its sessions share. */
export class SessionServer implements HttpServer, SessionHost {
  static {
    const fieldsOf = ({ port, connections, counts }: SessionServer): Fields => {
      return { port, connections, requests: counts.requests };
    };
    printAs(SessionServer, fieldsOf, "HttpServer");
  }

  readonly settings: HttpSettings;
  readonly counts: {
    connections: number;
    requests: number;
    refused: Partial<Record<RefusalCode, number>>;
  } = { connections: 0, requests: 0, refused: {} };
  /** The parser of all connections that are between two requests. */
  parser: RequestParser;
  listener: Listener | undefined;
  now = 0;
  lookMs = 0;
  lateMs = 0;
  date = "";
  isStopping = false;
  /** The interval between two checks of the deadlines. */
  readonly #looksMs: number;
  readonly #reactor: Reactor;
  readonly #spare: RequestParser[] = [];
  readonly #sessions = new Set<Session>();
  #look: Timer | undefined;
  /** {@link HttpServer.close} was called: what the server holds is released with its last connection. */
  #closed = false;

  constructor(reactor: Reactor, settings: HttpSettings) {
    this.#reactor = reactor;
    this.settings = settings;
    this.parser = new RequestParser(settings.limits);
    const { headTimeoutMs, bodyTimeoutMs, idleTimeoutMs, sendTimeoutMs } = settings;
    const shortest = Math.min(
      headTimeoutMs,
      bodyTimeoutMs,
      idleTimeoutMs,
      sendTimeoutMs,
      settings.halfCloseTimeoutMs,
    );
    const wanted = shortest / CHECKS_PER_TIMEOUT;
    this.#looksMs = Math.min(Math.max(wanted, SHORTEST_LOOK_MS), LONGEST_LOOK_MS);
  }

  get kernel(): Kernel {
    return loopOf(this.#reactor).kernel;
  }

  get address(): SocketAddress | null {
    return this.listener?.address ?? null;
  }

  get port(): number {
    return this.listener?.port ?? -1;
  }

  get halfCloseTimeoutMs(): number {
    const { halfCloseTimeoutMs } = this.settings;
    return this.isStopping ? Math.min(halfCloseTimeoutMs, STOPPING_MS) : halfCloseTimeoutMs;
  }

  get connections(): number {
    return this.#sessions.size;
  }

  async stop(graceMs: number = DEFAULT_GRACE_MS): Promise<void> {
    // Before anything is changed.
    checkTimeout("graceMs", graceMs);
    this.#beginStopping();
    await this.listener?.stop(graceMs);
    this.settings.release();
  }

  close(): void {
    this.listener?.close();
    this.#closed = true;
    if (this.#sessions.size === 0) this.settings.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  // Events of the connections.

  opened(connection: Connection<Session>): void {
    this.counts.connections++;
    if (this.#look === undefined) {
      this.#readClock();
      this.#lookLater();
    }
    if (this.#sessions.size >= this.settings.maxConnections) {
      this.refused("CONNECTIONS");
      connection.write(refusalOf(503, "too many connections", this.date));
      connection.close();
      return;
    }
    const session = new Session(this, connection);
    if (this.settings.log !== undefined) session.peer = connection.remoteAddress?.address ?? "-";
    connection.data = session;
    this.#sessions.add(session);
  }

  received(session: Session, bytes: Uint8Array): void {
    const { parser } = this;
    try {
      session.received(bytes);
    } finally {
      if (parser === this.parser && !parser.idle) this.#take(parser, session.connection.state);
    }
  }

  /** The listener of a connection stops, also when a pool of workers stops it. */
  stopping(session: Session | undefined): void {
    this.#beginStopping();
    session?.stopping();
  }

  closed(session: Session | undefined): void {
    // One that was too many never had any.
    if (session === undefined) return;
    session.closed();
    this.#without(session);
  }

  // Called by sessions.

  /** A session keeps the common parser: the others get another. */
  taken(): void {
    this.parser = this.#spare.pop() ?? new RequestParser(this.settings.limits);
  }

  giveBack(parser: RequestParser): void {
    parser.reset();
    if (this.#spare.length < SPARE_PARSERS) this.#spare.push(parser);
  }

  answered(session: Logged, request: ParsedRequest, reply: ReplyWriter): void {
    this.counts.requests++;
    if (this.settings.log === undefined) return;
    const entry = this.#entry(session, request, request, request.began);
    this.#log({ ...entry, status: reply.statusCode, bytes: reply.bodyBytes });
  }

  ended(
    session: Logged,
    { status, code }: RequestError,
    request: ParsedRequest | null,
    reply: ReplyWriter | null,
    head: UnfinishedHead | null,
  ): void {
    if (this.settings.log === undefined) return;
    const line = request ?? head?.line ?? null;
    // A client that leaves between two requests is not logged.
    if (line === null && code === "CLIENT_LEFT") return;
    this.#log({
      ...this.#entry(session, request, line, request?.began ?? head?.began),
      status: reply?.begun === true ? reply.statusCode : status || CLIENT_LEFT_STATUS,
      bytes: reply?.bodyBytes ?? 0,
    });
  }

  /** @param began - The time at which the request began; undefined if it has just begun. */
  #entry(
    session: Logged,
    request: ParsedRequest | null,
    line: Pick<AccessEntry, "method" | "target" | "version"> | null,
    began: number | undefined,
  ): Omit<AccessEntry, "status" | "bytes"> {
    const now = this.kernel.now();
    return {
      request,
      method: line?.method,
      target: line?.target,
      version: line?.version,
      remoteAddress: session.peer,
      durationMs: now - (began ?? now),
    };
  }

  /** Writes to the log. An error of the log does not affect the request. */
  #log(entry: AccessEntry): void {
    try {
      this.settings.log?.write(entry);
    } catch (error) {
      this.failed(error);
    }
  }

  refused(code: RefusalCode): void {
    const { refused } = this.counts;
    refused[code] = (refused[code] ?? 0) + 1;
  }

  failed(error: unknown): unknown {
    try {
      const answer = this.settings.error(error);
      if (!isThenable(answer)) return answer;
      return Promise.resolve(answer).catch((thrown: unknown) => this.#failedToReport(thrown));
    } catch (thrown) {
      return this.#failedToReport(thrown);
    }
  }

  /** `error` itself threw: the process fails, and the connection is served. */
  #failedToReport(thrown: unknown): undefined {
    this.soon(() => {
      throw thrown;
    });
  }

  handedOver(session: Session): void {
    this.#without(session);
  }

  soon(callback: () => void): void {
    // The timers of a closed reactor do not fire, and a handler may still be running.
    if (this.#reactor.fileno() < 0) queueMicrotask(callback);
    else this.#reactor.setTimer(0, callback);
  }

  /** From now on deadlines are short, and are checked more often. */
  #beginStopping(): void {
    if (this.isStopping) return;
    this.isStopping = true;
    this.#readClock();
    if (this.#look === undefined) return;
    this.#look.cancel();
    this.#lookLater();
  }

  /** A connection was closed in the middle of a request, whose state must not affect another connection. */
  #take(parser: RequestParser, state: ConnectionState): void {
    if (state === "closing") {
      parser.reset();
      return;
    }
    // The handler of the request may still read its head.
    parser.keepHead();
    this.taken();
  }

  #without(session: Session): void {
    this.#sessions.delete(session);
    if (this.#sessions.size > 0) return;
    if (this.#closed) this.settings.release();
    this.#look?.cancel();
    this.#look = undefined;
  }

  #lookLater(): void {
    const ms = this.isStopping ? Math.min(this.#looksMs, STOPPING_LOOK_MS) : this.#looksMs;
    // A limit of the loop: bytes that have arrived by then are received first.
    this.#look = loopOf(this.#reactor).timers.limit(ms, () => this.#lookAround(ms));
  }

  #readClock(): void {
    const { kernel } = this;
    this.now = kernel.now();
    this.date = dateField(kernel);
  }

  /** Checks all deadlines. @param ms - The intended interval since the previous check. */
  #lookAround(ms: number): void {
    const before = this.now;
    this.#readClock();
    const late = this.now - before - ms;
    this.lateMs = late > ms ? late : 0;
    this.lookMs = this.now - before - this.lateMs;
    for (const session of this.#sessions) session.look();
    if (this.#sessions.size > 0) this.#lookLater();
    else this.#look = undefined;
  }
}

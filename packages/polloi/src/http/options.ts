import { booleanOf, type NamesOf } from "../base/argument.ts";
import { numberError, show, typeError } from "../base/misuse.ts";
import type { EngineChoice } from "../engine/choose.ts";
import type { ConnectionOptions, Handlers } from "../reactor/connection.ts";
import type { Listener, ListenOptions } from "../reactor/listener.ts";
import { checkCallbacks } from "../reactor/options.ts";
import { Reactor } from "../reactor/reactor.ts";
import type { TlsServerOptions } from "../tls/options.ts";
import type { AccessSink } from "./access-log.ts";
import { type FetchHandler, type ServedFetch, serveFetch } from "./fetch/fetch-handler.ts";
import { TrustedProxies, type TrustProxyOptions } from "./forwarded.ts";
import type { HttpReply } from "./reply.ts";
import type { HttpRequest } from "./request.ts";
import { DEFAULT_TIMEOUTS, type HttpTimeouts } from "./timeouts.ts";
import { type ParserLimits, parserLimitsOf } from "./wire/limits.ts";

/** A function that answers requests: see {@link HttpRequest} and {@link HttpReply}. */
export type HttpHandler = (request: HttpRequest, reply: HttpReply) => void | Promise<void>;

/** The part of a `PoolWorker` that `serve` uses. */
export interface HttpWorker {
  /** The reactor of the worker. */
  readonly reactor: Reactor;
  /** Listens on the address of the pool. */
  listen<Data>(
    options: Handlers<Data> &
      ConnectionOptions &
      Pick<ListenOptions, "acceptError" | "proxyProtocol" | "tls">,
  ): Listener;
}

/** The options of {@link serve}. */
export interface HttpOptions
  extends Partial<ParserLimits>,
    Partial<HttpTimeouts>,
    Pick<
      ListenOptions,
      | "host"
      | "port"
      | "path"
      | "fd"
      | "backlog"
      | "reusePort"
      | "dualStack"
      | "acceptError"
      | "proxyProtocol"
      | "tls"
    > {
  /** The same as `host`, by the name that other servers have for it. */
  readonly hostname?: string | undefined;
  /** Answers requests with the methods of a reply. Give either this or `fetch`. */
  readonly handler?: HttpHandler | undefined;
  /** Answers requests with a `Response` of the Fetch standard. Give either this or `handler`. */
  readonly fetch?: FetchHandler | undefined;
  /**
   * Whether faster classes replace the global `Response`, and on Node also `Request` and `fetch`, while a server with a
   * fetch handler runs. On Node such a server is several times as fast with them. Default true.
   */
  readonly overrideGlobals?: boolean | undefined;
  /**
   * Called with the error of a handler, or with the reason why its reply could not be sent. Default: prints it to stderr.
   *
   * @remarks
   * If it returns a `Response`, or a promise of one, and the reply has not begun, that is sent. Otherwise the client
   * receives 500. Any other value is ignored. If `error` itself throws, the client receives 500 and the process fails.
   */
  readonly error?: (error: unknown) => unknown;
  /** A worker of a pool (`polloi/workers`), whose address is served. No option for an address may be set then. */
  readonly worker?: HttpWorker;
  /** The reactor to serve on. Default: the default reactor of this thread. */
  readonly reactor?: Reactor;
  /** The engine of the default reactor. Not with `reactor` or `worker`. Default "auto". */
  readonly engine?: EngineChoice;
  /** The number of requests after which a connection is closed, from 1 up. Default: no limit. */
  readonly maxRequests?: number;
  /** Receives an entry for every request that has ended: an {@link AccessLog}, or an object with a `write` method. */
  readonly log?: AccessSink;
  /** The most open connections, from 1 up. Further connections receive 503 and are closed. Default: no limit. */
  readonly maxConnections?: number;
  /**
   * The proxies in front of the server, whose Forwarded or X-Forwarded headers are used for the client's address, and for
   * the scheme and the host of the URL: IP addresses, ranges in CIDR notation, and `"unix"` for peers on a unix socket.
   * Default: none, and the headers are those of the client. An empty list means the same.
   *
   * @remarks
   * Each of these proxies must set or remove all headers that are used, or a client can make them up.
   *
   * @source RFC 7239
   */
  readonly trustProxy?: readonly string[] | TrustProxyOptions | undefined;
  /**
   * `false` opens no listener: the server serves only the connections that {@link HttpServer.adopt} is given. No option
   * of a listener may be set then.
   */
  readonly listen?: false;
  /** Stops the server when it aborts, as {@link HttpServer.stop} does. If it has aborted already, its reason is thrown. */
  readonly signal?: AbortSignal;
}

export const HTTP_OPTIONS: NamesOf<HttpOptions> = {
  handler: true,
  fetch: true,
  overrideGlobals: true,
  error: true,
  worker: true,
  reactor: true,
  engine: true,
  maxRequests: true,
  log: true,
  maxConnections: true,
  trustProxy: true,
  signal: true,
  listen: true,
  host: true,
  hostname: true,
  port: true,
  path: true,
  fd: true,
  backlog: true,
  reusePort: true,
  dualStack: true,
  acceptError: true,
  proxyProtocol: true,
  tls: true,
  headTimeoutMs: true,
  bodyTimeoutMs: true,
  idleTimeoutMs: true,
  sendTimeoutMs: true,
  halfCloseTimeoutMs: true,
  maxHeadBytes: true,
  maxTargetBytes: true,
  maxHeaders: true,
  maxBodyBytes: true,
  maxChunkExtensionBytes: true,
  maxTrailerBytes: true,
};

/** The options that a server uses, with all defaults. */
export interface HttpSettings extends HttpTimeouts {
  readonly handler: ServedFetch["handler"];
  /** The scheme of the URL of the server. */
  readonly scheme: "http" | "https";
  /** The fetch handler of the program, if it has given one. */
  readonly fetch: FetchHandler | undefined;
  /** Called when the server does not listen any more and has no connections. */
  readonly release: () => void;
  readonly error: (error: unknown) => unknown;
  readonly maxRequests: number;
  readonly maxConnections: number;
  readonly log: AccessSink | undefined;
  readonly proxies: TrustedProxies | undefined;
  readonly limits: ParserLimits;
}

/** @throws RangeError, TypeError `ERR_INVALID_OPTION`. */
export function settingsOf(options: HttpOptions): HttpSettings {
  const timeouts = { ...DEFAULT_TIMEOUTS };
  for (const name of Object.keys(timeouts) as (keyof HttpTimeouts)[]) {
    const value = options[name];
    if (value === undefined) continue;
    if (!(typeof value === "number" && value > 0)) {
      throw numberError(
        "ERR_INVALID_OPTION",
        value,
        `Cannot use ${show(value)} as ${name}: give milliseconds above 0, or Infinity`,
      );
    }
    timeouts[name] = value;
  }
  checkCallbacks(options, ["error"]);
  const { error = (thrown) => console.error(thrown) } = options;
  if (options.log !== undefined && typeof options.log?.write !== "function") {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use ${show(options.log)} as log: give an AccessLog or an object with a write()`,
    );
  }
  const maxRequests = countOf("maxRequests", options.maxRequests);
  const maxConnections = countOf("maxConnections", options.maxConnections);
  const limits = parserLimitsOf(options);
  const { trustProxy } = options;
  const proxies = trustProxy === undefined ? undefined : new TrustedProxies(trustProxy);
  // Last, because what it holds must be released.
  const { handler, release } = handlerOf(options);
  return {
    ...timeouts,
    handler,
    scheme: options.tls === undefined ? "http" : "https",
    fetch: options.fetch,
    release,
    error,
    maxRequests,
    maxConnections,
    log: options.log,
    proxies,
    limits,
  };
}

const OF_LISTENER = [
  "host",
  "hostname",
  "port",
  "path",
  "fd",
  "backlog",
  "reusePort",
  "dualStack",
] as const;

/**
 * Checks that the options name one reactor and one address.
 *
 * @throws TypeError `ERR_INVALID_OPTION`
 */
export function checkPlace(options: HttpOptions): void {
  const { worker, reactor, engine } = options;
  if (worker !== undefined && typeof worker?.listen !== "function") {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use ${show(worker)} as worker: give the PoolWorker that start() was given`,
    );
  }
  if (reactor !== undefined && !(reactor instanceof Reactor)) {
    throw typeError("ERR_INVALID_OPTION", `Cannot use ${show(reactor)} as reactor: give a Reactor`);
  }
  const refuse = (one: string, other: string): never => {
    throw typeError("ERR_INVALID_OPTION", `Cannot serve with ${one} and ${other}: give one`);
  };
  if (worker !== undefined) {
    if (reactor !== undefined) refuse("a worker", "a reactor");
    const also = OF_LISTENER.find((name) => options[name] !== undefined);
    if (also !== undefined) refuse("a worker", also);
  }
  checkNoListener(options, refuse);
  if (options.host !== undefined && options.hostname !== undefined) refuse("host", "hostname");
  if (engine !== undefined && worker !== undefined) refuse("a worker", "an engine");
  if (engine !== undefined && reactor !== undefined) refuse("a reactor", "an engine");
}

function checkNoListener(
  options: HttpOptions,
  refuse: (one: string, other: string) => never,
): void {
  const listen: unknown = options.listen;
  if (listen === undefined) return;
  if (listen !== false) {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use ${show(listen)} as listen: give false, or leave it out to listen`,
    );
  }
  const also = ([...OF_LISTENER, "worker", "acceptError", "proxyProtocol", "tls"] as const).find(
    (name) => options[name] !== undefined,
  );
  if (also !== undefined) refuse("listen: false", also);
}

function handlerOf({ handler, fetch, overrideGlobals }: HttpOptions): ServedFetch {
  const override = booleanOf(overrideGlobals, "overrideGlobals", true);
  if (typeof fetch === "function" && handler === undefined) return serveFetch(fetch, override);
  if (typeof handler === "function" && fetch === undefined) return { handler, release() {} };
  throw typeError("ERR_INVALID_OPTION", whyNoHandler(handler, fetch));
}

function whyNoHandler(handler: unknown, fetch: unknown): string {
  if (fetch === undefined && handler === undefined) {
    return "Cannot serve without a handler: give handler or fetch";
  }
  if (fetch !== undefined && handler !== undefined) {
    return "Cannot serve with handler and fetch: give one";
  }
  if (handler !== undefined) return `Cannot use ${showKind(handler)} as handler: give a function`;
  return `Cannot use ${showKind(fetch)} as fetch: give a function, such as app.fetch`;
}

/** Names an object as such: its text would be `[object Object]`. */
function showKind(value: unknown): string {
  return typeof value === "object" && value !== null ? "an object" : show(value);
}

function countOf(name: string, value: number = Number.POSITIVE_INFINITY): number {
  if (typeof value === "number" && value >= 1) return value;
  throw numberError(
    "ERR_INVALID_OPTION",
    value,
    `Cannot use ${show(value)} as ${name}: give a number from 1 up`,
  );
}

/** The option `tls`, with the protocol of the server. Anything that is no object is checked by the listener. */
export function withProtocol(tls: TlsServerOptions): TlsServerOptions {
  if (typeof tls !== "object" || tls === null || Array.isArray(tls)) return tls;
  return tls.ALPNProtocols === undefined ? { ...tls, ALPNProtocols: ["http/1.1"] } : tls;
}

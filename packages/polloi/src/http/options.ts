import { booleanOf, type NamesOf } from "../base/argument.ts";
import { rangeError, show, typeError } from "../base/misuse.ts";
import type { EngineChoice } from "../engine/choose.ts";
import type { ConnectionOptions, Handlers } from "../reactor/connection.ts";
import type { Listener, ListenOptions } from "../reactor/listener.ts";
import { checkCallbacks } from "../reactor/options.ts";
import { Reactor } from "../reactor/reactor.ts";
import type { AccessSink } from "./access-log.ts";
import { type FetchHandler, type ServedFetch, serveFetch } from "./fetch/fetch-handler.ts";
import { type ParserLimits, parserLimitsOf } from "./parser/limits.ts";
import type { HttpReply } from "./reply.ts";
import type { HttpRequest } from "./request.ts";

/** What answers requests, in terms of the connection: see `HttpRequest` and `HttpReply`. */
export type HttpHandler = (request: HttpRequest, reply: HttpReply) => void | Promise<void>;

/** How long things may take. Each is in milliseconds; `Infinity` waits for ever. */
export interface HttpTimeouts {
  /** From the first byte of a request to the end of its head. 408. Default 10 s. */
  readonly headTimeoutMs: number;
  /**
   * For the body: this long, and a second more for each 500 bytes that have come, so that who sends a byte
   * now and then does not hold a connection for ever. 408. Default 20 s.
   */
  readonly bodyTimeoutMs: number;
  /** Between two requests, and before the first. The connection is closed. Default 60 s. */
  readonly idleTimeoutMs: number;
  /**
   * While a reply waits to be read, and the peer acknowledges nothing of it. A peer that is slow, and takes a
   * little of it now and then, is served to the end. At most 16 KiB that only the kernel holds are not looked for, and
   * wait for the idle timeout. Reset. Default 30 s.
   */
  readonly sendTimeoutMs: number;
  /**
   * For a reply to begin, or go on, when the client has ended its half of the connection: most such clients have
   * left, and some wait for their answer. Reset. Default 10 s, and 1 s at most when the server stops.
   */
  readonly halfCloseTimeoutMs: number;
}

const DEFAULT_TIMEOUTS: HttpTimeouts = {
  headTimeoutMs: 10_000,
  bodyTimeoutMs: 20_000,
  idleTimeoutMs: 60_000,
  sendTimeoutMs: 30_000,
  halfCloseTimeoutMs: 10_000,
};

/** The part of a `PoolWorker` that `serve` uses. */
export interface HttpWorker {
  /** The reactor of the worker. */
  readonly reactor: Reactor;
  /** Listens on the address of the pool. */
  listen<Data>(
    options: Handlers<Data> & ConnectionOptions & Pick<ListenOptions, "acceptError">,
  ): Listener;
}

/** What `serve` takes. */
export interface HttpOptions
  extends Partial<ParserLimits>,
    Partial<HttpTimeouts>,
    Pick<
      ListenOptions,
      "host" | "port" | "path" | "fd" | "backlog" | "reusePort" | "dualStack" | "acceptError"
    > {
  /** Answers requests, in terms of the connection. Either this or `fetch`. */
  readonly handler?: HttpHandler | undefined;
  /** Answers requests, in terms of the Fetch standard. Either this or `handler`. */
  readonly fetch?: FetchHandler | undefined;
  /**
   * Whether classes that do the same with less stand in for `Response`, and on Node for `Request` and `fetch`,
   * while a fetch handler is served. On Node that makes it several times as fast. Default true.
   */
  readonly overrideGlobals?: boolean | undefined;
  /**
   * Called with what a handler threw, or with why its answer could not be sent. Default: prints it to stderr.
   *
   * @remarks
   * A `Response` that it returns, or a promise of one, is the answer, unless the handler's own has begun. Otherwise
   * the client is sent 500. Any other value is ignored. When `error` itself throws, the client is sent 500 and the
   * process fails.
   */
  readonly error?: (error: unknown) => unknown;
  /**
   * A worker of a pool: the pool's address is served, and nothing here says where. See `polloi/workers`.
   */
  readonly worker?: HttpWorker;
  /** Where to serve. Default: the reactor of this thread, hosted by the runtime. */
  readonly reactor?: Reactor;
  /** The engine of that reactor. */
  readonly engine?: EngineChoice;
  /** Requests after which a connection is closed. Default: no limit. */
  readonly maxRequests?: number;
  /** Told of every request when it has come to its end: an `AccessLog`, or one of your own. */
  readonly log?: AccessSink;
  /** Connections at a time. Who comes when there are so many is told 503, and closed. Default: no limit. */
  readonly maxConnections?: number;
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
  host: true,
  port: true,
  path: true,
  fd: true,
  backlog: true,
  reusePort: true,
  dualStack: true,
  acceptError: true,
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

/** The options of a server with nothing left out that a session looks at. */
export interface HttpSettings extends HttpTimeouts {
  readonly handler: ServedFetch["handler"];
  /** To be called when the server has stopped. */
  readonly release: () => void;
  readonly error: (error: unknown) => unknown;
  readonly maxRequests: number;
  readonly maxConnections: number;
  readonly log: AccessSink | undefined;
  readonly limits: ParserLimits;
}

/** @throws RangeError, TypeError `ERR_INVALID_OPTION`. */
export function settingsOf(options: HttpOptions): HttpSettings {
  const timeouts = { ...DEFAULT_TIMEOUTS };
  for (const name of Object.keys(timeouts) as (keyof HttpTimeouts)[]) {
    const value = options[name];
    if (value === undefined) continue;
    if (!(typeof value === "number" && value > 0)) {
      throw rangeError(
        "ERR_INVALID_OPTION",
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
      `Cannot use ${show(options.log)} as log: give an AccessLog, or what has a write()`,
    );
  }
  const maxRequests = countOf("maxRequests", options.maxRequests);
  const maxConnections = countOf("maxConnections", options.maxConnections);
  const limits = parserLimitsOf(options);
  // The last, since it is to be released.
  const { handler, release } = handlerOf(options);
  return {
    ...timeouts,
    handler: options.log === undefined ? handler : timed(handler),
    release,
    error,
    maxRequests,
    maxConnections,
    log: options.log,
    limits,
  };
}

const OF_LISTENER = ["host", "port", "path", "fd", "backlog", "reusePort", "dualStack"] as const;

/**
 * Where to serve, said once.
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
  if (engine !== undefined && worker !== undefined) refuse("a worker", "an engine");
  if (engine !== undefined && reactor !== undefined) refuse("a reactor", "an engine");
}

/** What is logged says how long it took. */
function timed(handler: ServedFetch["handler"]): ServedFetch["handler"] {
  return (request, reply) => {
    request.began = performance.now();
    return handler(request, reply);
  };
}

function handlerOf({ handler, fetch, overrideGlobals }: HttpOptions): ServedFetch {
  const override = booleanOf(overrideGlobals, "overrideGlobals", true);
  if (typeof fetch === "function" && handler === undefined) return serveFetch(fetch, override);
  if (typeof handler === "function" && fetch === undefined) return { handler, release() {} };
  const both = handler !== undefined && fetch !== undefined;
  const neither = handler === undefined && fetch === undefined;
  const given = both ? "both" : neither ? "neither" : show(handler ?? fetch);
  throw typeError(
    "ERR_INVALID_OPTION",
    `Cannot serve with ${given}: give a handler or a fetch, which are functions`,
  );
}

function countOf(name: string, value: number = Number.POSITIVE_INFINITY): number {
  if (typeof value === "number" && value >= 1) return value;
  throw rangeError(
    "ERR_INVALID_OPTION",
    `Cannot use ${show(value)} as ${name}: give a number from 1 up`,
  );
}

import { optionsOf } from "../base/argument.ts";
import type { ErrnoCode } from "../base/errno.ts";
import { fromCaller } from "../base/misuse.ts";
import { SysError } from "../base/sys-error.ts";
import type { ConnectionOptions, Handlers } from "../reactor/connection.ts";
import type { ListenOptions } from "../reactor/listener.ts";
import type { ProxyRefusal } from "../reactor/proxied.ts";
import { reactorFor } from "../reactor/reactor.ts";
import { checkSignal } from "../reactor/streams/abort.ts";
import { TlsError } from "../tls/tls-error.ts";
import { HIGH_WATER_BYTES, type HttpConnection, type Transport } from "./connection.ts";
import { COUNTERPARTS, checkCall } from "./counterparts.ts";
import { checkPlace, HTTP_OPTIONS, type HttpOptions, settingsOf, withProtocol } from "./options.ts";
import { type HttpServer, ServingServer } from "./server.ts";

/** Codes of calls on a connection that fail because of the peer or the network. Source: tcp(7), accept(2). */
const OF_PEER: ReadonlySet<string> = new Set<ErrnoCode>([
  "EPIPE",
  "ECONNRESET",
  "ECONNABORTED",
  "ECONNREFUSED",
  "ENOTCONN",
  "ESHUTDOWN",
  "ETIMEDOUT",
  "ENETDOWN",
  "ENETUNREACH",
  "ENETRESET",
  "ENONET",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "EPROTO",
  "ENOPROTOOPT",
  "EOPNOTSUPP",
]);

/**
 * Serves HTTP/1.1 and HTTP/1.0.
 *
 * @remarks
 * The server is hosted in the runtime's event loop unless `reactor` is run with `run()`. It keeps the process alive until
 * it is stopped.
 *
 * @returns The server, which listens already.
 * @throws SysError `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`, `EMFILE`; TypeError or RangeError `ERR_INVALID_OPTION`.
 * @source RFC 9110, RFC 9112
 *
 * @example
 * ```ts
 * const server = serve({
 *   port: 8080,
 *   handler(request, reply) {
 *     reply.send(`Hello, ${request.path}\n`);
 *   },
 * });
 * console.log(`http://127.0.0.1:${server.port}`);
 * ```
 */
export function serve(options: HttpOptions): HttpServer;
export function serve(options: HttpOptions, ...others: readonly unknown[]): HttpServer {
  return fromCaller(serve, () => {
    checkCall(options, others, HTTP_OPTIONS);
    return startServer(options);
  });
}

function startServer(options: HttpOptions): HttpServer {
  const { worker, acceptError, proxyProtocol, tls } = optionsOf(
    options,
    "serve()",
    HTTP_OPTIONS,
    COUNTERPARTS,
  );
  checkPlace(options);
  const { signal } = options;
  checkSignal(signal);
  signal?.throwIfAborted();
  const reactor = worker?.reactor ?? options.reactor ?? reactorFor(options);
  const settings = settingsOf(options);
  const server = new ServingServer(reactor, settings);
  const handlers = handlersOf(server);
  server.adoptedHandlers = {
    ...handlers,
    // Only the listener of the connection stops, and not the server.
    stopping: (connection) => connection.data?.stopping(),
  };
  const proxied = {
    ...(proxyProtocol === undefined ? {} : { proxyProtocol: counted(proxyProtocol, server) }),
    ...(tls === undefined ? {} : { tls: withProtocol(tls) }),
  };
  try {
    if (worker !== undefined) {
      const error = acceptError === undefined ? {} : { acceptError };
      server.listener = worker.listen<HttpConnection>({ ...error, ...proxied, ...handlers });
    } else if (options.listen !== false) {
      const where = whereOf(options);
      server.listener = reactor.listen<HttpConnection>({ ...where, ...proxied, ...handlers });
    }
  } catch (error) {
    settings.release();
    throw error;
  }
  if (signal !== undefined) server.stopOnAbort(signal);
  return server;
}

/** The option `proxyProtocol`, with refused connections counted by the server. */
function counted(
  option: NonNullable<HttpOptions["proxyProtocol"]>,
  server: ServingServer,
): NonNullable<HttpOptions["proxyProtocol"]> {
  const refused = (): void => server.shared.refused("PROXY_HEADER");
  if (option === true) return { refused };
  // Anything that is no object is checked by the listener.
  if (typeof option !== "object" || option === null || Array.isArray(option)) return option;
  if (option.refused !== undefined && typeof option.refused !== "function") return option;
  return {
    ...option,
    refused(refusal: ProxyRefusal) {
      refused();
      option.refused?.(refusal);
    },
  };
}

/** The handlers and options of the connections of a server. */
function handlersOf(server: ServingServer): Handlers<HttpConnection> & ConnectionOptions {
  return {
    zeroCopy: true,
    highWaterBytes: HIGH_WATER_BYTES,
    // A part of a reply may have any size. The HTTP connection limits what is written beyond the high-water mark.
    maxPendingBytes: Number.POSITIVE_INFINITY,
    // Every connection of a reactor is one.
    open: (connection) => server.opened(connection as Transport),
    data: (connection, bytes) => connection.data.received(bytes),
    drain: (connection) => connection.data.drained(),
    end: (connection) => connection.data.ended(),
    stopping: (connection) => server.stopping(connection.data),
    close: (connection) => server.closed(connection.data),
    // A failure of the peer or the network is no error of the server. A file that cannot be read, or ENOMEM, is one.
    error: (_, error) => {
      if (error instanceof TlsError) return;
      if (!(error instanceof SysError && OF_PEER.has(error.code))) server.report(error);
    },
  };
}

/** The options of the listener. */
function whereOf(options: HttpOptions): Partial<ListenOptions> {
  const { hostname, port, path, fd, backlog, reusePort, dualStack, acceptError } = options;
  const { host = hostname } = options;
  const where = { host, port, path, fd, backlog, reusePort, dualStack, acceptError };
  return Object.fromEntries(Object.entries(where).filter(([, value]) => value !== undefined));
}

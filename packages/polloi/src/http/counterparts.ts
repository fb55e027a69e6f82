/** What a program that was written for another server finds in `serve` and `files`. */
import { unknownIn } from "../base/argument.ts";
import { typeError } from "../base/misuse.ts";

const IN_TLS = "give tls: { cert, key }";
const HTTP_1 = "leave it out: polloi serves HTTP/1.1 and HTTP/1.0";
const OWN_SERVER = "leave it out: limits and timeouts are options of serve()";

/**
 * What to do instead of an option of Bun.serve, Deno.serve or @hono/node-server that `serve` does not have. It is a part
 * of the error message.
 */
export const COUNTERPARTS: Readonly<Record<string, string>> = {
  // Bun.serve
  unix: "give path",
  idleTimeout: "give idleTimeoutMs, in milliseconds",
  maxRequestBodySize: "give maxBodyBytes",
  ipv6Only:
    "give dualStack: true to serve IPv4 on an IPv6 address as well, and leave it out otherwise",
  routes: "select the route in fetch, for example with Hono",
  static: "select the route in fetch, for example with Hono",
  websocket: "call upgrade() of the second argument of fetch",
  development: "leave it out: errors are passed to error, and clients receive 500",
  id: "leave it out: there is no hot reload",
  http1: HTTP_1,
  http2: HTTP_1,
  http3: HTTP_1,
  // Deno.serve
  onError: "give error, which may return a Response",
  onListen: "serve() listens when it returns: use url or port of the server",
  automaticCompression: "compress in fetch, for example with compress() of Hono",
  transport: "leave it out: give port for TCP, or path for a unix socket",
  tcpBacklog: "give backlog",
  cid: "polloi serves TCP and unix sockets: give port or path",
  cert: IN_TLS,
  key: IN_TLS,
  keyFormat: IN_TLS,
  // @hono/node-server
  overrideGlobalObjects: "give overrideGlobals",
  autoCleanupIncoming: "leave it out: a body that is not read is discarded",
  createServer: OWN_SERVER,
  serverOptions: OWN_SERVER,
};

/** The same for options of serveStatic of @hono/node-server and serveDir of Deno, which `files` does not have. */
export const FILES_COUNTERPARTS: Readonly<Record<string, string>> = {
  // serveStatic
  root: "give dir",
  path: "call serveFile() for one file",
  index: "leave it out: it is index.html",
  rewriteRequestPath: "give prefix, or pass a request with another URL",
  allowPercentInPath: "leave it out: a path is decoded once",
  onFound: "change the headers of the response",
  onNotFound: "test the status of the response",
  // serveDir
  fsRoot: "give dir",
  urlRoot: "give prefix",
  showDirListing: "give listing",
  showDotfiles: "give dotfiles",
  showIndex: "leave it out: index.html is always served",
  enableCors: "set the headers of the response",
  headers: "set the headers of the response",
  quiet: "leave it out: nothing is printed",
  etagAlgorithm: "leave it out: a tag is the time and the length of the file",
};

/**
 * Checks how `serve` was called: other servers are called with a function, an application, or two arguments.
 *
 * @param others - The arguments behind the options.
 * @throws TypeError `ERR_INVALID_OPTION`
 */
export function checkCall(
  options: unknown,
  others: readonly unknown[],
  names: Readonly<Record<string, true>>,
): void {
  if (typeof options === "function") {
    throw typeError("ERR_INVALID_OPTION", "Cannot serve a function: give { port, fetch }");
  }
  if (isApplication(options, names)) {
    throw typeError(
      "ERR_INVALID_OPTION",
      "Cannot serve an application itself: give { port, fetch: app.fetch }",
    );
  }
  if (others.every((other) => other === undefined)) return;
  throw typeError(
    "ERR_INVALID_OPTION",
    "Cannot use a second argument of serve(): it listens when it returns, and fetch is one of the options",
  );
}

/** Whether it is an application of a framework, such as an instance of Hono, and not an object of options. */
function isApplication(value: unknown, names: Readonly<Record<string, true>>): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return (
    prototype !== Object.prototype &&
    prototype !== null &&
    typeof (value as { fetch?: unknown }).fetch === "function" &&
    unknownIn(value, names) !== undefined
  );
}

/** Checks the arguments of `close` of a server: that of Node calls back when its connections have closed. */
export function checkClose(others: readonly unknown[]): void {
  if (typeof others[0] !== "function") return;
  throw typeError(
    "ERR_INVALID_OPTION",
    "Cannot call back from close(): await stop(), which resolves when all connections are closed",
  );
}

/** `polloi/http`: every function and method, and the kinds of its arguments. */
import { devNull } from "node:os";
import * as http from "../../../src/http/index.ts";
import { Reactor, type TlsServerOptions } from "../../../src/index.ts";
import { socketpair } from "../../../src/socket/index.ts";
import { type Call, call, internal, maker, method, type Table } from "./calls.ts";
import {
  FROM_ONE,
  NOTHING,
  OF_CONNECTIONS,
  OUTGOING_FILE,
  PROXY_PROTOCOL,
  RANGES,
  SIGNAL,
  TLS_REQUIRED,
  TLS_SERVER,
  WHERE,
} from "./reactor-table.ts";
import {
  BOOLEAN,
  BUFFER,
  CALLBACK,
  DATA,
  integer,
  KERNEL,
  type Kind,
  kind,
  like,
  MILLISECONDS,
  optional,
  options,
  required,
  untried,
} from "./wrong-values.ts";

const server = (): http.HttpServer => http.serve({ host: "127.0.0.1", port: 0, handler: () => {} });

const MAX_AGE: Kind = optional(
  kind(
    () => 0,
    (value) => typeof value === "number" && value >= 0 && value <= 365 * 24 * 3_600_000,
  ),
);

/** A method of the request or the reply of a handler, called within the handler. */
function inHandler(
  which: "request" | "reply",
  name: string,
  args: readonly Kind[],
  prepare: (reply: http.HttpReply) => void = () => {},
): Call {
  return {
    args,
    run: async (given) => {
      using reactor = new Reactor({ engine: "epoll" });
      const port = 0;
      return await new Promise((resolve, reject) => {
        const server = http.serve({
          reactor,
          host: "127.0.0.1",
          port,
          error: reject,
          handler(request, reply) {
            const it = which === "request" ? request : reply;
            try {
              prepare(reply);
              const called = (it as unknown as Record<string, (...args: unknown[]) => unknown>)[
                name
              ];
              const result = called?.apply(it, [...given]);
              // Operations that are pending when the connection closes have no receiver.
              if (result instanceof Promise) result.then(resolve, reject);
              else resolve(undefined);
              setImmediate(() => resolve(undefined));
            } catch (error) {
              reject(error);
            }
          },
        });
        reactor.connect({
          host: "127.0.0.1",
          port: server.port,
          error: reject,
          open: (connection) => connection.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        });
      });
    },
  };
}

/** Stands for an open connection of the server's reactor. */
const OPEN = {};

/** Adopts `connection`, or an open one. */
function adoptOn(connection: unknown, received: unknown): void {
  using reactor = new Reactor({ engine: "epoll" });
  const adopting = http.serve({ reactor, host: "127.0.0.1", port: 0, handler() {} });
  const [left, right] = socketpair();
  const open = reactor.adopt(left.detach(), { error: () => {} });
  try {
    adopting.adopt(
      (connection === OPEN ? open : connection) as typeof open,
      received as Uint8Array,
    );
  } finally {
    right.close();
  }
}

const begin = (reply: http.HttpReply): void => {
  reply.header("Content-Length", 1000).begin();
};
const reply = (name: keyof http.HttpReply & string, ...args: Kind[]): [string, Call] => [
  `HttpReply.${name}`,
  inHandler("reply", name, args),
];
const begun = (name: keyof http.HttpReply & string, ...args: Kind[]): [string, Call] => [
  `HttpReply.${name}`,
  inHandler("reply", name, args, begin),
];
const request = (name: keyof http.HttpRequest & string, ...args: Kind[]): [string, Call] => [
  `HttpRequest.${name}`,
  inHandler("request", name, args),
];

const TOKEN = kind(
  () => "X-Name",
  (value) => value === "foo",
);
const VALUE = kind(
  () => "value",
  (value) => typeof value === "string" || typeof value === "number",
);
/** Milliseconds above 0, or Infinity. */
const TIME = optional(
  kind(
    () => 1000,
    (value) => typeof value === "number" && value > 0,
  ),
);
const BYTES = optional(
  kind(
    () => 1000,
    (value) =>
      (Number.isSafeInteger(value) && (value as number) >= 0) || value === Number.POSITIVE_INFINITY,
  ),
);
/** A log that keeps its lines in memory. */
const BUFFERED = optional(integer(0, 16_777_216, 1000));
const { host, port, path, backlog, reusePort, dualStack } = WHERE as Record<string, Kind>;

const SERVE = required(
  {
    host: host as Kind,
    port: port as Kind,
    path: path as Kind,
    backlog: backlog as Kind,
    reusePort: reusePort as Kind,
    dualStack: dualStack as Kind,
    fd: NOTHING,
    acceptError: optional(CALLBACK),
    proxyProtocol: PROXY_PROTOCOL,
    tls: TLS_SERVER,
    trustProxy: RANGES,
    handler: like(CALLBACK, () => () => {}),
    fetch: NOTHING,
    overrideGlobals: optional(BOOLEAN),
    error: optional(CALLBACK),
    worker: NOTHING,
    reactor: NOTHING,
    engine: optional(
      kind(
        () => "epoll",
        () => false,
      ),
    ),
    maxRequests: FROM_ONE,
    maxConnections: FROM_ONE,
    signal: SIGNAL,
    listen: NOTHING,
    log: NOTHING,
    headTimeoutMs: TIME,
    bodyTimeoutMs: TIME,
    idleTimeoutMs: TIME,
    sendTimeoutMs: TIME,
    halfCloseTimeoutMs: TIME,
    maxHeadBytes: BUFFERED,
    maxTargetBytes: BUFFERED,
    maxHeaders: BYTES,
    maxBodyBytes: BYTES,
    maxChunkExtensionBytes: BYTES,
    maxTrailerBytes: BUFFERED,
  },
  () => ({ host: "", port: 0, handler: () => {} }),
);

const log = (): http.AccessLog => new http.AccessLog({ to: devNull });

export const HTTP: Table = {
  functions: {
    AccessLog: {
      args: [
        optional(
          options(
            {
              // A path would be created, and a descriptor would be written to.
              to: untried(
                optional(
                  kind(
                    () => devNull,
                    () => false,
                  ),
                ),
                "foo",
                -0,
                undefined,
              ),
              format: optional(
                kind(
                  () => "common",
                  () => false,
                ),
              ),
            },
            () => ({ to: devNull }),
          ),
        ),
      ],
      run: async ([given]) => {
        await new http.AccessLog(given as http.AccessLogOptions).close();
      },
    },
    RequestError: internal("a server makes it"),
    files: maker(
      http.files,
      required(
        {
          dir: untried(
            kind(
              () => "/",
              () => false,
            ),
            "foo",
          ),
          listing: optional(BOOLEAN),
          dotfiles: optional(BOOLEAN),
          precompressed: optional(BOOLEAN),
          maxAgeMs: MAX_AGE,
        },
        () => ({ dir: "/" }),
      ),
      KERNEL,
    ),
    serveFile: call(
      http.serveFile,
      kind(
        () => new Request("http://polloi.example/"),
        () => false,
      ),
      kind(
        () => "foo",
        (value) => typeof value === "string" && value !== "",
      ),
      optional(options({ precompressed: optional(BOOLEAN), maxAgeMs: MAX_AGE }, () => ({}))),
    ),
    serve: {
      args: [SERVE],
      run: async ([given]) => {
        await http.serve(given as http.HttpOptions).stop();
      },
    },
  },
  methods: {
    "AccessLog.close": call(() => log().close()),
    "AccessLog.reopen": method(log, "reopen"),
    "AccessLog.write": method(
      log,
      "write",
      kind(
        () => ({ request: null, remoteAddress: "-", status: 200, bytes: 0, durationMs: 0 }),
        () => false,
      ),
    ),
    "FetchInfo.fileno": call(() => 0),
    "FetchInfo.upgrade": internal("HttpRequest.upgrade"),
    ...Object.fromEntries([
      reply("begin"),
      begun("end", optional(DATA)),
      reply("header", TOKEN, VALUE),
      reply("send", optional(DATA)),
      reply("sendFile", OUTGOING_FILE),
      reply("status", integer(200, 599)),
      reply(
        "stream",
        kind(
          () => ["foo"],
          (value) => Array.isArray(value) || typeof value === "string",
        ),
      ),
      reply("trailer", TOKEN, VALUE),
      reply("whenDrained", CALLBACK),
      begun("write", DATA),
      begun("writeFile", OUTGOING_FILE),
      request("bytes"),
      request("fileno"),
      request(
        "header",
        kind(
          () => "host",
          (value) => typeof value === "string",
        ),
      ),
      request("headers"),
      request("pause"),
      request(
        "read",
        required({ data: CALLBACK, end: optional(CALLBACK), abort: optional(CALLBACK) }, () => ({
          data: () => {},
        })),
      ),
      request("resume"),
      request("text"),
      request("upgrade", options(OF_CONNECTIONS)),
      request("whenLeft", CALLBACK),
    ]),
    "HttpServer.adopt": {
      args: [
        kind(
          () => OPEN,
          () => false,
        ),
        optional(BUFFER),
      ],
      refusalsOnly: true,
      run: ([connection, received]) => adoptOn(connection, received),
    },
    "HttpServer.close": method(server, "close"),
    "HttpServer.fetch": method(
      () => http.serve({ host: "127.0.0.1", port: 0, fetch: () => new Response("") }),
      "fetch",
      kind(
        () => "/",
        (value) => typeof value === "string",
      ),
    ),
    "HttpServer.ref": method(server, "ref"),
    "HttpServer.unref": method(server, "unref"),
    "HttpServer.setTls": {
      args: [TLS_REQUIRED],
      run: ([tls]) => {
        using reactor = new Reactor({ engine: "epoll" });
        const secured = http.serve({
          reactor,
          host: "127.0.0.1",
          port: 0,
          tls: TLS_REQUIRED.good() as TlsServerOptions,
          handler: () => {},
        });
        secured.setTls(tls as TlsServerOptions);
      },
    },
    "HttpServer.stop": {
      args: [MILLISECONDS],
      run: ([graceMs]) => {
        using reactor = new Reactor({ engine: "epoll" });
        const server = http.serve({ reactor, host: "127.0.0.1", port: 0, handler: () => {} });
        return server.stop(graceMs as number);
      },
    },
  },
};

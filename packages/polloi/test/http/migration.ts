/** Programs that were written for another server: each option of theirs is accepted, or rejected with its counterpart. */
import assert from "node:assert/strict";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import { whyNoUring } from "../../src/engine/try-uring.ts";
import { files, type HttpServer, serve } from "../../src/http/index.ts";
import { Reactor } from "../../src/reactor/reactor.ts";
import { kernel } from "../../src/sys/open.ts";
import { GET } from "./client.ts";

/** An option with a value, and a part of the message that rejects it; without one, the option is accepted. */
type Option = readonly [name: string, value: unknown, counterpart?: string];

/** A server, and its documented options and members. */
export interface OtherServer {
  readonly name: string;
  /** The page that describes each option and member that differs. */
  readonly page: string;
  readonly options: readonly Option[];
  /** Members that have the same name and meaning. */
  readonly same: readonly (keyof HttpServer)[];
  /** Members that do not exist here, or have another meaning. The page names the counterpart. */
  readonly other: readonly string[];
}

const hello = (): Response => new Response("hello");
const nothing = (): void => {};

export const OTHER_SERVERS: readonly OtherServer[] = [
  {
    // Serve.Options and Server of bun-types 1.4.
    name: "Bun.serve",
    page: "docs/coming-from-bun.md",
    options: [
      ["fetch", hello],
      ["error", () => hello()],
      ["hostname", "127.0.0.1"],
      ["port", 0],
      ["port", "3000", 'Cannot use "3000" as a port'],
      ["reusePort", false],
      ["unix", "x.sock", "give path"],
      ["idleTimeout", 10, "give idleTimeoutMs, in milliseconds"],
      ["maxRequestBodySize", 1024, "give maxBodyBytes"],
      ["ipv6Only", true, "give dualStack"],
      ["routes", { "/": hello() }, "select the route in fetch"],
      ["static", { "/": hello() }, "select the route in fetch"],
      ["websocket", { message: nothing }, "call upgrade()"],
      ["development", true, "errors are passed to error"],
      ["id", "one", "there is no hot reload"],
      ["tls", { key: "", cert: "" }, "give the contents of a file in PEM format"],
      ["http1", true, "polloi serves HTTP/1.1"],
      ["http2", true, "polloi serves HTTP/1.1"],
      ["http3", true, "polloi serves HTTP/1.1"],
    ],
    same: ["fetch", "port", "ref", "stop", "unref", "url"],
    other: [
      "closeIdleConnections",
      "development",
      "hostname",
      "id",
      "pendingRequests",
      "pendingWebSockets",
      "protocol",
      "publish",
      "reload",
      "requestIP",
      "subscriberCount",
      "timeout",
      "upgrade",
      "[Symbol.dispose]",
    ],
  },
  {
    // ServeTcpOptions, ServeUnixOptions, ServeVsockOptions, ServeInit, TlsCertifiedKeyPem and HttpServer of Deno 2.9.
    name: "Deno.serve",
    page: "docs/coming-from-deno.md",
    options: [
      ["handler", nothing],
      ["hostname", "127.0.0.1"],
      ["port", 0],
      ["reusePort", false],
      ["path", "\0polloi-migration-path"],
      ["onError", () => hello(), "give error, which may return a Response"],
      ["onListen", nothing, "serve() listens when it returns"],
      ["signal", new AbortController().signal],
      ["automaticCompression", true, "compress in fetch"],
      ["transport", "tcp", "give port for TCP, or path"],
      ["tcpBacklog", 511, "give backlog"],
      ["cid", 3, "TCP and unix sockets"],
      ["cert", "", "give tls: { cert, key }"],
      ["key", "", "give tls: { cert, key }"],
      ["keyFormat", "pem", "give tls: { cert, key }"],
    ],
    same: ["ref", "unref"],
    other: ["addr", "finished", "shutdown"],
  },
  {
    // Options of @hono/node-server 2.1, whose serve returns the http.Server of Node.
    name: "@hono/node-server",
    page: "docs/coming-from-node.md",
    options: [
      ["fetch", hello],
      ["hostname", "127.0.0.1"],
      ["port", 0],
      ["overrideGlobalObjects", true, "give overrideGlobals"],
      ["autoCleanupIncoming", true, "a body that is not read is discarded"],
      ["createServer", nothing, "limits and timeouts are options of serve()"],
      ["serverOptions", {}, "limits and timeouts are options of serve()"],
      ["websocket", { server: {} }, "call upgrade()"],
    ],
    same: ["ref", "unref"],
    other: [
      "address()",
      "close(callback)",
      "closeAllConnections",
      "closeIdleConnections",
      "getConnections",
      "headersTimeout",
      "keepAliveTimeout",
      "listen",
      "listening",
      "maxConnections",
      "maxHeadersCount",
      "maxRequestsPerSocket",
      "on",
      "requestTimeout",
      "setTimeout",
      "timeout",
    ],
  },
];

/** Options of functions that serve files, and parts of the messages that reject them. */
export const OTHER_FILES: readonly (readonly [page: string, options: readonly Option[]])[] = [
  [
    "docs/coming-from-node.md",
    [
      ["precompressed", true],
      ["root", "public", "give dir"],
      ["path", "a.txt", "call serveFile()"],
      ["index", "index.htm", "it is index.html"],
      ["rewriteRequestPath", nothing, "give prefix"],
      ["allowPercentInPath", true, "decoded once"],
      ["onFound", nothing, "change the headers"],
      ["onNotFound", nothing, "test the status"],
    ],
  ],
  [
    "docs/coming-from-deno.md",
    [
      ["fsRoot", "public", "give dir"],
      ["urlRoot", "static", "give prefix"],
      ["showDirListing", true, "give listing"],
      ["showDotfiles", true, "give dotfiles"],
      ["showIndex", true, "index.html is always served"],
      ["enableCors", true, "set the headers"],
      ["headers", [], "set the headers"],
      ["quiet", true, "nothing is printed"],
      ["etagAlgorithm", "SHA-256", "the time and the length of the file"],
    ],
  ],
];

/** Options of `tls`, and parts of the messages that reject them. */
export const OTHER_TLS: readonly (readonly [page: string, options: readonly Option[]])[] = [
  [
    "docs/coming-from-bun.md",
    [
      ["serverName", "a.example", "give contexts"],
      ["keyFile", "key.pem", "give the contents of the file as key"],
      ["certFile", "cert.pem", "give the contents of the file as cert"],
      ["caFile", "ca.pem", "give the contents of the file as ca"],
      ["dhParamsFile", "dh.pem", "ECDHE"],
      ["lowMemoryMode", true, "no buffers"],
      ["secureOptions", 0, "give minVersion, maxVersion and ciphers"],
    ],
  ],
  [
    "docs/coming-from-node.md",
    [
      ["pfx", "", "give cert and key"],
      ["dhparam", "auto", "ECDHE"],
      ["SNICallback", nothing, "give contexts"],
      ["ALPNCallback", nothing, "give ALPNProtocols"],
      ["handshakeTimeout", 1000, "give handshakeTimeoutMs"],
      ["secureContext", {}, "call setTls()"],
      ["secureOptions", 0, "give minVersion, maxVersion and ciphers"],
      ["secureProtocol", "TLS_method", "give minVersion and maxVersion"],
      ["ecdhCurve", "auto", "default of OpenSSL"],
      ["sigalgs", "", "default of OpenSSL"],
      ["sessionTimeout", 300, "default of OpenSSL"],
    ],
  ],
];

/** A call as in plain JavaScript, with any arguments. */
const plainServe = serve as unknown as (...args: unknown[]) => HttpServer;
const plainFiles = files as unknown as (options: object) => Disposable;

function optionCase(server: string, [name, value, counterpart]: Option): Case {
  const is = counterpart === undefined ? "accepted" : "rejected with its counterpart";
  const kind = typeof value === "string" ? `, as ${value === "" ? "text" : value},` : "";
  return {
    name: `${server}: ${name}${kind} is ${is}`,
    async run() {
      const where = name === "path" ? {} : { hostname: "127.0.0.1", port: 0 };
      const handlers = name === "handler" ? {} : { fetch: hello };
      const call = () => plainServe({ ...where, ...handlers, [name]: value });
      if (counterpart === undefined) {
        await call().stop(0);
        return;
      }
      assert.throws(call, (error: Error & { code?: string }) => {
        assert.match(error.code ?? "", /^ERR_INVALID_(OPTION|PORT)$/);
        assert.ok(error.message.includes(counterpart), error.message);
        assert.ok(error.message.includes(name), error.message);
        return true;
      });
    },
  };
}

const fileOptions: Case = {
  name: "options of serveStatic and serveDir are accepted by files(), or rejected with their counterparts",
  run() {
    for (const [, options] of OTHER_FILES) {
      for (const [name, value, counterpart] of options) {
        const call = (): Disposable => plainFiles({ dir: "/", [name]: value });
        if (counterpart === undefined) call()[Symbol.dispose]();
        else {
          assert.throws(call, ({ message }: Error) => {
            const start = `Unknown option "${name}" of files(); `;
            return message.startsWith(start) && message.includes(counterpart);
          });
        }
      }
    }
  },
};

const tlsOptions: Case = {
  name: "options of tls of other servers are rejected with their counterparts",
  run() {
    for (const [, options] of OTHER_TLS) {
      for (const [name, value, counterpart = ""] of options) {
        const tls = { cert: "", key: "", [name]: value };
        const call = () => plainServe({ hostname: "127.0.0.1", port: 0, fetch: hello, tls });
        assert.throws(call, ({ message }: Error) => {
          return (
            message.startsWith(`Unknown option "${name}" of tls; `) && message.includes(counterpart)
          );
        });
      }
    }
  },
};

/** An application as those of frameworks: an instance with `fetch` and other properties. */
class Application {
  readonly routes: readonly string[] = [];
  readonly fetch = hello;
}

const calls: Case = {
  name: "a function, an application and a second argument are rejected",
  run() {
    const rejected: readonly (readonly [args: readonly unknown[], message: RegExp])[] = [
      [[hello], /^Cannot serve a function: give \{ port, fetch \}$/],
      [[{ port: 0 }, hello], /^Cannot use a second argument of serve\(\): /],
      [[{ port: 0, fetch: hello }, nothing], /^Cannot use a second argument of serve\(\): /],
      [
        [new Application()],
        /^Cannot serve an application itself: give \{ port, fetch: app\.fetch \}$/,
      ],
      [[new Application(), nothing], /^Cannot serve an application itself/],
      [[{ fetch: hello }], /^Cannot listen without an address: give port/],
      [
        [{ port: 0, host: "::1", hostname: "::1", fetch: hello }],
        /with host and hostname: give one$/,
      ],
    ];
    for (const [args, message] of rejected) {
      assert.throws(() => plainServe(...args), { name: "TypeError", message });
    }
  },
};

const members: Case = {
  name: "members that have the same name exist, and others do not",
  async run() {
    const server = serve({ host: "127.0.0.1", port: 0, fetch: hello });
    for (const { name, same, other } of OTHER_SERVERS) {
      for (const member of same) assert.ok(member in server, `${name}: ${String(member)}`);
      for (const member of other) {
        if (/^[a-zA-Z]+$/.test(member)) assert.ok(!(member in server), `${name}: ${member}`);
      }
    }
    assert.ok(Symbol.asyncDispose in server);
    assert.ok(!(Symbol.dispose in server), "close() would leave connections open");
    await server.stop(0);
  },
};

const url: Case = {
  name: "url has the port, localhost for all addresses, and is null when nothing is listened on",
  async run() {
    const expected: readonly (readonly [options: object, host: string | null])[] = [
      [{ hostname: "127.0.0.1", port: 0 }, "127.0.0.1"],
      [{ hostname: "127.0.0.2", port: 0 }, "127.0.0.2"],
      [{ port: 0 }, "localhost"],
      [{ host: "0.0.0.0", port: 0 }, "localhost"],
      [{ path: "\0polloi-migration" }, null],
    ];
    for (const [options, host] of expected) {
      const server = plainServe({ ...options, fetch: hello });
      const { url: at, port } = server;
      assert.equal(at?.href ?? null, host === null ? null : `http://${host}:${port}/`);
      if (at !== null) assert.equal(await (await fetch(at)).text(), "hello");
      await server.stop(0);
      assert.equal(server.url, null);
    }
  },
};

const direct: Case = {
  name: "fetch of a server calls the handler, with error and without a connection",
  async run() {
    const errors: unknown[] = [];
    const server = serve({
      host: "127.0.0.1",
      port: 0,
      async fetch(request, info) {
        const { pathname } = new URL(request.url);
        if (pathname === "/fails") throw new Error("failed");
        if (pathname === "/breaks") throw new Error("broken");
        if (pathname === "/nothing") return undefined as unknown as Response;
        if (pathname === "/upgrade") info.upgrade({});
        return Response.json([request.method, request.url, info.remoteAddress, info.fileno()]);
      },
      error(error) {
        errors.push(error);
        return String(error).includes("failed")
          ? new Response("again", { status: 503 })
          : undefined;
      },
    });
    const { url: at } = server;
    const json = async (response: Promise<Response>) => (await response).json() as Promise<unknown>;
    assert.deepEqual(await json(server.fetch("/a?b")), ["GET", `${at}a?b`, null, -1]);
    const other = new URL("http://localhost:1/x");
    assert.deepEqual(await json(server.fetch(other)), ["GET", other.href, null, -1]);
    const post = new Request("http://localhost/x", { method: "POST" });
    assert.deepEqual(await json(server.fetch(post)), ["POST", "http://localhost/x", null, -1]);
    assert.equal((await server.fetch("/fails")).status, 503);
    for (const path of ["/breaks", "/nothing", "/upgrade"]) {
      assert.equal((await server.fetch(path)).status, 500, path);
    }
    assert.equal(errors.length, 4);
    assert.equal(server.counts.requests, 0);
    await server.stop(0);
    assert.deepEqual(await json(server.fetch("/a")), ["GET", "http://localhost/a", null, -1]);
    const replying = serve({ host: "127.0.0.1", port: 0, handler: nothing });
    await assert.rejects(replying.fetch("/"), { name: "TypeError", code: "ERR_UNSUPPORTED" });
    await replying.stop(0);
  },
};

const ending: Case = {
  name: "stop(true) and close(callback) are rejected with what to call instead",
  async run() {
    const server = serve({ host: "127.0.0.1", port: 0, fetch: hello });
    const { stop, close } = server as unknown as Record<
      "stop" | "close",
      (given: unknown) => unknown
    >;
    await assert.rejects(async () => stop.call(server, true), {
      code: "ERR_INVALID_TIMEOUT",
      message: /graceMs/,
    });
    assert.throws(() => close.call(server, nothing), {
      message: /^Cannot call back from close\(\): await stop\(\)/,
    });
    assert.notEqual(server.port, -1, "the server was closed");
    await server.stop(0);
  },
};

/** An unreferenced server ends `run()`, because nothing else keeps the reactor going. */
function unrefCase(engine: "io_uring" | "epoll"): Case {
  return {
    name: `an unreferenced listener does not keep a reactor running, and serves while it runs (${engine})`,
    skip: engine === "io_uring" ? whyNoUring(kernel) : undefined,
    run() {
      using reactor = new Reactor({ engine });
      const server = serve({
        reactor,
        host: "127.0.0.1",
        port: 0,
        handler: (_, it) => it.send("hi"),
      });
      server.unref();
      server.unref();
      reactor.run();
      assert.equal(reactor.alive, false);
      let received = "";
      reactor.connect({
        host: "127.0.0.1",
        port: server.port,
        open: (it) => it.write(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")),
        data: (_, bytes) => {
          received += new TextDecoder().decode(bytes);
        },
      });
      reactor.run();
      assert.match(received, /hi$/);
      server.ref();
      server.ref();
      assert.equal(reactor.alive, true);
      reactor.setTimer(1, () => reactor.stop());
      reactor.run();
      assert.equal(reactor.alive, true);
      server.unref();
      server.close();
      server.ref();
      reactor.run();
      assert.equal(reactor.alive, false);
    },
  };
}

/** Programs that were written for another server. */
export function migrationSuite(): Suite {
  return {
    title: "polloi/http in place of another server",
    cases: [
      ...OTHER_SERVERS.flatMap(({ name, options }) =>
        options.map((option) => optionCase(name, option)),
      ),
      fileOptions,
      tlsOptions,
      calls,
      members,
      url,
      direct,
      ending,
      unrefCase("epoll"),
      unrefCase("io_uring"),
    ],
  };
}

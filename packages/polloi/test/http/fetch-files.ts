/** Files in the responses of fetch handlers: sent by sendfile(2), and readable as any other response. */
import assert from "node:assert/strict";
import { readdirSync, renameSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Hono } from "hono";
import { compress } from "hono/compress";
import { etag } from "hono/etag";
import { kernelWith } from "../../../../test/support/descriptors.ts";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import {
  type FilesHandler,
  type FilesOptions,
  files,
  type HttpServer,
  serve,
  serveFile,
} from "../../src/http/index.ts";
import { Reactor } from "../../src/reactor/reactor.ts";
import { kernel } from "../../src/sys/open.ts";
import { Client } from "./client.ts";
import { type Answer, ask, CHANGED, DATA, HELLO, SECRET, TestSite } from "./files/site.ts";

/** The arguments of a case. */
interface At {
  readonly site: TestSite;
  readonly files: FilesHandler;
  readonly server: HttpServer;
  readonly errors: unknown[];
  /** The number of files that were sent by sendfile(2). */
  readonly sent: () => number;
  get(path: string, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  head(path: string, headers?: Readonly<Record<string, string>>): Promise<Answer>;
}

/** A case that blocks the thread fails after this many milliseconds. */
const RUN_MS = 25_000;

type Fetch = (
  request: Request,
  files: FilesHandler,
  site: TestSite,
) => Response | Promise<Response>;

/** The ways to serve: with faster classes, and with those of the runtime. */
type MakeCase = (overrideGlobals: boolean) => Case;

/** A case with its own site and server, whose fetch handler is `fetch`. */
function fileCase(
  name: string,
  fetch: Fetch,
  run: (at: At) => Promise<void>,
  options: Partial<FilesOptions> = {},
): MakeCase {
  return (overrideGlobals) => ({
    name: overrideGlobals ? name : `${name}, with the runtime's classes`,
    async run() {
      using site = new TestSite();
      // More than a socket takes, and without data on the disk.
      writeFileSync(join(site.root, "large.bin"), "");
      truncateSync(join(site.root, "large.bin"), 50_000_000);
      using handler = files({ dir: site.root, ...options });
      let sent = 0;
      const counting = kernelWith({
        sendfile: (...args) => {
          sent++;
          return kernel.libc.sendfile(...args);
        },
      });
      using reactor = new Reactor({ kernel: counting });
      const errors: unknown[] = [];
      const server = serve({
        reactor,
        host: "127.0.0.1",
        port: 0,
        overrideGlobals,
        error: (error) => void errors.push(error),
        fetch: (request) => fetch(request, handler, site),
      });
      const get = (path: string, headers = {}) => ask(server.port, path, { headers });
      const head = (path: string, headers = {}) =>
        ask(server.port, path, { headers, method: "HEAD" });
      try {
        await run({ site, files: handler, server, errors, sent: () => sent, get, head });
      } finally {
        await server.stop(0);
      }
    },
  });
}

const plain: Fetch = (request, site) => site(request);

/** Requests, and the fields of their answers by name. They are the same from a handler with a reply. */
const REQUESTS: readonly (readonly [path: string, headers: Record<string, string>])[] = [
  ["/", {}],
  ["/hello.txt", {}],
  ["/hello.txt?query", {}],
  ["/data.bin", {}],
  ["/empty", {}],
  ["/gr%C3%BCn.txt", {}],
  ["/dir", {}],
  ["/dir?a=b", {}],
  ["/dir/", {}],
  ["/dir/sub/", {}],
  ["/nothing", {}],
  ["/a/../hello.txt", {}],
  ["/%zz", {}],
  ["/app.js", { "Accept-Encoding": "br, gzip" }],
  ["/app.js", { "Accept-Encoding": "gzip" }],
  ["/app.js", { "Accept-Encoding": "gzip", Range: "bytes=0-2" }],
  ["/app.js", { "Accept-Encoding": "identity;q=0, zstd" }],
  ["/hello.txt", { Range: "bytes=0-4" }],
  ["/hello.txt", { Range: "bytes=-1" }],
  ["/hello.txt", { Range: "bytes=0-1,3-4" }],
  ["/hello.txt", { Range: "bytes=99-" }],
  ["/data.bin", { Range: "bytes=100000-299999" }],
  ["/hello.txt", { "If-None-Match": "*" }],
  ["/hello.txt", { "If-None-Match": '"other"' }],
  ["/hello.txt", { "If-Match": '"other"' }],
  ["/hello.txt", { "If-Modified-Since": CHANGED.toUTCString() }],
  ["/hello.txt", { "If-Unmodified-Since": "Mon, 03 Feb 2020 04:05:05 GMT" }],
  ["/hello.txt", { Range: "bytes=0-4", "If-Range": '"other"' }],
];

/** An answer without what differs between two answers to the same request. */
function comparable({ status, headers, body }: Answer): unknown {
  const boundary = /boundary=(\w+)/.exec(headers.get("content-type") ?? "")?.[1] ?? "no boundary";
  const fields = [...headers]
    .filter(([name]) => name !== "date" && name !== "connection")
    .map(([name, value]) => `${name}: ${value.replace(boundary, "BOUNDARY")}`)
    .map((field) => field.replace("text/plain;charset=UTF-8", "text/plain; charset=utf-8"))
    .toSorted();
  return { status, fields, body: body.toString("latin1").replaceAll(boundary, "BOUNDARY") };
}

const sameAsHandler = fileCase("answers are those of a handler", plain, async (at) => {
  const server = serve({ host: "127.0.0.1", port: 0, handler: at.files });
  try {
    for (const method of ["GET", "HEAD", "POST", "OPTIONS"]) {
      for (const [path, headers] of REQUESTS) {
        // The URL of a request is normalized, and the handler receives the path as it was sent.
        if (path.includes("..")) continue;
        const asked = { method, headers };
        assert.deepEqual(
          comparable(await ask(at.server.port, path, asked)),
          comparable(await ask(server.port, path, asked)),
          `${method} ${path} ${JSON.stringify(headers)}`,
        );
      }
    }
    assert.deepEqual(at.errors, []);
  } finally {
    await server.stop(0);
  }
});

const bySendfile = fileCase("a file is sent by sendfile(2)", plain, async ({ get, head, sent }) => {
  const whole = await get("/data.bin");
  assert.ok(whole.body.equals(DATA));
  const calls = sent();
  assert.ok(calls > 0, "sendfile was not called");
  const part = await get("/data.bin", { Range: "bytes=7-99999" });
  assert.ok(part.body.equals(DATA.subarray(7, 100_000)));
  assert.ok(sent() > calls, "sendfile was not called for a range");
  const before = sent();
  const { headers, body } = await head("/data.bin");
  assert.deepEqual([headers.get("content-length"), body.length], [String(DATA.length), 0]);
  assert.equal(sent(), before);
});

const changed = fileCase(
  "headers of a response can be read and changed",
  (request, site) => {
    const response = site(request);
    assert.equal(response.headers.get("content-length"), String(DATA.length));
    assert.match(response.headers.get("etag") ?? "", /^"/);
    assert.equal(response.status, 200);
    assert.equal(response.bodyUsed, false);
    response.headers.set("Content-Type", "text/x-mine");
    response.headers.set("X-Added", "yes");
    response.headers.delete("ETag");
    // The length of the file is sent whatever the program sets.
    response.headers.set("Content-Length", "5");
    return response;
  },
  async ({ get, sent }) => {
    const { headers, body } = await get("/data.bin");
    assert.ok(body.equals(DATA));
    assert.ok(sent() > 0);
    assert.equal(headers.get("content-type"), "text/x-mine");
    assert.equal(headers.get("x-added"), "yes");
    assert.equal(headers.has("etag"), false);
    assert.equal(headers.get("content-length"), String(DATA.length));
  },
);

const wrapped = fileCase(
  "a response that is made of the body of another is sent by sendfile(2)",
  async (request, site) => {
    const inner = site(request);
    const once = new Response(inner.body, { status: 203, headers: inner.headers });
    await Promise.resolve();
    const twice = new Response(once.body, once);
    twice.headers.set("X-Wrapped", "twice");
    return twice;
  },
  async ({ get, sent }) => {
    const { status, headers, body } = await get("/data.bin");
    assert.deepEqual([status, headers.get("x-wrapped")], [203, "twice"]);
    assert.ok(body.equals(DATA));
    assert.equal(headers.get("content-length"), String(DATA.length));
    assert.ok(sent() > 0, "sendfile was not called");
    const part = await get("/data.bin", { Range: "bytes=0-9" });
    assert.equal(part.body.length, 10);
  },
);

const read = fileCase(
  "the body of a response can be read: whole, as a stream, and as a clone",
  async (request, site) => {
    const whole = new Uint8Array(await site(request).arrayBuffer());
    assert.ok(DATA.equals(whole));
    const response = site(request);
    const copy = response.clone();
    assert.ok(DATA.equals(new Uint8Array(await copy.arrayBuffer())));
    const pieces: Uint8Array[] = [];
    const body = response.body as ReadableStream<Uint8Array> & AsyncIterable<Uint8Array>;
    for await (const piece of body) pieces.push(piece);
    assert.ok(DATA.equals(Buffer.concat(pieces)));
    assert.equal(response.bodyUsed, true);
    await assert.rejects(response.text(), TypeError);
    const text = await site(new Request(new URL("/hello.txt", request.url))).text();
    const blob = await site(new Request(new URL("/hello.txt", request.url))).blob();
    const ranges = new Request(new URL("/hello.txt", request.url), {
      headers: { Range: "bytes=0-1,3-4" },
    });
    const parts = await site(ranges).text();
    return Response.json({ text, size: blob.size, parts });
  },
  async ({ get }) => {
    const { text, size, parts } = JSON.parse((await get("/data.bin")).body.toString()) as {
      text: string;
      size: number;
      parts: string;
    };
    assert.deepEqual([text, size], [HELLO, HELLO.length]);
    assert.match(parts, /\r\n\r\nhe\r\n[\s\S]*\r\n\r\nlo\r\n/);
  },
);

const transformed = fileCase(
  "a stream of a file is sent with what is made of it",
  (request, site) => {
    const { body } = site(request);
    const capitals = new TransformStream<Uint8Array, Uint8Array>({
      transform: (bytes, controller) => controller.enqueue(bytes.map((byte) => byte & ~0x20)),
    });
    return new Response((body as ReadableStream<Uint8Array>).pipeThrough(capitals));
  },
  async ({ get, sent }) => {
    const { body } = await get("/hello.txt");
    assert.match(body.toString("latin1"), /HELLO/);
    assert.equal(sent(), 0);
  },
);

const usedUp = fileCase(
  "a response whose body was read cannot be sent",
  async (request, site) => {
    const response = site(request);
    await response.text();
    return response;
  },
  async ({ get, errors }) => {
    assert.equal((await get("/hello.txt")).status, 500);
    assert.match(String(errors[0]), /its body has been used/);
  },
);

const dropped = fileCase(
  "responses that are never sent keep a bounded number of descriptors",
  (request, site) => {
    const all = Array.from({ length: 300 }, () => site(request));
    // The first one was closed meanwhile, and is opened again.
    return all[0] as Response;
  },
  async ({ get, sent }) => {
    const before = readdirSync("/proc/self/fd").length;
    for (let i = 0; i < 5; i++) assert.ok((await get("/data.bin")).body.equals(DATA));
    assert.ok(sent() > 0);
    const after = readdirSync("/proc/self/fd").length;
    assert.ok(after <= before + 70, `${after - before} descriptors stayed open`);
  },
);

const sentDescriptors = fileCase(
  "no descriptor stays open when responses were sent, read or cancelled",
  async (request, site) => {
    const { pathname } = new URL(request.url);
    const file = new Request(new URL("/data.bin", request.url), request);
    if (pathname === "/cancelled") {
      await site(file).body?.cancel();
      const reader = (site(file).body as ReadableStream).getReader();
      await reader.read();
      await reader.cancel();
      return new Response("cancelled");
    }
    if (pathname === "/read")
      return new Response(String((await site(file).arrayBuffer()).byteLength));
    return site(file);
  },
  async ({ get, head, server }) => {
    await get("/sent");
    const before = readdirSync("/proc/self/fd").length;
    for (let i = 0; i < 3; i++) {
      for (const path of ["/sent", "/read", "/cancelled"]) await get(path);
      await head("/sent");
      await get("/sent", { Range: "bytes=0-1,3-4" });
      await get("/sent", { Range: "bytes=999999-" });
    }
    while (server.connections > 0) await new Promise((resolve) => setTimeout(resolve, 1));
    const after = readdirSync("/proc/self/fd").length;
    assert.ok(after <= before, `${after - before} descriptors stayed open`);
  },
);

const left = fileCase(
  "no descriptor stays open when the client leaves before the response, or in the middle of it",
  async (request, site) => {
    const response = site(request);
    if (new URL(request.url).search === "?late") {
      await new Promise((resolve) => request.signal.addEventListener("abort", resolve));
    }
    return response;
  },
  async ({ server, errors, get }) => {
    await get("/data.bin");
    const before = readdirSync("/proc/self/fd").length;
    for (const path of ["/data.bin?late", "/large.bin"]) {
      for (const headers of ["", "Range: bytes=0-9,100000-\r\n"]) {
        const client = new Client(server.port);
        client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n${headers}\r\n`);
        if (path === "/large.bin") await client.until(({ text }) => text.length > 0);
        else
          while (server.connections === 0) await new Promise((resolve) => setTimeout(resolve, 1));
        client.socket.resetAndDestroy();
        while (server.connections > 0) await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
    assert.deepEqual(errors, []);
    const after = readdirSync("/proc/self/fd").length;
    assert.ok(after <= before, `${after - before} descriptors stayed open`);
  },
);

const copied = fileCase(
  "a clone is sent as the file was when the response was made",
  (request, handler, site) => {
    const response = handler(request);
    const path = join(site.root, "hello.txt");
    writeFileSync(`${path}.new`, "another file, which is longer");
    renameSync(`${path}.new`, path);
    return response.clone();
  },
  async ({ get }) => {
    const { headers, body } = await get("/hello.txt");
    assert.equal(body.toString(), HELLO);
    assert.equal(headers.get("content-length"), String(HELLO.length));
  },
);

const replaced = fileCase(
  "a file that is replaced between the response and its sending is sent as it was",
  async (request, handler, site) => {
    const response = handler(request);
    const path = join(site.root, "hello.txt");
    writeFileSync(`${path}.new`, "another file, which is longer");
    renameSync(`${path}.new`, path);
    await Promise.resolve();
    return response;
  },
  async ({ get }) => {
    assert.equal((await get("/hello.txt")).body.toString(), HELLO);
    assert.equal((await get("/hello.txt")).body.toString(), "another file, which is longer");
  },
);

const stale = fileCase(
  "a file that had to be opened again, and has changed, is an error",
  (request, handler, site) => {
    const response = handler(request);
    for (let i = 0; i < 100; i++) handler(request);
    writeFileSync(join(site.root, "hello.txt"), "another file, which is longer");
    return response;
  },
  async ({ get, errors }) => {
    assert.equal((await get("/hello.txt")).status, 500);
    assert.equal((errors[0] as { code?: string }).code, "ESTALE");
  },
);

const shrinking = fileCase(
  "the connection is reset if the file is truncated before it is sent",
  (request, handler, site) => {
    const response = handler(request);
    truncateSync(join(site.root, "data.bin"), 10);
    return response;
  },
  async ({ server, errors, get }) => {
    const client = new Client(server.port).send("GET /data.bin HTTP/1.1\r\nHost: a\r\n\r\n");
    const text = await client.end();
    assert.ok(text.length < DATA.length, "it received more bytes than the file had");
    assert.equal((errors[0] as { code?: string }).code, "ENODATA");
    assert.equal((await get("/hello.txt")).status, 200);
  },
);

const shrinkingStream = fileCase(
  "a stream of a file that is truncated fails",
  async (request, handler, site) => {
    const response = handler(request);
    const stream = response.body as ReadableStream<Uint8Array>;
    truncateSync(join(site.root, "data.bin"), 10);
    const reader = stream.getReader();
    let length = 0;
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return new Response("complete");
        length += value.length;
      }
    } catch (error) {
      return Response.json({ length, code: (error as { code?: string }).code });
    }
  },
  async ({ get }) => {
    const { body } = await get("/data.bin");
    assert.deepEqual(JSON.parse(body.toString()), { length: 10, code: "ENODATA" });
  },
);

/** Paths that must not lead out of the directory. */
const ESCAPES: readonly string[] = [
  "/../outside/secret.txt",
  "/..%2foutside/secret.txt",
  "/%2e%2e/outside/secret.txt",
  "/%2e%2e%2foutside%2fsecret.txt",
  "/static/../../outside/secret.txt",
  "/link-out",
  "/link-out-relative",
  "/link-dir-out/secret.txt",
  "/link-dir-too/secret.txt",
  "/link-root/etc/passwd",
  "/.secret",
  "/.git/config",
  "//etc/passwd",
  "/static//etc/passwd",
  "/hello.txt%00.html",
];

const confined = fileCase(
  "nothing outside the directory is served",
  (request, site) => {
    const { origin } = new URL(request.url);
    // The path as it was sent: `request.url` is normalized.
    const asked = request.headers.get("x-path") ?? "/";
    return site({ method: "GET", url: origin + asked, headers: new Headers() } as Request);
  },
  async ({ get }) => {
    for (const path of ESCAPES) {
      for (const answer of [await get(path), await get("/", { "X-Path": path })]) {
        assert.ok(!answer.body.includes(SECRET), path);
        assert.ok(!answer.body.includes("root:"), path);
      }
      const { status } = await get("/", { "X-Path": path });
      assert.ok(status === 404 || status === 400, `${path}: ${status}`);
    }
  },
);

const prefixed = fileCase(
  "with a prefix, only paths below it lead to files",
  plain,
  async ({ get }) => {
    assert.equal((await get("/static/hello.txt")).body.toString(), HELLO);
    assert.equal((await get("/static/")).body.toString(), "<h1>home</h1>");
    assert.equal((await get("/static")).headers.get("location"), "/static/");
    assert.equal((await get("/static?a=b")).headers.get("location"), "/static/?a=b");
    assert.equal((await get("/static/dir?a=b")).headers.get("location"), "/static/dir/?a=b");
    for (const path of ["/", "/hello.txt", "/staticx/hello.txt", "/static/static/hello.txt"]) {
      assert.equal((await get(path)).status, 404, path);
    }
  },
  { prefix: "/static" },
);

const single = fileCase(
  "serveFile answers with one file: conditions, ranges, codings, HEAD",
  (request, _, { root }) => {
    const { pathname } = new URL(request.url);
    const path = join(root, pathname);
    return serveFile(request, pathname === "/url" ? pathToFileURL(join(root, "hello.txt")) : path, {
      maxAgeMs: 60_000,
    });
  },
  async ({ get, head, sent, server }) => {
    const whole = await get("/data.bin");
    assert.ok(whole.body.equals(DATA));
    assert.ok(sent() > 0);
    assert.equal(whole.headers.get("cache-control"), "max-age=60");
    const tag = whole.headers.get("etag") ?? "";
    assert.equal((await get("/data.bin", { "If-None-Match": tag })).status, 304);
    const part = await get("/data.bin", { Range: "bytes=0-9", "If-Range": tag });
    assert.deepEqual([part.status, part.body.length], [206, 10]);
    assert.equal((await get("/url")).body.toString(), HELLO);
    assert.equal((await get("/app.js", { "Accept-Encoding": "br" })).body.toString(), "brotli");
    assert.equal((await head("/hello.txt")).headers.get("content-length"), String(HELLO.length));
    assert.equal((await get("/nothing")).status, 404);
    assert.equal((await get("/dir")).status, 404);
    const post = await ask(server.port, "/hello.txt", { method: "POST" });
    assert.deepEqual([post.status, post.headers.get("allow")], [405, "GET, HEAD, OPTIONS"]);
    assert.equal((await get(`/${"long".repeat(1500)}`)).status, 404);
  },
);

/** A Hono app with files as middleware, whatever else it does to them. */
function honoCase(
  name: string,
  add: (app: Hono, files: FilesHandler) => void,
  run: (at: At) => Promise<void>,
): MakeCase {
  return fileCase(
    `Hono: ${name}`,
    (request, site) => {
      const app = new Hono();
      add(app, site);
      app.use("/static/*", site);
      app.post("/static/upload", (context) => context.text("uploaded"));
      app.get("/static/generated", (context) => context.text("generated"));
      return app.fetch(request);
    },
    run,
    { prefix: "/static/" },
  );
}

const hono = honoCase(
  "files are middleware, which calls the next handler for other paths and methods",
  (app) => {
    app.use(async (context, next) => {
      await next();
      context.header("X-After", "yes");
    });
  },
  async ({ get, head, sent, server }) => {
    const { headers, body } = await get("/static/data.bin");
    assert.ok(body.equals(DATA));
    assert.ok(sent() > 0, "sendfile was not called");
    assert.equal(headers.get("x-after"), "yes");
    assert.equal((await get("/static/generated")).body.toString(), "generated");
    assert.equal((await get("/static/nothing")).status, 404);
    assert.equal((await get("/static/%zz")).status, 404);
    const part = await get("/static/data.bin", { Range: "bytes=5-9" });
    assert.deepEqual([part.status, part.body.length], [206, 5]);
    const withHead = await head("/static/data.bin");
    assert.equal(withHead.headers.get("content-length"), String(DATA.length));
    const upload = await ask(server.port, "/static/upload", { method: "POST" });
    assert.equal(upload.body.toString(), "uploaded");
  },
);

const honoStatus = honoCase(
  "a status and headers that a handler sets are those of the answer",
  (app, site) => {
    app.get("/missing", async (context) => {
      const page = site(new Request(new URL("/static/index.html", context.req.url)));
      context.header("X-Page", "missing");
      return context.body(page.body as ReadableStream, 404, { "Content-Type": "text/html" });
    });
  },
  async ({ get, sent }) => {
    const { status, headers, body } = await get("/missing");
    assert.deepEqual([status, headers.get("x-page")], [404, "missing"]);
    assert.equal(body.toString(), "<h1>home</h1>");
    assert.ok(sent() > 0);
  },
);

const honoCompressed = honoCase(
  "middleware that reads the body, as compress and etag do, works",
  (app) => {
    app.use(compress({ threshold: 1 }));
    app.use("/static/app.js", etag());
  },
  async ({ get }) => {
    const { headers, body } = await get("/static/index.html", { "Accept-Encoding": "gzip" });
    assert.equal(headers.get("content-encoding"), "gzip");
    assert.notEqual(body.length, 0);
    assert.equal((await get("/static/app.js")).status, 200);
  },
);

/** Bun's own files. */
interface BunFiles {
  file(path: string): Blob;
}

const bunFile = fileCase(
  "a file of Bun is sent with its type and length",
  (_, __, { root }) => {
    const { Bun } = globalThis as unknown as { Bun: BunFiles };
    return new Response(Bun.file(join(root, "index.html")));
  },
  async ({ get, head }) => {
    for (const { headers, body } of [await get("/"), await head("/")]) {
      assert.match(headers.get("content-type") ?? "", /^text\/html/);
      assert.equal(headers.get("content-length"), "13");
      assert.ok(body.length === 0 || body.toString() === "<h1>home</h1>");
    }
  },
);
const onBun =
  (make: MakeCase): MakeCase =>
  (overrideGlobals) => {
    const skip = kernel.runtime === "bun" ? undefined : "only Bun has files of its own";
    return { ...make(overrideGlobals), skip };
  };

/** Without a server, as in a test of an application, and for another server. */
const withoutServer: Case = {
  name: "without a server a response is of the runtime's class, and is read",
  async run() {
    using site = new TestSite();
    using handler = files({ dir: site.root });
    const response = handler(new Request("http://localhost/hello.txt"));
    assert.ok(response instanceof Response);
    assert.equal(response.headers.get("content-type"), "text/plain; charset=utf-8");
    assert.equal(await response.text(), HELLO);
    const head = handler(new Request("http://localhost/hello.txt", { method: "HEAD" }));
    assert.deepEqual([head.body, head.headers.get("content-length")], [null, "13"]);
    assert.equal(serveFile(new Request("http://localhost/"), join(site.root, "none")).status, 404);
  },
};

const run: Case = {
  name: "under run() files are sent as well, with light classes and those of the runtime",
  async run() {
    using site = new TestSite();
    for (const overrideGlobals of [true, false]) {
      using handler = files({ dir: site.root });
      using reactor = new Reactor();
      const server = serve({
        reactor,
        host: "127.0.0.1",
        port: 0,
        overrideGlobals,
        fetch: handler,
      });
      const received: Uint8Array[] = [];
      reactor.connect({
        host: "127.0.0.1",
        port: server.port,
        open: (it) => it.write("GET /data.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
        data: (_, bytes) => void received.push(bytes),
        close: () => {
          void server.stop(0);
          reactor.stop();
        },
      });
      // A response that waits for a promise would never be sent.
      reactor.setTimer(RUN_MS, () => reactor.stop());
      reactor.run();
      const all = Buffer.concat(received);
      assert.ok(all.subarray(all.indexOf("\r\n\r\n") + 4).equals(DATA));
      await server.stop(0);
    }
  },
};

const misuse: Case = {
  name: "a wrong prefix, path or option is refused",
  run() {
    using site = new TestSite();
    const dir = site.root;
    for (const prefix of ["static", "", "//a", "/a?b", 5]) {
      assert.throws(() => files({ dir, prefix: prefix as string }), {
        code: "ERR_INVALID_OPTION",
        message: /as prefix: give a path, such as "\/static\/"$/,
      });
    }
    const request = new Request("http://localhost/");
    for (const path of ["", "a\0b", 5, new URL("http://localhost/")]) {
      assert.throws(() => serveFile(request, path as string), {
        code: "ERR_INVALID_OPTION",
        message: /^Cannot serve .*: give the path of a file$/,
      });
    }
    assert.throws(() => serveFile(request, dir, { maxAge: 5 } as object), {
      message: 'Unknown option "maxAge" of serveFile(); did you mean "maxAgeMs"?',
    });
    const handler = files({ dir });
    handler.close();
    assert.throws(() => handler(request), { code: "ERR_CLOSED" });
  },
};

const MAKES: readonly MakeCase[] = [
  sameAsHandler,
  bySendfile,
  changed,
  wrapped,
  read,
  transformed,
  usedUp,
  dropped,
  sentDescriptors,
  left,
  copied,
  replaced,
  stale,
  shrinking,
  shrinkingStream,
  confined,
  prefixed,
  single,
  hono,
  honoStatus,
  honoCompressed,
  onBun(bunFile),
];

/** Files in the responses of fetch handlers, with the light classes and with those of the runtime. */
export function fetchFilesSuite(): Suite {
  const cases = [true, false].flatMap((own) => MAKES.map((make) => make(own)));
  return { title: "polloi/http files in fetch", cases: [...cases, withoutServer, run, misuse] };
}

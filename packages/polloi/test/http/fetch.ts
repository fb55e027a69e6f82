/** The fetch handler, tested with clients and handlers. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import { serve } from "../../src/http/index.ts";
import { kernel } from "../../src/sys/open.ts";
import { bodyOf, GET, LAST } from "./client.ts";
import { readingCases } from "./fetch-bodies.ts";
import { type WebCase, webCase } from "./fetch-case.ts";
import { leavingCases } from "./fetch-leaving.ts";
import { objectsCases } from "./fetch-objects.ts";
import { repliesCases } from "./fetch-replies.ts";

/** The header lines of a response without those that are common to all. */
function linesOf(response: string): string[] {
  const [head = ""] = response.split("\r\n\r\n");
  return head.split("\r\n").filter((line) => !/^(Date|Connection):/.test(line));
}

/** A target and Host, and the URL of the Request. */
const URLS: readonly [line: string, host: string, url: string][] = [
  ["GET /a/b?c=d HTTP/1.1", "example.org", "http://example.org/a/b?c=d"],
  ["GET / HTTP/1.1", "EXAMPLE.org:80", "http://example.org/"],
  ["GET / HTTP/1.1", "example.org:8080", "http://example.org:8080/"],
  ["GET /a/../b/./c HTTP/1.1", "a", "http://a/b/c"],
  ["GET /a/%2e%2E/b HTTP/1.1", "a", "http://a/b"],
  ["GET //b/c HTTP/1.1", "a", "http://a//b/c"],
  ["GET /?a='\"<> HTTP/1.1", "a", "http://a/?a=%27%22%3C%3E"],
  ["GET /.a/b.c HTTP/1.1", "a", "http://a/.a/b.c"],
  ["GET / HTTP/1.1", "[::1]:81", "http://[::1]:81/"],
  ["GET / HTTP/1.1", "127.1", "http://127.0.0.1/"],
  ["GET http://other.org/x?y HTTP/1.1", "a", "http://other.org/x?y"],
  ["GET https://other.org HTTP/1.1", "a", "https://other.org/"],
  ["OPTIONS * HTTP/1.1", "a", "http://a/*"],
];

function requests(web: WebCase): Case[] {
  return [
    web(
      "method, URL and headers are those that were sent",
      (request) =>
        Response.json([
          request.method,
          request.url,
          request.headers.get("X-One"),
          request.headers.get("cookie"),
          request.headers.has("x-none"),
        ]),
      async ({ client }) => {
        const text = await client()
          .send("PATCH /a?b HTTP/1.1\r\nHost: h\r\nx-one: 1\r\nX-ONE:  2 \r\n")
          .send("Cookie: a=1\r\nCookie: b=2\r\nConnection: close\r\n\r\n")
          .end();
        assert.deepEqual(JSON.parse(bodyOf(text)), [
          "PATCH",
          "http://h/a?b",
          "1, 2",
          "a=1; b=2",
          false,
        ]);
      },
    ),
    web(
      "the URL is absolute and normalized",
      (request) => new Response(request.url),
      async ({ client }) => {
        for (const [line, host, url] of URLS) {
          const text = await client()
            .send(`${line}\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
            .end();
          assert.equal(bodyOf(text), url, `${line}, Host: ${host}`);
        }
      },
    ),
    web(
      "invalid hosts, and methods that Request forbids, are refused",
      () => new Response("served"),
      async ({ client, errors }) => {
        const answer = (line: string, host: string): Promise<string> =>
          client().send(`${line} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`).end();
        assert.match(await answer("GET /", "1.2.3.4.5"), /^HTTP\/1.1 400 /);
        assert.match(await answer("TRACE /", "a"), /^HTTP\/1.1 501 /);
        assert.match(await answer("CONNECT a:1", "a:1"), /^HTTP\/1.1 501 /);
        assert.deepEqual(errors, []);
      },
    ),
    web(
      "HTTP/1.0 without Host has the local address in its URL",
      (request) => new Response(request.url),
      async ({ client, url }) => {
        assert.equal(bodyOf(await client().send("GET /x HTTP/1.0\r\n\r\n").end()), `${url}/x`);
      },
    ),
    web(
      "a request can be read after its reply was sent",
      (request) => {
        kept.push(request);
        return new Response("ok");
      },
      async ({ client }) => {
        kept.length = 0;
        await client()
          .send(GET.replace("/ ", "/first "))
          .send(LAST.replace("/ ", "/second "))
          .end();
        assert.deepEqual(
          kept.map(({ url, headers }) => [url, headers.get("host")]),
          [
            ["http://a/first", "a"],
            ["http://a/second", "a"],
          ],
        );
        assert.equal(kept[0]?.signal.aborted, false);
      },
    ),
    web(
      "info has the addresses of the connection",
      (_, info) => Response.json([info.remoteAddress, info.localAddress, info.fileno() > 2]),
      async ({ client, server }) => {
        const one = client();
        const [remote, local, open] = JSON.parse(bodyOf(await one.send(LAST).end()));
        assert.equal(remote.address, "127.0.0.1");
        assert.equal(local.port, server.port);
        assert.equal(open, true);
      },
    ),
    web(
      "a connection can be upgraded to another protocol",
      (request, info) => {
        if (request.headers.get("upgrade") !== "echo") return new Response("no", { status: 426 });
        const socket = info.upgrade({ data: (connection, bytes) => connection.write(bytes) });
        socket.write("HTTP/1.1 101 Switching Protocols\r\n\r\n");
        return new Response("goes nowhere");
      },
      async ({ client, errors }) => {
        const one = client().send(
          "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\none,",
        );
        await one.until(({ text }) => text.endsWith("\r\n\r\none,"));
        await one.send("two").until(({ text }) => text.endsWith("one,two"));
        assert.deepEqual(errors, []);
      },
    ),
  ];
}
const kept: Request[] = [];

/** A response, and its type, length (undefined if chunked) and body as sent. */
const BODIES: readonly [string, () => Response, RegExp | null, number | undefined, string][] = [
  ["nothing", () => new Response(), null, 0, ""],
  ["null", () => new Response(null), null, 0, ""],
  [
    "text",
    () => new Response("a\u00e9\u{1f600}"),
    /^text\/plain;charset=utf-8$/i,
    7,
    "a\u00e9\u{1f600}",
  ],
  ["an empty text", () => new Response(""), /^text\/plain;charset=utf-8$/i, 0, ""],
  ["JSON", () => Response.json({ a: 1 }), /^application\/json/, 7, '{"a":1}'],
  ["bytes", () => new Response(new Uint8Array([97, 98, 99]).subarray(1)), null, 2, "bc"],
  ["a buffer", () => new Response(new Uint8Array([97, 98]).buffer), null, 2, "ab"],
  ["a view", () => new Response(new DataView(new Uint8Array([97, 98]).buffer, 1)), null, 1, "b"],
  ["a Blob", () => new Response(new Blob(["ab"], { type: "a/b" })), /^a\/b$/, 2, "ab"],
  [
    "a form",
    () => new Response(new URLSearchParams({ a: "b c" })),
    /^application\/x-www-form-urlencoded/,
    5,
    "a=b+c",
  ],
  ["a short stream", () => new Response(streamOf("ab")), null, 2, "ab"],
  ["a stream", () => new Response(streamOf("ab", "cd", "ef")), null, undefined, "abcdef"],
  [
    "a stream of known length",
    () => new Response(streamOf("ab", "cd", "ef"), { headers: { "content-length": "6" } }),
    null,
    6,
    "abcdef",
  ],
  [
    "text with a Content-Type",
    () => new Response("ab", { headers: { "Content-Type": "text/html" } }),
    /^text\/html$/,
    2,
    "ab",
  ],
  [
    "text with a wrong Content-Length",
    () => new Response("ab", { headers: { "content-length": "9" } }),
    /^text\/plain/,
    2,
    "ab",
  ],
  ["the body of another response", () => new Response(new Response("abc").body), null, 3, "abc"],
];

function streamOf(...pieces: string[]): ReadableStream {
  const left = [...pieces];
  return new ReadableStream({
    async pull(controller) {
      // Each in its own turn, so that they are not combined.
      if (left.length > 1) await new Promise((resolve) => setImmediate(resolve));
      controller.enqueue(new TextEncoder().encode(left.shift() as string));
      if (left.length === 0) controller.close();
    },
  });
}

function responses(web: WebCase): Case[] {
  return [
    web(
      "text is sent with its type and length",
      () => new Response("hello"),
      async ({ client }) => {
        const text = await client().send(LAST).end();
        const type = "content-type: text/plain;charset=utf-8";
        // Bun sets the type of text only in its own server.
        const isTypeless = kernel.runtime === "bun" && !web.overridesGlobals;
        assert.deepEqual(
          linesOf(text).map((line) => line.toLowerCase()),
          ["http/1.1 200 ok", ...(isTypeless ? [] : [type]), "content-length: 5"],
        );
        assert.equal(bodyOf(text), "hello");
      },
    ),
    ...BODIES.map(([name, make, type, length, body]) =>
      web(
        `a body: ${name}`,
        () => make(),
        async ({ url, client, errors }) => {
          const response = await fetch(url);
          assert.equal(await response.text(), body);
          const sent = response.headers.get("content-type");
          // Bun sets the type of text only in its own server.
          const isTypeless = type === null || (kernel.runtime === "bun" && !web.overridesGlobals);
          if (isTypeless && sent === null) return;
          assert.match(sent ?? "none", type ?? /^no type$/);
          // The runtime decides when a Blob is read.
          const isKnown = web.overridesGlobals || name !== "a Blob";
          const counted = response.headers.get("content-length");
          if (isKnown || counted !== null) assert.equal(counted, length?.toString() ?? null);
          const head = await client().send(LAST.replace("GET", "HEAD")).end();
          assert.match(head, /\r\n\r\n$/);
          assert.deepEqual(errors, []);
        },
      ),
    ),
    web(
      "a form with files has its boundary",
      () => {
        const form = new FormData();
        form.append("a", "1");
        return new Response(form);
      },
      async ({ url }) => {
        const form = await (await fetch(url)).formData();
        assert.equal(form.get("a"), "1");
      },
    ),
    web(
      "all headers are sent, each cookie in its own line, except those that the server sets",
      () => {
        const headers = new Headers({ "X-A": "1", connection: "x", "transfer-encoding": "gzip" });
        headers.append("x-a", "2");
        headers.append("Set-Cookie", "a=1");
        headers.append("Set-Cookie", "b=2; Expires=Wed, 09 Jun 2027 10:18:14 GMT");
        return new Response("x", { headers });
      },
      async ({ client, url }) => {
        const response = await fetch(url);
        assert.equal(response.headers.get("x-a"), "1, 2");
        assert.equal(response.headers.getSetCookie().length, 2);
        const text = await client().send(LAST).end();
        assert.equal(text.match(/^set-cookie: /gim)?.length, 2);
        assert.doesNotMatch(text, /transfer-encoding|connection: x/i);
      },
    ),
    web(
      "204, 205 and 304 have no body, and the framing of their status",
      (request) => new Response(null, { status: Number(new URL(request.url).pathname.slice(1)) }),
      async ({ client }) => {
        const one = client();
        for (const status of [204, 205, 304]) one.send(GET.replace("/ ", `/${status} `));
        const text = await one.send(LAST.replace("/ ", "/404 ")).end();
        const parts = text.split("HTTP/1.1 ").slice(1);
        assert.match(parts[0] as string, /^204 /);
        assert.doesNotMatch(parts[0] as string, /content-length/i);
        assert.match(parts[1] as string, /^205 .*Content-Length: 0\r\n/s);
        assert.doesNotMatch(parts[2] as string, /content-length|content-type/i);
        assert.match(parts[3] as string, /^404 .*Content-Length: 0\r\n/s);
      },
    ),
    web(
      "HEAD has the length that a program sets, and cancels a stream",
      () => {
        const stream = new ReadableStream({ cancel: () => void cancelled.push("cancelled") });
        return new Response(stream, { headers: { "content-length": "1000" } });
      },
      async ({ client }) => {
        cancelled.length = 0;
        const text = await client().send(LAST.replace("GET", "HEAD")).end();
        assert.match(text, /content-length: 1000\r\n.*\r\n\r\n$|content-length: 1000\r\n\r\n$/is);
        assert.deepEqual(cancelled, ["cancelled"]);
      },
    ),
    web(
      "the result of fetch can be the answer",
      async (request) => {
        const { pathname, origin } = new URL(request.url);
        if (pathname === "/origin") {
          return new Response("from there", { status: 203, headers: { "x-origin": "yes" } });
        }
        return fetch(`${origin}/origin`);
      },
      async ({ url }) => {
        const response = await fetch(url);
        assert.equal(response.status, 203);
        assert.equal(response.headers.get("x-origin"), "yes");
        assert.equal(await response.text(), "from there");
      },
    ),
    web(
      "a response that middleware wraps keeps its headers and body",
      () => {
        const inner = new Response("inner", { headers: { a: "b" } });
        const outer = new Response(inner.body, inner);
        outer.headers.set("c", "d");
        return outer;
      },
      async ({ url }) => {
        const response = await fetch(url);
        assert.equal(response.headers.get("a"), "b");
        assert.equal(response.headers.get("c"), "d");
        assert.equal(await response.text(), "inner");
      },
    ),
  ];
}
const cancelled: string[] = [];

/** A handler that fails, and the reported message. */
const FAILURES: readonly [string, () => unknown, RegExp][] = [
  ["throws", () => raise(new Error("broken")), /^broken$/],
  ["is rejected", () => Promise.reject(new Error("later")), /^later$/],
  ["returns nothing", () => undefined, /^Cannot answer with undefined: /],
  ["promises a string", () => Promise.resolve("text"), /^Cannot answer with a string: /],
  ["returns an error response", () => Response.error(), /^Cannot answer with a response of type/],
  ["returns a used response", () => usedResponse(), /its body has been used/],
  ["returns a response that is being read", () => lockedResponse(), /its body has been used/],
  ["returns a stream of numbers", () => new Response(numberStream()), /^Cannot send a number/],
];

function raise(error: Error): never {
  throw error;
}

async function usedResponse(): Promise<Response> {
  const response = new Response("x");
  await response.text();
  return response;
}

function lockedResponse(): Response {
  const response = new Response("x");
  response.body?.getReader();
  return response;
}

function numberStream(): ReadableStream {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(5);
      controller.close();
    },
  });
}

function failures(web: WebCase): Case[] {
  return [
    ...FAILURES.map(([name, fail, message]) =>
      web(
        `a handler that ${name} causes a 500, is reported, and the next request is served`,
        (request) => (request.url.endsWith("/ok") ? new Response("ok") : (fail() as Response)),
        async ({ client, errors }) => {
          const text = await client().send(GET).send(LAST.replace("/ ", "/ok ")).end();
          assert.match(text, /^HTTP\/1.1 500 [\s\S]*ok$/);
          assert.equal(errors.length, 1);
          assert.match((errors[0] as Error).message, message);
        },
      ),
    ),
    web(
      "a response that is returned twice causes a 500 the second time",
      () => once,
      async ({ client }) => {
        once = new Response("once");
        const text = await client().send(GET).send(LAST).end();
        assert.match(text, /^HTTP\/1.1 200 OK[\s\S]*onceHTTP\/1.1 500 /);
      },
    ),
    web(
      "a stream that fails after its beginning cuts the connection off",
      () => {
        let pulls = 0;
        const stream = new ReadableStream({
          async pull(controller) {
            await new Promise((resolve) => setImmediate(resolve));
            if (pulls++ < 2) controller.enqueue(new TextEncoder().encode("piece"));
            else controller.error(new Error("half way"));
          },
        });
        return new Response(stream);
      },
      async ({ client, errors }) => {
        const text = await client().send(LAST).end();
        assert.match(text, /^HTTP\/1.1 200 OK/);
        assert.doesNotMatch(text, /\r\n0\r\n\r\n$/);
        assert.deepEqual(
          errors.map((error) => (error as Error).message),
          ["half way"],
        );
      },
    ),
  ];
}
let once: Response;

/** The replacement of the runtime's classes, and its duration. */
const globalsCase: Case = {
  name: "polloi's classes replace the runtime's while a server with overrideGlobals runs",
  async run() {
    const before = [Response, Request, fetch];
    const own = serve({ host: "127.0.0.1", port: 0, fetch: hello, overrideGlobals: false });
    assert.deepEqual([Response, Request, fetch], before);
    await own.stop();
    const runtimes = new Response("x");
    const one = serve({ host: "127.0.0.1", port: 0, fetch: hello });
    const two = serve({ host: "127.0.0.1", port: 0, fetch: hello });
    const made = new Response("x");
    class Mine extends Response {}
    try {
      assert.notEqual(Response, before[0]);
      assert.equal(Response.name, "Response");
      for (const each of [runtimes, made, new Mine()]) {
        assert.ok(each instanceof Response);
        assert.ok(each instanceof (before[0] as typeof Response));
        assert.equal(Object.prototype.toString.call(each), "[object Response]");
      }
      assert.ok(!(made instanceof Mine) && !(runtimes instanceof Mine));
      assert.throws(() => serve({ port: one.port, host: "127.0.0.1", fetch: hello }));
      await one.stop();
      assert.notEqual(Response, before[0]);
    } finally {
      await one.stop();
      await two.stop();
    }
    assert.deepEqual([Response, Request, fetch], before);
    assert.ok(made instanceof Response);
  },
};

/** A copy that a program makes of a request without naming the class. */
const constructorCase: Case = {
  name: "the constructors of a request and its headers are the global classes",
  async run() {
    const { length } = Request;
    const server = serve({
      host: "127.0.0.1",
      port: 0,
      async fetch(request) {
        assert.equal(request.constructor, Request);
        assert.equal(request.headers.constructor, Headers);
        assert.equal(Request.length, length);
        const headers = new (request.headers.constructor as typeof Headers)(request.headers);
        headers.set("x-name", "copy");
        const Copy = request.constructor as typeof Request;
        const copy = new Copy(request, { headers });
        const { method } = copy;
        return new Response(`${method} ${copy.headers.get("x-name")} ${await copy.text()}`);
      },
    });
    try {
      const init = { method: "POST", body: "body", headers: { "x-name": "first" } };
      const response = await fetch(`http://127.0.0.1:${server.port}/`, init);
      assert.equal(await response.text(), "POST copy body");
    } finally {
      await server.stop(0);
    }
  },
};

const optionsCase: Case = {
  name: "a server has either handler or fetch",
  run() {
    const code = "ERR_INVALID_OPTION";
    const refuses = (options: object, message: string): void => {
      assert.throws(() => serve({ port: 0, ...options }), { name: "TypeError", code, message });
    };
    refuses({}, "Cannot serve without a handler: give handler or fetch");
    refuses({ fetch: hello, handler() {} }, "Cannot serve with handler and fetch: give one");
    const alone = { fetch: hello, listen: false };
    refuses(alone, "Cannot serve with listen: false and port: give one");
    refuses(
      { ...alone, port: undefined, tls: {} },
      "Cannot serve with listen: false and tls: give one",
    );
    refuses(
      { fetch: hello, listen: true },
      "Cannot use true as listen: give false, or leave it out to listen",
    );
    const such = "give a function, such as app.fetch";
    refuses({ fetch: "hello" }, `Cannot use "hello" as fetch: ${such}`);
    refuses({ fetch: { fetch: hello } }, `Cannot use an object as fetch: ${such}`);
    refuses({ handler: {} }, "Cannot use an object as handler: give a function");
  },
};

const unixCase: Case = {
  name: "over a unix socket the host of the URL is the client's Host",
  async run() {
    const folder = mkdtempSync(join(tmpdir(), "polloi-web-"));
    const path = join(folder, "socket");
    const server = serve({ path, fetch: (request) => new Response(request.url) });
    try {
      assert.ok(existsSync(path));
      for (const [head, url] of [
        ["GET /x HTTP/1.0\r\n\r\n", "http://localhost/x"],
        ["GET /x HTTP/1.0\r\nHost: a:1\r\n\r\n", "http://a:1/x"],
      ] as const) {
        const socket = connect(path);
        socket.setEncoding("utf8");
        socket.write(head);
        let text = "";
        for await (const part of socket) text += part;
        assert.equal(bodyOf(text), url);
      }
    } finally {
      await server.stop(0);
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

function hello(): Response {
  return new Response("hello");
}

function casesOf(web: WebCase): Case[] {
  return [
    ...requests(web),
    ...readingCases(web),
    ...responses(web),
    ...failures(web),
    ...leavingCases(web),
    ...repliesCases(web),
  ];
}

export function fetchConformance(): [light: Suite, native: Suite] {
  const own = `with the classes of ${kernel.runtime}`;
  return [
    {
      title: "fetch handler",
      cases: [
        ...casesOf(webCase(true)),
        ...objectsCases(),
        globalsCase,
        constructorCase,
        optionsCase,
        unixCase,
      ],
    },
    { title: `fetch handler, ${own}`, cases: casesOf(webCase(false)) },
  ];
}

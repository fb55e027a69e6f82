/** The result of `write`, keep-alive, and answers to requests with an invalid body. */
import assert from "node:assert/strict";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import type { HttpHandler, HttpOptions, HttpReply } from "../../src/http/index.ts";
import { bodyOf, GET, LAST, served } from "./client.ts";
import { until } from "./fetch-case.ts";

const POST = "POST / HTTP/1.1\r\nHost: a\r\n";
const CHUNKED = `${POST}Transfer-Encoding: chunked\r\n\r\n`;

const HIGH_WATER = 64 * 1024;
/** The framing of a chunk: its size and two line ends. */
const FRAMING = 16;

/** The framing of a body: chunked, by its length, or until the end. */
const WAYS: readonly (readonly [name: string, request: string, length?: number])[] = [
  ["in chunks", GET],
  ["by its length", GET, 1_000_000_000],
  ["until the end", GET.replace("1.1", "1.0")],
];

const PIECES: readonly (string | Uint8Array)[] = [
  "x".repeat(10),
  "\u20ac".repeat(1000),
  "x".repeat(5000),
  Buffer.alloc(10),
  Buffer.alloc(100_000),
];

/** A case in which the handler writes, at once or later, until `write` returns false. The client does not read. */
function fills(way: (typeof WAYS)[number], atOnce: boolean): Case {
  const [name, request, length] = way;
  const violations: string[] = [];
  let drained = 0;
  const handler: HttpHandler = async ({ path }, reply) => {
    const piece = PIECES[Number(path.slice(1))] as string | Uint8Array;
    if (!atOnce) await null;
    if (length !== undefined) reply.header("Content-Length", length);
    reply.begin();
    let before = 0;
    while (reply.write(piece)) before += Buffer.byteLength(piece);
    const over = before + (Buffer.byteLength(piece) + FRAMING) * (1 + before / piece.length);
    if (before > HIGH_WATER || over < HIGH_WATER)
      violations.push(`${piece.length}: after ${before}`);
    assert.equal(reply.write(""), false);
    reply.whenDrained(() => drained++);
  };
  return served(
    `write returns false above the high-water mark: ${name}, ${atOnce ? "at once" : "later"}`,
    { handler, error: (error) => void violations.push(String(error)) },
    async (_, client) => {
      violations.length = 0;
      drained = 0;
      for (const index of PIECES.keys()) client().send(request.replace("/ ", `/${index} `));
      await until(() => drained === PIECES.length);
      assert.deepEqual(violations, []);
    },
  );
}

/** A handler that returns its answer like a fetch handler. */
function returned(name: string, handler: () => unknown): Case {
  const errors: unknown[] = [];
  return served(
    `a handler that returns ${name} instead of replying causes a 500, and is reported`,
    { handler: handler as HttpHandler, error: (error) => void errors.push(error) },
    async (_, client) => {
      errors.length = 0;
      assert.match(await client().send(LAST).end(), /^HTTP\/1\.1 500 /);
      assert.equal(errors.length, 1);
      assert.match(String(errors[0]), /^TypeError: Cannot answer with .* from handler/);
    },
  );
}

/** A second reply to a request, or a change of a reply that has begun. */
function repliedTwice(name: string, change: (reply: HttpReply) => void, message: string): Case {
  const errors: unknown[] = [];
  const handler: HttpHandler = (_, reply) => {
    try {
      change(reply);
    } catch (error) {
      errors.push(error);
    }
    if (!reply.done) reply.end();
  };
  return served(`${name} throws`, { handler }, async (_, client) => {
    errors.length = 0;
    assert.match(await client().send(LAST).end(), /^HTTP\/1\.1 200 /);
    assert.equal(errors.length, 1);
    const { code, message: text } = errors[0] as Error & { code: string };
    assert.deepEqual({ code, text }, { code: "ERR_CLOSED", text: message });
  });
}

const SIZE = 20 * 1024 * 1024;

function* pieces(piece: string | Uint8Array): Generator<string | Uint8Array> {
  for (let sent = 0; sent < SIZE; sent += piece.length) yield piece;
}

/** Writes until `write` returns false, and continues when the reply is drained. */
function writeAll(pieces: Iterator<string | Uint8Array>, reply: HttpReply): void {
  for (;;) {
    const { done, value } = pieces.next();
    if (done) break;
    if (reply.write(value)) continue;
    reply.whenDrained(() => writeAll(pieces, reply));
    return;
  }
  reply.end();
}

const filled: readonly Case[] = [
  ...WAYS.flatMap((way) => [fills(way, true), fills(way, false)]),
  served(
    "a handler that observes backpressure sends a long reply completely",
    {
      handler: (_, reply) => writeAll(pieces(Buffer.alloc(256 * 1024, "b")), reply.begin()),
      error: (error) => assert.fail(String(error)),
    },
    async (server, client) => {
      const one = client();
      let bytes = 0;
      one.socket.removeAllListeners("data");
      one.socket.on("data", (text: string) => {
        bytes += text.length;
      });
      await one.send(LAST).end();
      assert.ok(bytes > SIZE, `${bytes} bytes came`);
      assert.equal(server.counts.requests, 1);
    },
  ),
];

/** Replies that are shorter than their Content-Length, by the call that ends them. */
const SHORT: readonly (readonly [name: string, handler: HttpHandler])[] = [
  ["end()", (_, reply) => reply.header("Content-Length", 5).begin().end("abc")],
  [
    "end() later",
    async (_, reply) => {
      await null;
      reply.header("Content-Length", 5).begin().end("abc");
    },
  ],
  ["end() without a byte", (_, reply) => reply.header("Content-Length", 5).begin().end()],
  [
    "a source",
    (_, reply) =>
      reply.header("Content-Length", 5).stream(
        (async function* () {
          yield "abc";
        })(),
      ),
  ],
];

const short: readonly Case[] = SHORT.map(([name, handler]) => {
  const errors: unknown[] = [];
  return served(
    `a reply that is shorter than its Content-Length is cut off, and reported: ${name}`,
    { handler, error: (error) => void errors.push(error) },
    async (server, client) => {
      errors.length = 0;
      const one = client();
      await one.send(GET).end();
      await until(() => server.connections === 0);
      assert.ok(bodyOf(one.text).length < 5, one.text);
      assert.equal(errors.length, 1);
      const { code: errorCode, message } = errors[0] as Error & { code: string };
      assert.equal(errorCode, "ERR_INVALID_LENGTH");
      assert.match(message, /^Cannot end the body: [25] bytes are left of Content-Length$/);
    },
  );
});

/** Connection fields that a handler sets, the field that is sent, and whether the connection ends. */
const OPTIONS: readonly (readonly [
  fields: string[][],
  connection: string | undefined,
  ends: boolean,
])[] = [
  [[["Connection", "close"]], "close", true],
  [[["connection", "Close"]], "close", true],
  [[["Connection", "close, x"]], "close, x", true],
  [[["Connection", "x , CLOSE"]], "close, x", true],
  [[["Connection", "keep-alive"]], undefined, false],
  [[["Connection", "Keep-Alive, close"]], "close", true],
  [[["Connection", "x, y, X"]], "x, y", false],
  [
    [
      ["Connection", "x"],
      ["Connection", "close"],
    ],
    "close, x",
    true,
  ],
  [[["Connection", ""]], undefined, false],
  [[["Upgrade", "echo"]], "upgrade", false],
  [
    [
      ["Connection", "Upgrade"],
      ["Upgrade", "echo"],
    ],
    "upgrade",
    false,
  ],
];

const connection: readonly Case[] = [
  ...[true, false].flatMap((isStream) =>
    OPTIONS.map(([fields, expected, ends]) =>
      served(
        `${JSON.stringify(fields)} ${ends ? "ends" : "keeps"} the connection: ${isStream ? "a stream" : "at once"}`,
        {
          handler(_, reply) {
            for (const [name = "", value = ""] of fields) reply.header(name, value);
            if (isStream) reply.begin().end("hello");
            else reply.send("hello");
          },
        },
        async (_, client) => {
          const one = client().send(GET);
          await one.until(({ text }) => text.includes("hello"));
          const lines = one.text.split("\r\n").filter((line) => /^connection:/i.test(line));
          assert.deepEqual(lines, expected === undefined ? [] : [`Connection: ${expected}`]);
          if (ends) await one.end();
          else await one.send(GET).until(({ text }) => text.split("hello").length === 3);
        },
      ),
    ),
  ),
  served(
    "to HTTP/1.0 keep-alive is sent beside the options of the handler",
    { handler: (_, reply) => reply.header("Connection", "x").send("hello") },
    async (_, client) => {
      const one = client().send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
      await one.until(({ text }) => text.endsWith("hello"));
      assert.match(one.text, /\r\nConnection: keep-alive, x\r\n/);
    },
  ),
  served(
    "VT, DEL, NUL, CR, LF and framing fields are refused in headers and trailers",
    {
      handler(_, reply) {
        const name = "X-A";
        for (const mark of ["\x0b", "\x7f", "\0", "\r", "\n", "\x0c", "\x1b", "\u0100"]) {
          const value = `a${mark}b`;
          assert.throws(() => reply.header(name, value), { code: "ERR_INVALID_DATA" });
          assert.throws(() => reply.header("Connection", value), { code: "ERR_INVALID_DATA" });
          assert.throws(() => reply.trailer(name, value), { code: "ERR_INVALID_DATA" });
        }
        for (const own of ["Transfer-Encoding", "keep-alive"]) {
          assert.throws(() => reply.header(own, "a"), { code: "ERR_INVALID_DATA" });
        }
        assert.throws(() => reply.header("Connection", "a b"), { code: "ERR_INVALID_DATA" });
        reply.header(name, "a\tb \x80\xff").send("hello");
      },
    },
    async (_, client) =>
      assert.match(await client().send(LAST).end(), /X-A: a\tb \x80\xff\r\n.*hello$/s),
  ),
];

const answers = (text: string): string[] =>
  [...text.matchAll(/HTTP\/1.1 (\d+)/g)].map(([, status]) => status as string);

/** Handlers that answer without reading the body: at once, later, and in pieces. */
const UNREAD: readonly (readonly [name: string, options: HttpOptions])[] = [
  ["at once", { handler: (_, reply) => reply.send("hello") }],
  [
    "later",
    {
      handler: async (_, reply) => {
        await null;
        reply.send("hello");
      },
    },
  ],
  ["a stream", { handler: (_, reply) => reply.begin().end("hello") }],
  ["a failure", { handler: () => assert.fail("broken"), error() {} }],
  ["fetch", { fetch: () => new Response("hello") }],
  [
    "fetch, later",
    {
      fetch: async () => {
        await null;
        return new Response("hello");
      },
    },
  ],
];

const chunk = (size: number): string => `${size.toString(16)}\r\n${"x".repeat(size)}\r\n`;

/** A chunked body in one packet with its head, and the effect on the connection. */
const BODIES: readonly (readonly [
  name: string,
  body: string,
  outcome: "kept" | "refused" | "ended",
])[] = [
  ["an empty one", "0\r\n\r\n", "kept"],
  ["a short one", `${chunk(5)}0\r\n\r\n`, "kept"],
  ["with trailers", `${chunk(5)}0\r\nX-Sum: 1\r\n\r\n`, "kept"],
  ["40 KiB of it", `${chunk(40_000)}0\r\n\r\n`, "kept"],
  ["the size -1", "-1\r\n", "refused"],
  ["the size -1 behind a chunk", `${chunk(5)}-1\r\n\r\n`, "refused"],
  ["a chunk that is longer than its size", "5\r\nhello!\r\n0\r\n\r\n", "refused"],
  ["a bare LF", "5\nhello\r\n", "refused"],
  ["a trailer with a framing field", `${chunk(5)}0\r\nContent-Length: 5\r\n\r\n`, "refused"],
  ["nothing", "", "ended"],
  ["60,000 bytes of it", `${chunk(30_000)}${chunk(30_000)}0\r\n\r\n`, "kept"],
  ["more than 64 KiB of it", chunk(20_000).repeat(6), "ended"],
  ["a chunk of 70 KiB that has begun", "11170\r\nhello", "ended"],
];

const unread: readonly Case[] = UNREAD.map(([way, options]) =>
  served(
    `an unread chunked body is skipped if short and valid, and ends the connection otherwise: ${way}`,
    options,
    async (_, client) => {
      for (const [name, body, outcome] of BODIES) {
        const status = way === "a failure" ? "500" : "200";
        const one = client().send(`${CHUNKED}${body}`);
        if (outcome === "kept") {
          await one.until(({ text }) => answers(text).length === 1);
          one.send(LAST);
        }
        const text = await one.end();
        const expected = { kept: [status, status], refused: ["400"], ended: [status] }[outcome];
        assert.deepEqual(answers(text), expected, `${name}: ${text}`);
        if (outcome === "refused") assert.match(text, /\r\nConnection: close\r\n/);
      }
    },
  ),
);

const behind: readonly Case[] = [
  served(
    "a chunked body that continues after its answer is skipped, and the connection is kept",
    { handler: (_, reply) => reply.send("hello") },
    async (_, client) => {
      const one = client().send(`${CHUNKED}${chunk(5)}`);
      await one.until(({ text }) => text.endsWith("hello"));
      one.send(`${chunk(5)}0\r\n\r\n${LAST}`);
      assert.deepEqual(answers(await one.end()), ["200", "200"]);
      const broken = client().send(`${CHUNKED}${chunk(5)}`);
      await broken.until(({ text }) => text.endsWith("hello"));
      assert.deepEqual(answers(await broken.send(`-1\r\n${GET}`).end()), ["200"]);
    },
  ),
  served(
    "a chunked body that has not begun when the answer is sent ends the connection, with Connection: close",
    { handler: (_, reply) => reply.send("hello") },
    async (_, client) => {
      for (const body of [`${chunk(5)}0\r\n\r\n`, "-1\r\n"]) {
        const one = client().send(CHUNKED);
        await one.until(({ text }) => text.endsWith("hello"));
        assert.match(one.text, /\r\nConnection: close\r\n/);
        assert.deepEqual(answers(await one.send(body + GET).end()), ["200"]);
      }
    },
  ),
  served(
    "a reply may begin before the request's body is read, and no byte of it is lost",
    {
      handler(request, reply) {
        reply.begin();
        request.read({ data: (bytes) => void reply.write(bytes), end: () => reply.end() });
      },
    },
    async (_, client) => {
      const one = client().send(`${CHUNKED}5\r\nhello\r\n0\r\n\r\n${LAST}`);
      assert.match(bodyOf(await one.end()), /^5\r\nhello\r\n0\r\n\r\nHTTP/);
    },
  ),
];

const HOSTS = [
  "[zz]",
  "[:]",
  "[1.2.3.4]",
  "[::1%25lo]",
  "[v1.a]",
  "[]",
  "1.2.3.256",
  "a:65536",
  "a:-1",
  "u@a",
  "a%zz",
];

const hosts: readonly Case[] = (["handler", "fetch"] as const).map((way) =>
  served(
    `an invalid host is refused wherever a request names one: ${way}`,
    way === "handler"
      ? { handler: (_, reply) => reply.send("hello") }
      : { fetch: () => new Response("hello") },
    async (_, client) => {
      for (const host of HOSTS) {
        for (const request of [
          `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
          `GET http://${host}/ HTTP/1.1\r\nHost: a\r\n\r\n`,
          `CONNECT ${host.includes("a:") ? host : `${host}:80`} HTTP/1.1\r\nHost: a\r\n\r\n`,
        ]) {
          assert.match(await client().send(request).end(), /^HTTP\/1.1 400 /, request);
        }
      }
    },
  ),
);

export function httpRepliesSuite(): Suite {
  return {
    title: "HTTP replies",
    cases: [
      ...filled,
      ...short,
      ...connection,
      ...unread,
      ...behind,
      ...hosts,
      repliedTwice(
        "a second send",
        (reply) => {
          reply.send("one");
          reply.send("two");
        },
        "Cannot change the reply: it was already sent",
      ),
      repliedTwice(
        "a status after the head was sent",
        (reply) => reply.begin().status(404),
        "Cannot change the reply: its head was already sent",
      ),
      returned("a string", () => "text"),
      returned("a Response", () => new Response("text")),
      returned("a promise of a Response", async () => new Response("text")),
    ],
  };
}

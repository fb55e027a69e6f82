/** The HTTP server, tested with a client that sends and compares bytes. */
import assert from "node:assert/strict";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import type { HttpOptions } from "../../src/http/index.ts";
import { bodyOf, GET, LAST, served } from "./client.ts";

const hello: HttpOptions = { handler: (_, reply) => reply.send("hello") };
const echo: HttpOptions = {
  handler: async (request, reply) => void reply.send(await request.bytes()),
};

const answering: readonly Case[] = [
  served(
    "an answer has a status line, Date, Content-Type and Content-Length",
    hello,
    async (_, client) => {
      const response = await client().send(LAST).end();
      const lines = response.split("\r\n");
      assert.equal(lines[0], "HTTP/1.1 200 OK");
      assert.match(lines[1] as string, /^Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
      assert.deepEqual(lines.slice(2), [
        "Connection: close",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Length: 5",
        "",
        "hello",
      ]);
    },
  ),
  served(
    "pipelined requests are answered in order, whichever handler finishes first",
    {
      async handler(request, reply) {
        const { path } = request;
        if (path.length % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
        reply.send(`<${path}>`);
      },
    },
    async (_, client) => {
      const paths = Array.from({ length: 30 }, (_, i) => `/${"x".repeat(i % 3)}${i}`);
      const requests = paths.map((path) => GET.replace("/ ", `${path} `));
      const text = await client()
        .send(`${requests.join("")}${LAST}`)
        .end();
      assert.deepEqual(
        [...text.matchAll(/<([^>]+)>/g)].map(([, path]) => path),
        [...paths, "/"],
      );
    },
  ),
  served(
    "an answer to HEAD has the length and no body; 204 and 304 have no body",
    {
      handler: (request, reply) => reply.status(Number(request.path.slice(1)) || 200).send("hello"),
    },
    async (_, client) => {
      const text = await client()
        .send(GET.replace("GET", "HEAD"))
        .send(GET.replace("/ ", "/204 "))
        .send(GET.replace("/ ", "/304 "))
        .send(LAST)
        .end();
      const parts = text.split("HTTP/1.1 ").slice(1);
      assert.match(parts[0] as string, /^200 OK\r\n.*Content-Length: 5\r\n\r\n$/s);
      assert.match(parts[1] as string, /^204 No Content\r\n.*\r\n\r\n$/s);
      assert.doesNotMatch(parts[1] as string, /Content-/);
      assert.match(parts[2] as string, /^304 Not Modified\r\n.*\r\n\r\n$/s);
      assert.match(parts[3] as string, /hello$/);
    },
  ),
  served(
    "an HTTP/1.0 connection is closed after its answer, unless it asks for keep-alive",
    hello,
    async (_, client) => {
      assert.match(await client().send("GET / HTTP/1.0\r\n\r\n").end(), /Connection: close/);
      const kept = client().send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
      assert.match(
        await kept.until(({ text }) => text.endsWith("hello")),
        /Connection: keep-alive/,
      );
      await kept.send("GET / HTTP/1.0\r\n\r\n").end();
      assert.equal(kept.text.split("hello").length, 3);
    },
  ),
  served(
    "a stream is sent in chunks, and to HTTP/1.0 until the connection ends",
    {
      async handler(_, reply) {
        reply.begin().write("one,");
        await Promise.resolve();
        reply.end("two");
      },
    },
    async (_, client) => {
      const chunked = await client().send(LAST).end();
      assert.match(chunked, /Transfer-Encoding: chunked/);
      assert.equal(bodyOf(chunked), "4\r\none,\r\n3\r\ntwo\r\n0\r\n\r\n");
      const old = await client().send("GET / HTTP/1.0\r\n\r\n").end();
      assert.doesNotMatch(old, /Transfer-Encoding/);
      assert.equal(bodyOf(old), "one,two");
    },
  ),
  served(
    "an async iterable is sent as it produces, and is stopped when the client disconnects",
    {
      handler(request, reply) {
        const { path } = request;
        const source = (async function* () {
          try {
            while (path === "/endless") yield "much of the same,".repeat(100);
            for (let i = 0; i < 3; i++) yield `${i},`;
            if (path === "/broken") throw new Error("broken");
          } finally {
            ended.push(path);
          }
        })();
        return reply.stream(source);
      },
      error: (error) => void ended.push((error as Error).message),
    },
    async (server, client) => {
      ended.length = 0;
      assert.match(await client().send("GET / HTTP/1.0\r\n\r\n").end(), /\r\n\r\n0,1,2,$/);
      await client().send(LAST.replace("GET", "HEAD")).end();
      const torn = await client().send(LAST.replace("/ ", "/broken ")).end();
      assert.doesNotMatch(torn, /0\r\n\r\n$/);
      const one = client().send(LAST.replace("/ ", "/endless "));
      await one.until(({ text }) => text.length > 100_000);
      one.socket.destroy();
      while (server.connections > 0) await new Promise((resolve) => setTimeout(resolve, 1));
      while (ended.length < 4) await new Promise((resolve) => setTimeout(resolve, 1));
      assert.deepEqual(ended, ["/", "/broken", "broken", "/endless"]);
    },
  ),
  served(
    "a stream waits for a slow client, and loses nothing",
    {
      async handler(_, reply) {
        const piece = Buffer.alloc(100_000, "0123456789");
        reply.begin();
        for (let i = 0; i < 100; i++) {
          if (!reply.write(piece)) {
            await new Promise<void>((resolve) => reply.whenDrained(resolve));
          }
        }
        reply.end();
      },
    },
    async (_, client) => {
      const slow = client();
      slow.socket.pause();
      slow.send("GET / HTTP/1.0\r\n\r\n");
      await new Promise((resolve) => setTimeout(resolve, 50));
      slow.socket.resume();
      assert.equal(bodyOf(await slow.end()), "0123456789".repeat(1_000_000));
    },
  ),
];

const ended: string[] = [];
let goOn: (() => void) | undefined;

/** A request, the handler, and the expected answer. */
const FRAMINGS: readonly [
  name: string,
  request: string,
  handler: HttpOptions["handler"],
  answer: RegExp,
][] = [
  [
    "a 304 may have the length of the corresponding 200",
    LAST,
    (_, reply) => reply.status(304).header("Content-Length", 5).send(),
    /^HTTP\/1.1 304 Not Modified\r\n.*\r\nContent-Length: 5\r\n\r\n$/s,
  ],
  [
    "a 204 has no length, even if the handler sets one",
    LAST,
    (_, reply) => reply.status(204).header("Content-Length", 5).begin().end("12345"),
    /^HTTP\/1.1 204 No Content\r\n(?!.*Content-Length).*\r\n\r\n$/s,
  ],
  [
    "a 205 has a length of 0, whatever the handler sends",
    LAST,
    (_, reply) => reply.status(205).send("body"),
    /^HTTP\/1.1 205 Reset Content\r\n.*Content-Length: 0\r\n\r\n$/s,
  ],
  [
    "to HTTP/1.0, a stream of unknown length has Connection: close",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    (_, reply) => reply.begin().end("abc"),
    /^HTTP\/1.1 200 OK\r\n(?!.*keep-alive).*Connection: close\r\n\r\nabc$/s,
  ],
  [
    "CONNECT without an upgrade opens no tunnel, and bytes after it are not parsed as a request",
    `CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n${GET}`,
    (_, reply) => reply.send("hello"),
    /^HTTP\/1.1 501 Not Implemented\r\n.*Connection: close\r\n(?!.*HTTP).*$/s,
  ],
  [
    "echoing a body as it arrives keeps the connection",
    `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n${LAST}`,
    (request, reply) => {
      request.read({ data: (bytes) => void reply.write(bytes), end: () => reply.end() });
      reply.begin();
    },
    /^HTTP\/1.1 200 OK\r\n(?!.*close.*abc).*\r\n\r\n3\r\nabc\r\n0\r\n\r\nHTTP.*Connection: close.*0\r\n\r\n$/s,
  ],
];

const connections: readonly Case[] = [
  served(
    "a request has the addresses, the descriptor and the TCP state of its connection",
    {
      handler(request, reply) {
        const { localAddress, remoteAddress, tcpInfo } = request;
        const state = tcpInfo?.state;
        reply.send(JSON.stringify({ localAddress, remoteAddress, state, fd: request.fileno() }));
      },
    },
    async (server, client) => {
      const one = client().send(LAST);
      const { localAddress, remoteAddress, state, fd } = JSON.parse(bodyOf(await one.end()));
      assert.equal(localAddress.port, server.port);
      assert.equal(remoteAddress.address, "127.0.0.1");
      assert.equal(state, "established");
      assert.ok(fd > 2);
    },
  ),
];

const framing: readonly Case[] = FRAMINGS.map(([name, request, handler, answer]) =>
  served(name, { handler }, async (_, client) => {
    assert.match(await client().send(request).end(), answer);
  }),
);

const bodies: readonly Case[] = [
  served(
    "a body is echoed, with a length or in chunks, however it is split",
    echo,
    async (_, client) => {
      for (const cut of [1, 7, 1000]) {
        const one = client();
        const stream =
          "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789" +
          "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" +
          "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-Trailer: t\r\n\r\n";
        for (let at = 0; at < stream.length; at += cut) {
          one.send(stream.slice(at, at + cut));
          if (cut > 1) await new Promise((resolve) => setImmediate(resolve));
        }
        const [, first, second] = (await one.end()).split("HTTP/1.1 200 OK");
        assert.equal(bodyOf(first as string), "0123456789");
        assert.equal(bodyOf(second as string), "abcdefg");
      }
    },
  ),
  served(
    "100 Continue is not sent after the head of the answer",
    {
      handler(request, reply) {
        reply.begin();
        request.read({ data: (bytes) => void reply.write(bytes), end: () => reply.end() });
      },
    },
    async (_, client) => {
      const one = client().send(
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
      );
      await one.until(({ text }) => text.endsWith("\r\n\r\n"));
      const text = await one.send("ok").end();
      assert.doesNotMatch(text, /100 Continue/);
      assert.match(
        text,
        /^HTTP\/1.1 200 OK.*\r\nConnection: close.*\r\n\r\n2\r\nok\r\n0\r\n\r\n$/s,
      );
    },
  ),
  served("100 Continue is sent when the handler reads the body", echo, async (_, client) => {
    const one = client().send(
      "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n",
    );
    await one.until(({ text }) => text === "HTTP/1.1 100 Continue\r\n\r\n");
    assert.match(await one.send("ok").end(), /200 OK.*ok$/s);
  }),
  served("reading an absent body gives its end", echo, async (_, client) => {
    const none = [
      "GET / HTTP/1.1\r\nHost: a\r\n",
      "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n",
    ];
    const one = client().send(none.map((head) => `${head}\r\n`).join(""));
    const text = await one.send(LAST).end();
    assert.equal(text.split("Content-Length: 0\r\n\r\n").length, 4);
  }),
  served("a short body that is not read is skipped", hello, async (_, client) => {
    const one = client();
    one.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345");
    const text = await one.send(LAST).end();
    assert.equal(text.split("hello").length, 3);
  }),
  served(
    "a client that disconnects in the middle of its body is reported to the reader",
    {
      handler(request, reply) {
        request.read({ data() {}, abort: () => left.push("left") });
        reply.begin();
      },
    },
    async (server, client) => {
      left.length = 0;
      const one = client().send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12");
      await one.until(({ text }) => text.includes("200 OK"));
      one.socket.destroy();
      while (server.connections > 0) await new Promise((resolve) => setTimeout(resolve, 1));
      assert.deepEqual(left, ["left"]);
    },
  ),
];
const left: string[] = [];

/** A stream, and the status with which it is refused. */
const REFUSALS: readonly [name: string, stream: string, status: number][] = [
  [
    "both lengths",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    400,
  ],
  ["no Host", "GET / HTTP/1.1\r\n\r\n", 400],
  ["a bare LF", "GET / HTTP/1.1\nHost: a\n\n", 400],
  ["a folded line", "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", 400],
  ["a target too long", `GET /${"x".repeat(9000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 414],
  ["a head too large", `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(17_000)}\r\n\r\n`, 431],
  ["a body too large", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n", 413],
  ["a later version", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505],
];

const refusing: readonly Case[] = [
  ...REFUSALS.map(([name, stream, status]) =>
    served(
      `${name} is answered with ${status} and a close, and the next client is served`,
      hello,
      async (server, client) => {
        const text = await client().send(`${stream}${GET}`).end();
        assert.match(text, new RegExp(`^HTTP/1.1 ${status} `));
        assert.match(text, /Connection: close/);
        assert.doesNotMatch(text, /hello/);
        assert.equal(Object.values(server.counts.refused)[0], 1);
        assert.match(await client().send(LAST).end(), /hello$/);
      },
    ),
  ),
  served(
    "a handler that throws causes a 500, and is reported",
    {
      handler: (request) => {
        if (request.path === "/") throw new Error("broken");
        return Promise.reject(new Error("later"));
      },
      error: (error) => void thrown.push((error as Error).message),
    },
    async (_, client) => {
      thrown.length = 0;
      const text = await client().send(GET.replace("/ ", "/x ")).send(LAST).end();
      assert.equal(text.split("500 Internal Server Error\r\n").length, 3);
      assert.deepEqual(thrown, ["later", "broken"]);
    },
  ),
];
const thrown: string[] = [];

const timing: readonly Case[] = [
  served(
    "a head that arrives too slowly times out: 408",
    { ...hello, headTimeoutMs: 60 },
    async (_, client) => {
      const one = client();
      const drip = setInterval(() => one.send("X: y\r\n"), 10);
      one.send("GET / HTTP/1.1\r\nHost: a\r\n");
      try {
        assert.match(await one.end(), /^HTTP\/1.1 408 /);
      } finally {
        clearInterval(drip);
      }
    },
  ),
  served(
    "a body that arrives too slowly times out: 408",
    { ...echo, bodyTimeoutMs: 60 },
    async (_, client) => {
      const one = client();
      const drip = setInterval(() => one.send("x"), 10);
      one.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
      try {
        assert.match(await one.end(), /^HTTP\/1.1 408 /);
      } finally {
        clearInterval(drip);
      }
    },
  ),
  served(
    "a connection without a request is closed without an answer",
    { ...hello, idleTimeoutMs: 40 },
    async (_, client) => {
      assert.equal(await client().end(), "");
    },
  ),
  served(
    "stop does not wait for an idle connection whose last request was answered late",
    {
      async handler(_, reply) {
        await null;
        reply.send("late");
      },
    },
    async (server, client) => {
      const one = client().send(GET);
      await one.until(({ text }) => text.endsWith("late"));
      // The client ends after the server does.
      one.socket.on("end", () => one.socket.end());
      const stopping = server.stop(60_000);
      await one.end();
      await stopping;
    },
  ),
  served(
    "stop answers a request under way, and closes idle connections",
    {
      async handler(_, reply) {
        await new Promise<void>((resolve) => {
          goOn = resolve;
        });
        reply.send("late");
      },
    },
    async (server, client) => {
      goOn = undefined;
      const idle = client();
      const busy = client().send(GET);
      while (server.connections < 2 || goOn === undefined) {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      const stopped = server.stop(5000);
      (goOn as () => void)();
      await stopped;
      assert.match(await busy.end(), /Connection: close.*late$/s);
      assert.equal(await idle.end(), "");
      assert.equal(server.connections, 0);
    },
  ),
  served(
    "maxRequests limits the requests of a connection",
    { ...hello, maxRequests: 2 },
    async (_, client) => {
      const text = await client().send(GET).send(GET).send(GET).end();
      assert.equal(text.split("hello").length, 3);
      assert.equal(text.split("Connection: close").length, 2);
    },
  ),
];

export function httpServerSuite(): Suite {
  return {
    title: "HTTP server",
    cases: [...answering, ...connections, ...framing, ...bodies, ...refusing, ...timing],
  };
}

/** The server stays correct with handlers that misbehave and clients that exploit it. */
import assert from "node:assert/strict";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import { whyNoUring } from "../../src/engine/try-uring.ts";
import {
  AccessLog,
  type HttpHandler,
  type HttpOptions,
  type HttpReply,
  type HttpRequest,
  serve,
} from "../../src/http/index.ts";
import { Reactor } from "../../src/reactor/reactor.ts";
import { kernel } from "../../src/sys/open.ts";
import { ENGINES } from "../support/engines.ts";
import { bodyOf, GET, LAST, served } from "./client.ts";
import { until } from "./fetch-case.ts";

const POST = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
const CHUNKED = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}

function withHeader(line: string, request = GET): string {
  return request.replace("\r\n\r\n", `\r\n${line}\r\n\r\n`);
}

/** A case that needs its own reactor. */
function onEpoll(trigger: "level" | "edge", make: (reactor: Reactor) => Case): Case {
  const { name } = make(undefined as unknown as Reactor);
  return {
    name,
    async run() {
      using reactor = new Reactor({ engine: "epoll", trigger });
      await make(reactor).run();
    },
  };
}

/** A log that throws, and the reported errors. */
function broken(): { errors: string[]; options: object } {
  const errors: string[] = [];
  return {
    errors,
    options: {
      log: { write: () => assert.fail("no room") },
      error: (error: Error) => void errors.push(error.message),
    },
  };
}

const bounded: readonly Case[] = [
  served(
    "a client that sends no body after it is read late times out",
    {
      bodyTimeoutMs: 50,
      async handler(request, reply) {
        await turn();
        reply.send(await request.bytes());
      },
    },
    async (server, client) => {
      assert.match(await client().send(POST).end(), /^HTTP\/1.1 408 /);
      assert.equal(server.counts.refused.BODY_TIMEOUT, 1);
    },
  ),
  served(
    "a client that sends no more after its paused body is resumed times out",
    {
      bodyTimeoutMs: 50,
      handler(request) {
        request.read({
          data() {
            request.pause();
            setTimeout(() => request.resume(), 10);
          },
        });
      },
    },
    async (_, client) => {
      assert.match(await client().send(`${POST}12`).end(), /^HTTP\/1.1 408 /);
    },
  ),
  served(
    "a client that is answered late and never sends the rest of its body times out",
    {
      bodyTimeoutMs: 50,
      async handler(_, reply) {
        await turn();
        reply.send("early");
      },
    },
    async (server, client) => {
      assert.match(await client().send(POST).end(), /early$/);
      assert.equal(server.counts.refused.BODY_TIMEOUT, 1);
    },
  ),
  served(
    "a body that is paused when its reply completes does not block the connection",
    {
      handler(request, reply) {
        if (request.method === "GET") {
          reply.send("next");
          return;
        }
        request.read({
          data() {
            request.pause();
            if (!reply.done) reply.send("early");
          },
        });
      },
    },
    async (_, client) => {
      const one = client().send(`${POST}12`);
      await one.until(({ text }) => text.endsWith("early"));
      assert.match(await one.send(`345${LAST}`).end(), /next$/);
    },
  ),
  served(
    "a server that stops closes idle connections at once, also after late answers",
    {
      async handler(_, reply) {
        await turn();
        reply.send("hello");
      },
    },
    async (server, client) => {
      const one = client().send(GET);
      await one.until(({ text }) => text.endsWith("hello"));
      const began = performance.now();
      await server.stop(5000);
      assert.ok(performance.now() - began < 4000);
      await one.end();
    },
  ),
];

const speaking: readonly Case[] = [
  served(
    "100 Continue is not sent in the middle of a reply",
    {
      handler(request, reply) {
        reply.begin().write("abc");
        request.read({ data() {}, end: () => reply.end() });
      },
    },
    async (_, client) => {
      const text = await client()
        .send(`${withHeader("Expect: 100-continue", POST)}`)
        .send("12345")
        .end();
      assert.doesNotMatch(text, /100 Continue/);
      assert.equal(bodyOf(text), "3\r\nabc\r\n0\r\n\r\n");
    },
  ),
  served(
    "a piece of a reply may be larger than maxPendingBytes, and is sent with the end",
    {
      handler(_, reply) {
        reply.begin().write(Buffer.alloc(17 * 1024 * 1024, "x"));
        reply.end("end");
      },
    },
    async (_, client) => {
      const text = await client().send(LAST).end();
      assert.match(text.slice(-30), /x\r\n3\r\nend\r\n0\r\n\r\n$/);
    },
  ),
  (() => {
    const errors: unknown[] = [];
    let wrote = 0;
    return served(
      "a reply that is written without backpressure to a client that does not read is cut off at a limit",
      {
        handler(_, reply) {
          reply.begin();
          const piece = Buffer.alloc(1024 * 1024, "x");
          for (; wrote < 100 && !reply.done; wrote++) reply.write(piece);
        },
        error: (error) => void errors.push(error),
      },
      async (server, client) => {
        const one = client();
        one.socket.pause();
        one.send(GET);
        await until(() => wrote > 0 && server.connections === 0);
        assert.ok(wrote < 30, `${wrote} MiB wait`);
        assert.deepEqual(errors, []);
      },
    );
  })(),
  served(
    "every callback of whenDrained is called, also after end",
    {
      async handler(_, reply) {
        const waits: Promise<void>[] = [];
        reply.begin().write("x".repeat(8_000_000));
        waits.push(new Promise((resolve) => reply.whenDrained(resolve)));
        waits.push(new Promise((resolve) => reply.whenDrained(resolve)));
        reply.end();
        waits.push(new Promise((resolve) => reply.whenDrained(resolve)));
        await Promise.all(waits);
        calls++;
      },
    },
    async (_, client) => {
      calls = 0;
      const one = client().send(GET);
      await one.until(({ text }) => text.endsWith("0\r\n\r\n"));
      await until(() => calls === 1);
    },
  ),
  ...(["level", "edge"] as const).map((trigger) =>
    onEpoll(trigger, (reactor) =>
      served(
        `an early answer arrives if the client ends in the middle of its body (epoll, ${trigger})`,
        { reactor, handler: (_, reply) => reply.status(413).send("early") },
        async (_, client) => {
          const one = client().send(`${POST}12`);
          one.socket.end();
          assert.match(await one.end(), /early$/);
        },
      ),
    ),
  ),
  served(
    "a returned value that is not a promise is ignored",
    {
      handler: ((_: HttpRequest, reply: HttpReply) =>
        reply.send("fine") ?? 7) as unknown as HttpHandler,
    },
    async (_, client) => assert.match(await client().send(LAST).end(), /fine$/),
  ),
];
let calls = 0;

const throwing: readonly Case[] = [
  (() => {
    const { errors, options } = broken();
    return served(
      "a log that throws is reported, and requests are served",
      {
        ...options,
        handler: (request, reply) => {
          if (request.method === "POST") request.read({ data() {}, end: () => reply.send("body") });
          else reply.send("hello");
        },
      },
      async (server, client) => {
        const one = client().send(`${GET}${POST}12345${GET}`);
        await one.until(({ text }) => text.split("HTTP/1.1 200").length === 4);
        assert.match(await client().send("nonsense\r\n\r\n").end(), /^HTTP\/1.1 400 /);
        const leaver = client().send(POST);
        await until(() => server.connections === 2);
        leaver.socket.destroy();
        assert.match(await client().send(LAST).end(), /hello$/);
        one.socket.destroy();
        await until(() => server.connections === 0);
        assert.deepEqual(new Set(errors), new Set(["no room"]));
      },
    );
  })(),
  (() => {
    const log = new AccessLog({ to: "/dev/null" });
    const errors: unknown[] = [];
    return served(
      "a closed log loses lines, and requests are served",
      {
        log,
        handler: (_, reply) => reply.send("hello"),
        error: (error) => void errors.push(error),
      },
      async (_, client) => {
        await log.close();
        for (let i = 0; i < 3; i++) assert.match(await client().send(LAST).end(), /hello$/);
        assert.equal(errors.length, 3);
      },
    );
  })(),
  (() => {
    const events: string[] = [];
    return served(
      "every whenLeft callback is called, also if another one throws",
      {
        handler(request) {
          request.read({ data() {}, abort: () => assert.fail("reader") });
          request.whenLeft(() => assert.fail("first"));
          request.whenLeft(({ code }) => events.push(code));
          events.push("asked");
        },
        error: (error) => void events.push((error as Error).message),
      },
      async (_, client) => {
        const one = client().send(`${POST}12`);
        await until(() => events.length === 1);
        one.socket.resetAndDestroy();
        await until(() => events.length === 4);
        assert.deepEqual(events, ["asked", "reader", "first", "CLIENT_LEFT"]);
      },
    );
  })(),
];

/** The fields of a kept request after its memory was reused. */
async function looked(request: HttpRequest): Promise<string> {
  for (let i = 0; i < 5; i++) await turn();
  return `${request.path} ${request.header("x-name")}`;
}

const OTHER = `GET /${"other".repeat(20)} HTTP/1.1\r\nHost: b\r\nX-Name: ${"b".repeat(200)}\r\n\r\n`;

/** Cases in which a request is read after its connection has ended. */
function kept(
  name: string,
  sent: string,
  handler: (request: HttpRequest, reply: HttpReply) => void,
): Case {
  // On epoll all connections receive into the same buffer.
  return onEpoll("level", (reactor) => keptOn(reactor, name, sent, handler));
}

function keptOn(
  reactor: Reactor,
  name: string,
  sent: string,
  handler: (request: HttpRequest, reply: HttpReply) => void,
): Case {
  const requests: HttpRequest[] = [];
  return served(
    name,
    {
      reactor,
      handler(request, reply) {
        if (request.host === "b") {
          reply.send("other");
          return;
        }
        requests.push(request);
        handler(request, reply);
      },
      error() {},
    },
    async (_, client) => {
      client().send(sent);
      await until(() => requests.length === 1);
      for (let i = 0; i < 20; i++) {
        const other = client();
        await other.send(OTHER).until(({ text }) => text.endsWith("other"));
        other.socket.destroy();
      }
      assert.equal(await looked(requests[0] as HttpRequest), "/mine mine");
    },
  );
}

const MINE = withHeader("X-Name: mine").replace("/ ", "/mine ");

const outliving: readonly Case[] = [
  kept("an upgraded request keeps its fields", MINE, (request) => {
    request.upgrade({}).write("HTTP/1.1 101 Switching Protocols\r\n\r\n");
  }),
  kept("an upgraded request whose connection was closed keeps its fields", MINE, (request) => {
    request.upgrade({}).close();
  }),
  kept("an upgraded request whose connection was destroyed keeps its fields", MINE, (request) => {
    request.upgrade({}).destroy();
  }),
  kept("a request that was cut off while it was handled keeps its fields", MINE, (_, reply) => {
    reply.header("Content-Length", 5).begin().end();
  }),
  kept(
    "a request whose body was refused together with its head keeps its fields",
    CHUNKED.replace("/ ", "/mine ").replace("\r\n\r\n", "\r\nX-Name: mine\r\n\r\nzz\r\n"),
    (request) => request.read({ data() {} }),
  ),
];

/** Runs a reactor with run() until the given function is called. */
function blocking(name: string, run: (reactor: Reactor, until: () => void) => void): Case {
  return {
    name,
    run() {
      using reactor = new Reactor();
      let isDone = false;
      run(reactor, () => {
        isDone = true;
        reactor.stop();
      });
      reactor.setTimer(3000, () => reactor.stop());
      reactor.run();
      assert.ok(isDone, "no further event");
    },
  };
}

const inRun: readonly Case[] = [
  blocking("reading an absent body gives its end, also in run()", (reactor, done) => {
    const server = serve({
      reactor,
      port: 0,
      handler: (request, reply) => request.read({ data() {}, end: () => reply.send("ended") }),
    });
    const { port } = server;
    reactor.connect({
      host: "127.0.0.1",
      port,
      open: (connection) => void connection.write(LAST),
      data: (_, bytes) => {
        if (Buffer.from(bytes).toString().endsWith("ended")) done();
      },
    });
  }),
  blocking("sendFile on a destroyed connection calls done, also in run()", (reactor, done) => {
    const server = serve({ reactor, port: 0, handler() {} });
    const { port } = server;
    reactor.connect({
      host: "127.0.0.1",
      port,
      open(connection) {
        connection.destroy();
        connection.sendFile({ fd: 0, offset: 0, length: 1, done });
      },
    });
  }),
];

const late: readonly Case[] = [
  onEpoll("level", (reactor) =>
    served(
      "the head timeout does not count the time in which the thread was busy",
      {
        reactor,
        headTimeoutMs: 100,
        handler(request, reply) {
          const until = performance.now() + (request.path === "/busy" ? 400 : 0);
          while (performance.now() < until);
          reply.send("hello");
        },
      },
      async (server, client) => {
        const [busy, other] = [client(), client()];
        await until(() => server.connections === 2);
        busy.send(GET.replace("/ ", "/busy "));
        other.send(LAST.slice(0, 10));
        await busy.until(({ text }) => text.endsWith("hello"));
        assert.match(await other.send(LAST.slice(10)).end(), /hello$/);
      },
    ),
  ),
];

/** While the thread is busy for longer than any timeout, clients complete their requests. */
const stalled: readonly Case[] = ENGINES.map(([engine, trigger]) => ({
  name: `bytes that arrived while the thread was blocked count before the timeouts (${engine}${trigger === undefined ? "" : `, ${trigger}`})`,
  skip: engine === "io_uring" ? whyNoUring(kernel) : undefined,
  async run() {
    using reactor = new Reactor({ engine, trigger });
    let goOn = (): void => {};
    const timeouts = { headTimeoutMs: 200, bodyTimeoutMs: 200, idleTimeoutMs: 200 };
    await served(
      "",
      {
        reactor,
        ...timeouts,
        handler(request, reply) {
          if (request.method === "POST") {
            void request.text().then((text) => reply.send(`got ${text}`));
            return;
          }
          if (request.path === "/busy") {
            // The bytes are sent before the thread blocks, and received after it.
            goOn();
            const until = performance.now() + 800;
            while (performance.now() < until);
          }
          reply.send("hello");
        },
      },
      async (server, client) => {
        const [busy, idle, head, body] = [client(), client(), client(), client()];
        await idle.send(GET).until(({ text }) => text.endsWith("hello"));
        head.send(LAST.slice(0, 10));
        body.send(`${POST}12`);
        goOn = () => {
          idle.send(LAST);
          head.send(LAST.slice(10));
          body.send("345");
        };
        busy.send(GET.replace("/ ", "/busy "));
        assert.match(await head.end(), /hello$/);
        await body.until(({ text }) => text.endsWith("got 12345"));
        assert.match(await idle.end(), /hello.*hello$/s);
        const { HEAD_TIMEOUT = 0, BODY_TIMEOUT = 0 } = server.counts.refused;
        assert.deepEqual([HEAD_TIMEOUT, BODY_TIMEOUT], [0, 0]);
      },
    ).run();
  },
}));

/** The kernel accepts these replies completely, and the peer acknowledges nothing. */
const untaken: readonly Case[] = [GET, LAST].map((request) =>
  served(
    `a peer that acknowledges nothing of a reply in the send buffer is cut off: ${request === GET ? "keep-alive" : "close"}`,
    { sendTimeoutMs: 100, handler: (_, reply) => reply.send(new Uint8Array(1_048_576)) },
    async (server, client) => {
      client().send(request).socket.pause();
      await until(() => server.counts.refused.SEND_TIMEOUT === 1);
      await until(() => server.connections === 0);
    },
  ),
);

const busy: Case = served(
  "a thread that is always busy closes idle connections in time",
  {
    headTimeoutMs: 80,
    idleTimeoutMs: 300,
    handler(_, reply) {
      const until = performance.now() + 40;
      while (performance.now() < until);
      reply.send("hello");
    },
  },
  async (server, client) => {
    // Freed slots must not count as connections that may have events.
    const many = Array.from({ length: 2000 }, () => client());
    await until(() => server.connections === many.length);
    for (const { socket } of many) socket.destroy();
    await until(() => server.connections === 0);
    const [idle, one] = [client(), client()];
    await until(() => server.connections === 2);
    let requests = 0;
    while (!idle.ended && requests++ < 45) {
      await one.send(GET).until(({ text }) => text.split("hello").length > requests);
    }
    // Turns with events delay the check of the timeouts, but only a few of them do.
    assert.ok(requests < 45, `${requests} requests`);
  },
);

/** Cases in which a client disconnects before the program awaits its body. */
function unawaited(name: string, options: HttpOptions): Case {
  return {
    name,
    async run() {
      const rejections: unknown[] = [];
      const collect = (reason: unknown) => void rejections.push(reason);
      process.on("unhandledRejection", collect);
      try {
        await served("", { ...options, error() {} }, async (server, client) => {
          const one = client().send(`${POST}12`);
          await until(() => server.connections === 1);
          for (let i = 0; i < 5; i++) await turn();
          one.socket.resetAndDestroy();
          await until(() => server.connections === 0);
          for (let i = 0; i < 5; i++) await turn();
        }).run();
      } finally {
        process.off("unhandledRejection", collect);
      }
      assert.deepEqual(rejections, []);
    },
  };
}

const never = new Promise<never>(() => {});

const rejecting: readonly Case[] = [
  ...(["bytes", "text"] as const).map((method) =>
    unawaited(
      `a client that disconnects before ${method}() is awaited causes no unhandled rejection`,
      {
        async handler(request) {
          const body = request[method]();
          await never;
          await body;
        },
      },
    ),
  ),
  ...(kernel.runtime === "node"
    ? (["bytes", "text", "json", "arrayBuffer", "blob", "formData"] as const)
    : []
  ).map((method) =>
    unawaited(
      `a client that disconnects before ${method}() of a Request is awaited causes no unhandled rejection`,
      {
        async fetch(request) {
          const body = (request as unknown as Record<string, () => Promise<unknown>>)[method]?.();
          await never;
          await body;
          return new Response();
        },
      },
    ),
  ),
];

const latin1: readonly Case[] = [
  served(
    "a header is sent as Latin-1",
    {
      handler: (_, reply) => reply.header("X-Name", "caf\xe9").send("caf\xe9"),
    },
    async (_, client) => {
      const text = await client().send(LAST).end();
      assert.match(text, /X-Name: caf\xe9\r\n.*Content-Length: 5\r\n\r\ncaf\xc3\xa9$/s);
    },
  ),
  ...[true, false].map((overrideGlobals) =>
    served(
      `a header of a Response is sent as Latin-1${overrideGlobals ? "" : ", with the runtime's class"}`,
      {
        overrideGlobals,
        fetch: () => new Response("caf\xe9", { headers: { "x-name": "caf\xe9" } }),
      },
      async (_, client) => {
        assert.match(await client().send(LAST).end(), /x-name: caf\xe9\r\n.*caf\xc3\xa9$/s);
      },
    ),
  ),
];

const cutOff: readonly Case[] = [
  served(
    "a reply that is delimited by the connection is reset when its request is refused",
    {
      bodyTimeoutMs: 50,
      handler(request, reply) {
        reply.begin().write("some of it");
        request.read({ data() {}, end: () => reply.end(" and the rest") });
      },
    },
    async (server, client) => {
      const one = client();
      let code: string | undefined;
      one.socket.on("error", (error: Error & { code?: string }) => {
        code = error.code;
      });
      await one.send(POST.replace("1.1", "1.0")).end();
      await until(() => server.connections === 0 && code !== undefined);
      assert.equal(code, "ECONNRESET");
      assert.equal(server.counts.refused.BODY_TIMEOUT, 1);
    },
  ),
  served(
    "a Content-Length that is too large for a number is refused",
    {
      handler(_, reply) {
        assert.throws(() => reply.header("Content-Length", "9".repeat(25)), {
          code: "ERR_INVALID_DATA",
        });
        reply.send("fine");
      },
    },
    async (_, client) => assert.match(await client().send(LAST).end(), /fine$/),
  ),
  (() => {
    const errors: unknown[] = [];
    return served(
      "headers of a Response of another library are validated",
      {
        fetch(request) {
          const value = request.url.endsWith("/bad") ? "a\r\nX-Evil: 1" : "sound";
          const headers = new Map([["x-name", value]]);
          const like = { [Symbol.toStringTag]: "Response", status: 200, headers, body: null };
          return like as unknown as Response;
        },
        error: (error) => void errors.push(error),
      },
      async (_, client) => {
        const text = await client()
          .send(`${GET.replace("/ ", "/bad ")}${LAST}`)
          .end();
        assert.match(text, /^HTTP\/1.1 500 .*x-name: sound/s);
        assert.doesNotMatch(text, /X-Evil/);
        assert.equal(errors.length, 1);
      },
    );
  })(),
  {
    name: "an error callback that throws fails the process, and does not affect connections",
    run() {
      using reactor = new Reactor();
      const { port } = serve({
        reactor,
        port: 0,
        handler: () => assert.fail("handler"),
        error: () => assert.fail("callback"),
      });
      let text = "";
      reactor.connect({
        host: "127.0.0.1",
        port,
        open: (connection) => void connection.write(LAST),
        data: (_, bytes) => {
          text += Buffer.from(bytes);
        },
        end: () => reactor.stop(),
      });
      assert.throws(() => reactor.run(), { message: "callback" });
      reactor.setTimer(3000, () => reactor.stop());
      reactor.run();
      assert.match(text, /^HTTP\/1.1 500 /);
    },
  },
];

const upgrading: readonly Case[] = [
  served(
    "upgrade is refused after the reply has begun",
    {
      handler(request, reply) {
        reply.begin().write("abc");
        assert.throws(() => request.upgrade({}), { code: "ERR_CLOSED" });
        reply.end();
      },
    },
    async (_, client) => {
      assert.equal(bodyOf(await client().send(LAST).end()), "3\r\nabc\r\n0\r\n\r\n");
    },
  ),
  served(
    "an upgrade with invalid options has no effect",
    {
      handler(request, reply) {
        assert.throws(() => request.upgrade({ idleTimeoutMs: -1 }), {
          code: "ERR_INVALID_TIMEOUT",
        });
        assert.throws(() => request.upgrade({ highWaterBytes: -1 }), {
          code: "ERR_INVALID_OPTION",
        });
        reply.send("still here");
      },
    },
    async (_, client) => {
      assert.match(await client().send(`${GET}${LAST}`).end(), /still here.*still here$/s);
    },
  ),
];

export function httpRobustnessSuite(): Suite {
  return {
    title: "HTTP robustness",
    cases: [
      ...bounded,
      ...speaking,
      ...throwing,
      ...outliving,
      ...inRun,
      ...late,
      ...stalled,
      ...untaken,
      busy,
      ...rejecting,
      ...latin1,
      ...cutOff,
      ...upgrading,
    ],
  };
}

/** A client that disconnects is detected on every engine, also while its bytes are unread. */
import assert from "node:assert/strict";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import { whyNoUring } from "../../src/engine/try-uring.ts";
import type { HttpHandler, HttpOptions, HttpServer } from "../../src/http/index.ts";
import { Reactor } from "../../src/reactor/reactor.ts";
import { kernel } from "../../src/sys/open.ts";
import { ENGINES } from "../support/engines.ts";
import { type Client, GET, served } from "./client.ts";
import { until } from "./fetch-case.ts";

type Engine = (typeof ENGINES)[number];

/** A case with a server on its own reactor. */
export function onEngine(
  [engine, trigger]: Engine,
  name: string,
  options: HttpOptions,
  run: (server: HttpServer, client: () => Client) => Promise<void>,
): Case {
  const title = `${name} (${engine}${trigger === undefined ? "" : `, ${trigger}`})`;
  const reason = engine === "io_uring" ? whyNoUring(kernel) : undefined;
  return {
    name: title,
    skip: reason === undefined ? undefined : `io_uring does not work here: ${reason}`,
    async run() {
      using reactor = new Reactor({ engine, ...(trigger === undefined ? {} : { trigger }) });
      await served(title, { ...options, reactor }, run).run();
    },
  };
}

const POST = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
const CHUNKED = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

type Parting = "end" | "resetAndDestroy";

/** The bytes that a client sends in one packet before it disconnects, whether the handler reads the body, and how it disconnects. */
const SENT: readonly (readonly [name: string, bytes: string, reads: boolean, how?: Parting])[] = [
  ["a request without a body", GET, false],
  ["head and body in one packet, with a body that is read late", `${POST}hello`, true],
  ["head and body in one packet, with a body that is not read", `${POST}hello`, false],
  ["a chunked body that is read late", `${CHUNKED}5\r\nhello\r\n0\r\n\r\n`, true],
  ["a request with another one after it", GET + GET, false],
  ["a body that is read late with a request after it", `${POST}hello${GET}`, true],
  ["a request with 60 KiB of requests after it", GET + GET.repeat(2200), false],
  ["a body that is read late with 60 KiB after it", `${POST}hello${GET.repeat(2200)}`, true],
  ["a request with 60 KiB after it", GET + GET.repeat(2200), false, "resetAndDestroy"],
];

/** The events of each client's request, by its path. */
type Seen = Record<string, string[]>;

/** Handlers and fetch handlers that never answer, and record events. */
function waiting(seen: Seen): readonly (readonly [string, HttpOptions])[] {
  const handler: HttpHandler = async (request) => {
    const { path } = request;
    const notes: string[] = [];
    seen[path] = notes;
    request.whenLeft(({ code }) => notes.push(code));
    await null;
    if (path.endsWith("/reads")) notes.push(await request.text());
    notes.push("waits");
    await new Promise(() => {});
  };
  const fetch = async (request: Request): Promise<Response> => {
    const path = new URL(request.url).pathname;
    const notes: string[] = [];
    seen[path] = notes;
    request.signal.addEventListener("abort", () => notes.push("CLIENT_LEFT"));
    await null;
    if (path.endsWith("/reads")) notes.push(await request.text());
    notes.push("waits");
    return new Promise(() => {});
  };
  return [
    ["handler", { handler }],
    ["fetch", { fetch }],
  ];
}

const noticed: readonly Case[] = ENGINES.flatMap((engine) => {
  const seen: Seen = {};
  return waiting(seen).map(([way, options]) =>
    onEngine(
      engine,
      `a client that disconnects is detected, and its connection is freed: ${way}`,
      { ...options, halfCloseTimeoutMs: 40, error: (error) => assert.fail(String(error)) },
      async (server, client) => {
        const all = SENT.map(async ([name, bytes, reads, how = "end"], index) => {
          const path = `/${index}${reads ? "/reads" : ""}`;
          seen[path] = [];
          const one = client().send(bytes.replace(" / ", ` ${path} `));
          await until(() => seen[path]?.includes("waits") === true);
          one.socket[how]();
          await until(() => seen[path]?.includes("CLIENT_LEFT") === true);
          const expected = reads ? ["hello", "waits", "CLIENT_LEFT"] : ["waits", "CLIENT_LEFT"];
          assert.deepEqual(seen[path], expected, name);
        });
        await Promise.all(all);
        // The connections are closed although the handlers never answer.
        await until(() => server.connections === 0);
        assert.equal(server.counts.refused.HALF_CLOSE_TIMEOUT, SENT.length - 1);
      },
    ),
  );
});

const answered: readonly Case[] = ENGINES.flatMap((engine) => {
  return [
    onEngine(
      engine,
      "a client that ends its half after many requests gets all answers",
      {
        async handler(request, reply) {
          await null;
          reply.send(`<${request.path}>`);
        },
      },
      async (_, client) => {
        const count = 2200;
        const requests = Array.from({ length: count }, (_, i) => GET.replace("/ ", `/${i} `));
        const one = client().send(requests.join(""));
        one.socket.end();
        const answers = (await one.end()).match(/<\/\d+>/g);
        assert.deepEqual(
          answers,
          requests.map((_, i) => `</${i}>`),
        );
      },
    ),
    onEngine(
      engine,
      "a client that ends its half gets an answer that is sent in time",
      {
        async handler(request, reply) {
          await new Promise<void>((resolve) => request.whenLeft(() => resolve()));
          reply.send(await request.text());
        },
      },
      async (_, client) => {
        const one = client().send(`${POST}hello`);
        one.socket.end();
        assert.match(await one.end(), /^HTTP\/1.1 200 OK\r\n.*hello$/s);
      },
    ),
  ];
});

/** The codes with which the reader of a body was aborted; the errors of the server; how often the reader it was paused, and whether it is. */
const aborted: string[] = [];
const failures: string[] = [];
let pauses = 0;
let isPaused = false;

const full: readonly Case[] = ENGINES.map((engine) =>
  onEngine(
    engine,
    "a client that resets while its body waits for room for the reply aborts the body and causes no error",
    {
      maxBodyBytes: 100_000_000,
      error: (error) => failures.push(String(error)),
      handler(request, reply) {
        request.read({
          data(bytes) {
            if (reply.write(bytes)) return;
            request.pause();
            pauses++;
            isPaused = true;
            reply.whenDrained(() => {
              isPaused = false;
              request.resume();
            });
          },
          end: () => reply.end(),
          abort: ({ code }) => aborted.push(code),
        });
        reply.begin();
      },
    },
    async (server, client) => {
      aborted.length = 0;
      failures.length = 0;
      const one = client();
      one.socket.pause();
      one.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n`);
      const bytes = "x".repeat(1_000_000);
      for (let i = 0; i < 50; i++) one.send(bytes);
      // The buffers of both kernels are full when the reader has waited for a while.
      let since = 0;
      let before = -1;
      await until(() => {
        since = isPaused && pauses === before ? since + 1 : 0;
        before = pauses;
        return since > 20;
      });
      one.socket.resetAndDestroy();
      await until(() => server.connections === 0);
      assert.deepEqual([aborted, failures], [["CLIENT_LEFT"], []]);
    },
  ),
);

const lefts: string[] = [];

const stopping: readonly Case[] = [
  served(
    "a server that stops does not wait for a handler whose client has disconnected",
    {
      handler: (request) => void request.whenLeft(() => lefts.push(request.path)),
    },
    async (server, client) => {
      lefts.length = 0;
      const one = client().send(GET);
      one.socket.end();
      await until(() => lefts.length === 1);
      const began = performance.now();
      await server.stop(20_000);
      assert.ok(performance.now() - began < 10_000, "it waited for the whole grace period");
    },
  ),
];

export function httpDisconnectsSuite(): Suite {
  return {
    title: "HTTP clients that disconnect",
    cases: [...noticed, ...answered, ...full, ...stopping],
  };
}

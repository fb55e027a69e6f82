/**
 * CPU time of a fetch handler compared with a plain handler, from the bytes of a request to those of the answer, without
 * sockets. docs/decisions/0012 has figures. Then that of a stream of 64 chunks of 16 KiB: when it is only read, when its
 * chunks are copied as well, and when it is the body of an answer, whose bytes are discarded. docs/decisions/0028 has
 * figures.
 *
 *     node dist/bench/fetch-cost.js        bun dist/bench/fetch-cost.js        deno run -A dist/bench/fetch-cost.js
 */
import { HttpConnection, type Transport } from "../packages/polloi/src/http/connection.ts";
import type { FetchHandler } from "../packages/polloi/src/http/fetch/fetch-handler.ts";
import { type HttpOptions, settingsOf } from "../packages/polloi/src/http/options.ts";
import { ServingServer } from "../packages/polloi/src/http/server.ts";
import type { Reactor } from "../packages/polloi/src/reactor/reactor.ts";
import { kernel } from "../packages/polloi/src/sys/open.ts";
import { fetchFor, makeChunks, streamOf } from "./peers/answers.ts";

const ROUNDS = 15;
const ROUND_MS = 60;
/** Requests between two readings of the clock. */
const BATCH = 50;

const REQUEST: Uint8Array = new TextEncoder().encode(
  "GET /a/b?c=d HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n",
);

/** A connection that accepts and discards everything. */
const discarding = {
  remoteAddress: null,
  localAddress: null,
  fileno: () => -1,
  state: "open",
  pendingBytes: 0,
  write: () => true,
  resume() {},
  cork() {},
  uncork() {},
  expect() {},
  // Other members are never used here.
} as unknown as Transport;

const HANDLERS: readonly (readonly [string, FetchHandler])[] = [
  ["text", () => new Response("Hello, world!")],
  ["text, promised", async () => new Response("Hello, world!")],
  ["JSON", () => Response.json({ hello: "world" })],
  [
    "text, URL and headers read",
    ({ url, headers }) =>
      new Response("Hello, world!", { headers: { "x-a": `${headers.get("accept")} ${url}` } }),
  ],
  ["text, signal read", ({ signal }) => new Response(signal.aborted ? "" : "Hello, world!")],
  [
    "a stream",
    () =>
      new Response(
        new ReadableStream({
          pull(controller) {
            controller.enqueue(new Uint8Array(13));
            controller.close();
          },
        }),
      ),
  ],
];

/** Microseconds per call in the best round, since other processes only add to it. */
async function bestOf(call: () => Promise<void>): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const began = performance.now();
    let count = 0;
    while (performance.now() - began < ROUND_MS) {
      for (let i = 0; i < BATCH; i++) await call();
      count += BATCH;
    }
    best = Math.min(best, ((performance.now() - began) * 1000) / count);
  }
  return best;
}

/** Microseconds per request. */
async function costOf(options: HttpOptions): Promise<number> {
  const settings = settingsOf(options);
  // Callbacks of a closed reactor are microtasks.
  const { shared } = new ServingServer({ fileno: () => -1 } as Reactor, settings);
  const connection = new HttpConnection(shared, discarding);
  const cost = await bestOf(async () => {
    const answered = shared.counts.requests + 1;
    connection.received(REQUEST);
    while (shared.counts.requests < answered) await null;
  });
  settings.release();
  return cost;
}

const chunks = makeChunks();
/** As much as the server collects before it sends. */
const memory = new Uint8Array(64 * 1024);

/** Reads a stream with as little work as possible: a promise and a callback for each chunk. */
function readAll(take: (chunk: Uint8Array) => void): Promise<void> {
  const reader = streamOf(chunks).getReader();
  return new Promise((resolve, reject) => {
    const taken = ({ done, value }: { done: boolean; value?: Uint8Array | undefined }): void => {
      if (value !== undefined) take(value);
      if (done) resolve();
      else reader.read().then(taken, reject);
    };
    reader.read().then(taken, reject);
  });
}

/** Copies each chunk behind the last one. */
function readAndCopy(): Promise<void> {
  let at = 0;
  return readAll((chunk) => {
    memory.set(chunk, at);
    at = (at + chunk.length) % memory.length;
  });
}

const plain = await costOf({ handler: (_, reply) => reply.send("Hello, world!") });
console.log(`${kernel.runtime} ${kernel.runtimeVersion}, us a request`);
console.log(`${plain.toFixed(1).padStart(8)}           a handler with a reply`);
for (const [name, fetch] of HANDLERS) {
  const light = await costOf({ fetch });
  const own = await costOf({ fetch, overrideGlobals: false });
  const costs = [light, own].map((cost) => cost.toFixed(1).padStart(8));
  console.log(`${costs.join("")}   ${name}`);
}
console.log("   light     own");

console.log("us for a stream of 64 x 16 KiB");
const streams: readonly (readonly [string, number])[] = [
  ["only read", await bestOf(() => readAll(() => {}))],
  ["read and copied", await bestOf(readAndCopy)],
  ["read by the server, not sent", await costOf({ fetch: fetchFor("chunked") })],
];
for (const [name, cost] of streams) {
  console.log(`${cost.toFixed(1).padStart(8)}           ${name}`);
}

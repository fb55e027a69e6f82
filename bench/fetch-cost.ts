/**
 * CPU time of a fetch handler compared with a plain handler, from the bytes of a request to those of the answer, without
 * sockets. docs/decisions/0012 has figures.
 *
 *     node dist/bench/fetch-cost.js        bun dist/bench/fetch-cost.js        deno run -A dist/bench/fetch-cost.js
 */
import { HttpConnection, type Transport } from "../packages/polloi/src/http/connection.ts";
import type { FetchHandler } from "../packages/polloi/src/http/fetch/fetch-handler.ts";
import { type HttpOptions, settingsOf } from "../packages/polloi/src/http/options.ts";
import { ServingServer } from "../packages/polloi/src/http/server.ts";
import type { Reactor } from "../packages/polloi/src/reactor/reactor.ts";
import { kernel } from "../packages/polloi/src/sys/open.ts";

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

/** Microseconds per request in the best round, since other processes only add to it. */
async function costOf(options: HttpOptions): Promise<number> {
  const settings = settingsOf(options);
  // Callbacks of a closed reactor are microtasks.
  const { shared } = new ServingServer({ fileno: () => -1 } as Reactor, settings);
  const connection = new HttpConnection(shared, discarding);
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const began = performance.now();
    let count = 0;
    while (performance.now() - began < ROUND_MS) {
      for (let i = 0; i < BATCH; i++) {
        const answered = shared.counts.requests + 1;
        connection.received(REQUEST);
        while (shared.counts.requests < answered) await null;
      }
      count += BATCH;
    }
    best = Math.min(best, ((performance.now() - began) * 1000) / count);
  }
  settings.release();
  return best;
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

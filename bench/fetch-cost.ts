/**
 * CPU time of a fetch handler compared with a plain handler, from a parsed head to the bytes of the answer, without
 * sockets. docs/decisions/0012 has figures.
 *
 *     node dist/bench/fetch-cost.js        bun dist/bench/fetch-cost.js        deno run -A dist/bench/fetch-cost.js
 */
import type { Exchange } from "../packages/polloi/src/http/exchange.ts";
import {
  type FetchHandler,
  type ServedFetch,
  serveFetch,
} from "../packages/polloi/src/http/fetch/fetch-handler.ts";
import { RequestParser } from "../packages/polloi/src/http/wire/request-parser.ts";
import { ReplyWriter } from "../packages/polloi/src/http/reply.ts";
import { ParsedRequest } from "../packages/polloi/src/http/request.ts";
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
  connection: { remoteAddress: null, localAddress: null, fileno: () => -1 },
  date: "",
  isFull: false,
  isAnswerable: () => true,
  write: () => true,
  connectionField: () => "",
  whenDrained: (callback: () => void) => callback(),
  claimed() {},
  goOn() {},
  replied() {},
  endAfterReply() {},
  cutOff() {},
  // Other members are never called here.
} as unknown as Exchange;

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
async function costOf(handler: ServedFetch["handler"]): Promise<number> {
  const parser = new RequestParser();
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const began = performance.now();
    let count = 0;
    while (performance.now() - began < ROUND_MS) {
      for (let i = 0; i < BATCH; i++) {
        parser.read(REQUEST, 0);
        const request = new ParsedRequest(discarding, parser.head);
        const pending = handler(request, new ReplyWriter(discarding, "GET", true));
        if (pending !== undefined) await pending;
        parser.read(REQUEST, parser.position);
      }
      count += BATCH;
    }
    best = Math.min(best, ((performance.now() - began) * 1000) / count);
  }
  return best;
}

const plain = await costOf((_, reply) => reply.send("Hello, world!"));
console.log(`${kernel.runtime} ${kernel.runtimeVersion}, us a request`);
console.log(`${plain.toFixed(1).padStart(8)}           a handler with a reply`);
for (const [name, fetch] of HANDLERS) {
  const costs: number[] = [];
  for (const overrides of [true, false]) {
    const { handler, release } = serveFetch(fetch, overrides);
    costs.push(await costOf(handler));
    release();
  }
  console.log(`${costs.map((cost) => cost.toFixed(1).padStart(8)).join("")}   ${name}`);
}
console.log("   light     own");

/**
 * The HTTP server of the texts as a fetch handler: a function from a Request to a Response, as the Fetch API defines
 * them, which is the interface of Hono and other frameworks.
 *
 *     node dist/examples/17-http-fetch.js [port]
 *     curl http://127.0.0.1:8080/
 *     curl -N http://127.0.0.1:8080/clock                   # until Ctrl-C
 *     curl -T README.md http://127.0.0.1:8080/capitals
 *
 * Follows text 2, which ends where a server has a request and a response. Faults of the original:
 * - It takes the request to be complete after two line ends, and a body for the next request.
 * - A response is one string: a response that is larger than memory, or has no end, cannot be sent.
 * - The code that makes the response is not notified when its client has left.
 */
import { serve } from "polloi/http";
import { orExit, portArgument } from "./command-line.ts";

const TICK_MS = 100;

/** Sends the time periodically until the client leaves. Events are made as they are read. */
function clock(signal: AbortSignal): Response {
  const encoder = new TextEncoder();
  const stream = new ReadableStream({
    async pull(controller) {
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
      controller.enqueue(encoder.encode(`data: ${new Date().toISOString()}\n\n`));
    },
  });
  signal.addEventListener("abort", () => console.log("the client of /clock has left"));
  return new Response(stream, { headers: { "content-type": "text/event-stream" } });
}

/** Returns the body in capitals, while it is still being received. */
function capitals(request: Request): Response {
  const upper = new TransformStream<string, string>({
    transform: (text, controller) => controller.enqueue(text.toUpperCase()),
  });
  const body = request.body
    ?.pipeThrough(new TextDecoderStream())
    .pipeThrough(upper)
    .pipeThrough(new TextEncoderStream());
  return new Response(body ?? null);
}

const server = orExit(() =>
  serve({
    host: "127.0.0.1",
    port: portArgument(8080),
    maxBodyBytes: 100_000_000,
    fetch(request, info) {
      const { pathname } = new URL(request.url);
      if (pathname === "/clock") return clock(request.signal);
      if (pathname === "/capitals") return capitals(request);
      if (pathname === "/whoami") return Response.json(info.remoteAddress);
      if (pathname === "/") return new Response("Hello, world!");
      return new Response("not found\n", { status: 404 });
    },
  }),
);

console.log(`listening on 127.0.0.1:${server.port}`);
process.once("SIGINT", () => server.stop());
process.once("SIGTERM", () => server.stop());

/** The routes of the fetch handler of the soak test's server. */
import { setTimeout as sleep } from "node:timers/promises";
import type { FetchHandler } from "../../../src/http/index.ts";
import { content, contentText, sumOf } from "./content.ts";
import { isAwaited, Planned, SWITCHING } from "./routes.ts";

/** @param upgraded - Called for each upgraded connection. */
export function fetchRoutes(upgraded: () => void): FetchHandler {
  return async (request, info) => {
    const [, route, ...rest] = new URL(request.url).pathname.split("/");
    const [length = 0, seed = 0, more = 0] = rest.map(Number);
    switch (route) {
      case "bytes":
        return new Response(copy(content(seed, length)));
      case "text":
        return new Response(contentText(seed, length));
      case "later":
        await sleep(more);
        return new Response(copy(content(seed, length)));
      case "stream":
        return new Response(streamOf(content(seed, length), more));
      case "counted": {
        const headers = { "Content-Length": String(length) };
        return new Response(streamOf(content(seed, length), more), { headers });
      }
      case "echo":
        return new Response(request.body);
      case "sum": {
        const bytes = new Uint8Array(await request.arrayBuffer());
        return Response.json({ length: bytes.length, sum: sumOf(bytes), trailers: [] });
      }
      case "ignore":
        return new Response("ignored", { status: 202 });
      case "throw":
        throw new Planned(isAwaited(request.headers.get("soak")));
      case "partial":
        return new Response(tornStream(isAwaited(request.headers.get("soak"))));
      case "upgrade": {
        upgraded();
        const socket = info.upgrade({
          data(connection, bytes) {
            if (!connection.write(bytes)) connection.pause();
          },
          drain: (connection) => connection.resume(),
          idleTimeoutMs: 20_000,
        });
        socket.write(SWITCHING);
        return new Response();
      }
      default:
        return new Response("nothing", { status: 404 });
    }
  };
}

function copy(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}

function streamOf(bytes: Uint8Array, piece: number): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    async pull(controller) {
      if (at % 3 === 1) await sleep(0);
      const to = Math.min(at + piece, bytes.length);
      if (at < to) controller.enqueue(copy(bytes.subarray(at, to)));
      at = to;
      if (at === bytes.length) controller.close();
    },
  });
}

function tornStream(awaited: boolean): ReadableStream<Uint8Array> {
  let pulls = 0;
  return new ReadableStream({
    async pull(controller) {
      await sleep(1);
      if (pulls++ > 0) throw new Planned(awaited);
      controller.enqueue(new TextEncoder().encode("half"));
    },
  });
}

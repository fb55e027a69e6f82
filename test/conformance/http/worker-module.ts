/** The module of a pool that serves HTTP: who answered, and a protocol of its own on request. */
import { type HttpServer, serve } from "../../../src/http/index.ts";
import type { PoolWorker } from "../../../src/workers/index.ts";

export function start(worker: PoolWorker<string>): HttpServer {
  return serve({
    worker,
    async handler(request, reply) {
      if (request.wantedUpgrade !== undefined) {
        const socket = request.upgrade({ data: (it, bytes) => void it.write(bytes) });
        socket.write("HTTP/1.1 101 Switching Protocols\r\n\r\n");
        return;
      }
      if (request.path === "/slow") {
        worker.post("slow");
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      reply.send(`${worker.data} ${worker.index}`);
    },
  });
}

/** The module of a pool that serves HTTP: it answers with the worker's number, and upgrades on request. */
import { serve } from "../../src/http/index.ts";
import type { PoolWorker, Stoppable } from "../../src/pool/workers.ts";

export function start(worker: PoolWorker<string>): Stoppable {
  let stopping: () => void = () => {};
  const stops = new Promise<void>((resolve) => {
    stopping = resolve;
  });
  const server = serve({
    worker,
    async handler(request, reply) {
      if (request.wantedUpgrade !== undefined) {
        const socket = request.upgrade({ data: (it, bytes) => void it.write(bytes) });
        socket.write("HTTP/1.1 101 Switching Protocols\r\n\r\n");
        return;
      }
      if (request.path === "/slow") {
        worker.post("slow");
        await stops;
      }
      reply.send(`${worker.data} ${worker.index}`);
    },
  });
  return {
    async stop(graceMs) {
      const stopped = server.stop(graceMs);
      stopping();
      await stopped;
    },
  };
}

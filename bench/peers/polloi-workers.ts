/**
 * polloi on several threads: a pool of workers that share a port.
 *
 *   polloi-workers --workers N [--engine auto|io_uring|epoll]
 *
 * Each line on standard input is answered with the number of open connections of each worker.
 */
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import type { EngineChoice } from "polloi";
import { startWorkers, type WorkerPool } from "polloi/workers";
import { announce, collectOnRequest } from "./collect.ts";

const { values } = parseArgs({
  options: {
    workers: { type: "string", default: "1" },
    engine: { type: "string", default: "auto" },
  },
});

collectOnRequest();
const pool: WorkerPool = await startWorkers({
  module: new URL("./echo-worker.js", import.meta.url),
  workers: Number(values.workers),
  // The reactor rejects unknown names.
  engine: values.engine as EngineChoice,
  listen: { host: "127.0.0.1", port: 0, backlog: 65535 },
});
announce(pool.port);
createInterface({ input: process.stdin }).on("line", () => {
  const connections = pool.workers.map((worker) => worker.connections);
  process.stdout.write(`${JSON.stringify({ connections })}\n`);
});

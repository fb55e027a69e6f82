/**
 * polloi on several threads: a pool of workers that share a port.
 *
 *   polloi-workers --workers N [--engine auto|io_uring|epoll]
 *
 * A line on stdin is answered with the connections that each worker has open.
 */
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { announce, collectOnRequest } from "./collect.ts";

/** As much of a pool as this file needs. */
interface Pool {
  readonly port: number;
  readonly workers: readonly { readonly connections: number }[];
}
interface PoolOptions {
  readonly module: URL;
  readonly workers: number;
  readonly engine: string;
  readonly listen: { readonly host: string; readonly port: number; readonly backlog: number };
}

/**
 * The one place that knows how workers are started.
 *
 * A name that the compiler does not follow: where the package has no workers, this server says so when it
 * is started, and the bench skips it by name.
 */
async function startPool(options: PoolOptions): Promise<Pool> {
  const name: string = "polloi/workers";
  const { startWorkers } = (await import(name)) as {
    startWorkers(options: PoolOptions): Promise<Pool>;
  };
  return await startWorkers(options);
}

const { values } = parseArgs({
  options: {
    workers: { type: "string", default: "1" },
    engine: { type: "string", default: "auto" },
  },
});

collectOnRequest();
const pool: Pool = await startPool({
  module: new URL("./echo-worker.js", import.meta.url),
  workers: Number(values.workers),
  engine: values.engine,
  listen: { host: "127.0.0.1", port: 0, backlog: 65535 },
});
announce(pool.port);
createInterface({ input: process.stdin }).on("line", () => {
  const connections = pool.workers.map((worker) => worker.connections);
  process.stdout.write(`${JSON.stringify({ connections })}\n`);
});

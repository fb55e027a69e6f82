/**
 * An echo server on every core: threads that share a port, each with its own reactor. The main
 * thread starts them and reports what they did; this file is also the module that they run.
 *
 *     node dist/examples/16-workers.js [port]        nc 127.0.0.1 10000
 *
 * Follows text 1, which asks how one server can serve many clients, and continues where it ends.
 * Faults of the original:
 * - One loop uses one core of the machine.
 * - An exception in one connection ended all of them. Here it ends those of one worker, which is replaced.
 */
import { isMainThread } from "node:worker_threads";
import type { Connection } from "polloi";
import { startWorkers } from "polloi/workers";
import { orExit, portArgument } from "./command-line.ts";

export function data(connection: Connection, bytes: Uint8Array): void {
  // A peer that does not read is not read from.
  if (!connection.write(bytes)) connection.pause();
}

export function drain(connection: Connection): void {
  connection.resume();
}

if (isMainThread) {
  const pool = await orExit(() =>
    startWorkers({
      module: import.meta.url,
      listen: { host: "127.0.0.1", port: portArgument(10_000) },
      exited: ({ index, error }) => console.error(`worker ${index} exited: ${error.message}`),
    }),
  );
  console.log(`listening on 127.0.0.1:${pool.port} with ${pool.workers.length} workers`);
  process.once("SIGINT", () => pool.stop());
  process.once("SIGTERM", () => pool.stop());
  await pool.finished;
  for (const { index, accepted } of pool.workers) {
    console.log(`worker ${index} accepted ${accepted} connections`);
  }
}

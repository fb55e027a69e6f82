/**
 * A server, its client and a pool of workers, to be bundled. It sleeps until the runtime waits in its idle state,
 * resolves a name, starts a thread, and prints the answers.
 */
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, listen } from "../../packages/polloi/src/index.ts";
import { startWorkers } from "../../packages/polloi/src/pool/workers.ts";

/** After this long without an event the runtime waits for the descriptors in another thread, if at all. */
const ASLEEP_MS = 120;

function ask(host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    connect({
      host,
      port,
      open: (connection) => void connection.write("answered"),
      data: (connection, bytes) => {
        connection.end();
        resolve(new TextDecoder().decode(bytes));
      },
      error: (_connection, error) => reject(error),
    });
  });
}

const server = listen({
  port: 0,
  host: "127.0.0.1",
  data: (connection, bytes) => void connection.write(bytes),
});
await sleep(ASLEEP_MS);
const own = await ask("localhost", server.port);
server.close();

const pool = await startWorkers({
  module: new URL("./bundled-worker.js", import.meta.url),
  listen: { port: 0, host: "127.0.0.1" },
  workers: 1,
});
const theirs = await ask("127.0.0.1", pool.port);
await pool.stop();
console.log(`${own} here, ${theirs} by a worker`);
process.exit();

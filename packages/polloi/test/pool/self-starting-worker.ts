/** The module of a pool that starts the pool itself, without a check of `isMainThread`. */
import type { Connection } from "../../src/index.ts";
import { startWorkers } from "../../src/pool/workers.ts";

export function data(connection: Connection, bytes: Uint8Array): void {
  connection.write(bytes);
}

await startWorkers({
  module: import.meta.url,
  workers: 1,
  listen: { host: "127.0.0.1", port: 0 },
});

/** What each worker of polloi-workers.ts runs: the handlers of polloi.ts. */
import type { Connection } from "polloi";

export function data(connection: Connection, bytes: Uint8Array): void {
  connection.write(bytes);
}

/** The load leaves with a reset. */
export function error(): void {}

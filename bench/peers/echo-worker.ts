/** The module of the workers of polloi-workers.ts: the handlers of polloi.ts. */
import type { Connection } from "polloi";

export function data(connection: Connection, bytes: Uint8Array): void {
  connection.write(bytes);
}

/** The load closes with a reset. */
export function error(): void {}

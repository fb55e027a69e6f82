/** The handlers of the workers of bundled.ts. */
import type { Connection } from "../../packages/polloi/src/index.ts";

export function data(connection: Connection, bytes: Uint8Array): void {
  connection.write(bytes);
}

/** The module of a pool that echoes: handlers and an option by name, and nothing else. */
import type { Connection } from "../../src/index.ts";

export const zeroCopy = true;
/** An export that is no handler, although a listener has an option of that name. */
export const port = "not a port";

export function data(connection: Connection, bytes: Uint8Array): void {
  connection.write(bytes);
}

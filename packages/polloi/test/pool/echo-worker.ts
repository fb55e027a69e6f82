/** The module of a pool that echoes: exported handlers and options. */
import type { Connection } from "../../src/index.ts";

export const zeroCopy = true;
/** Not a handler, although a listener has an option of this name. */
export const port = "not a port";

export function data(connection: Connection, bytes: Uint8Array): void {
  connection.write(bytes);
}

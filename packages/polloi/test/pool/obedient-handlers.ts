/** Handlers that echo, unless they are told to do something else. */
import { existsSync, writeSync } from "node:fs";
import { exit } from "node:process";
import type { ModelConnection, ModelHandlers } from "../../src/pool/models.ts";

/** What the handlers are given. */
export interface Orders {
  /** Thrown when the module starts. */
  readonly failing?: string;
  /** Says on standard output that it spins. */
  readonly loud?: boolean;
  /** A thread that spins ends when the first byte is set: Deno cannot end it. */
  readonly over?: SharedArrayBuffer;
  /** A process that spins ends when there is a file of this name. */
  readonly spinsUntil?: string;
  /** It never becomes ready. */
  readonly hangs?: boolean;
  /** Each connection that is closed holds its process or thread up until there is a file of this name. */
  readonly closesWith?: string;
}

/** How much "much" is: more than the buffers of the kernel take. */
export const MUCH: number = 24 * 1024 * 1024;

let loud = false;
let spinsUntil: string | undefined;
let over: Uint8Array = new Uint8Array(1);

const COMMANDS: Readonly<Record<string, (connection: ModelConnection) => void>> = {
  throw: () => {
    throw new Error("thrown in a handler");
  },
  exit: () => exit(3),
  spin: (connection) => {
    // On an event loop that would leave when this returns: never.
    if (loud) writeSync(1, "spinning\n");
    else connection.write("spinning");
    while (Atomics.load(over, 0) === 0 && !(spinsUntil !== undefined && existsSync(spinsUntil)));
  },
  who: (connection) => connection.write(String(process.pid)),
  much: (connection) => connection.write(new Uint8Array(MUCH)),
  bye: (connection) => {
    connection.write("good ");
    connection.write(Buffer.from("bye"));
    connection.close();
  },
};

export function start(orders: Orders = {}): ModelHandlers<{ count: number }> {
  if (orders.failing !== undefined) throw new Error(orders.failing);
  if (orders.hangs === true) {
    // Node ends a process or thread that has nothing left to wait for.
    setInterval(() => {}, 1000);
    return new Promise(() => {}) as never;
  }
  loud = orders.loud === true;
  spinsUntil = orders.spinsUntil;
  if (orders.over !== undefined) over = new Uint8Array(orders.over);
  return {
    open(connection) {
      connection.data = { count: 0 };
    },
    data(connection, bytes) {
      connection.data.count += bytes.length;
      // Only what is short enough may be one.
      const text = bytes.length < 6 ? Buffer.from(bytes).toString("latin1") : "";
      const command = Object.hasOwn(COMMANDS, text) ? COMMANDS[text] : undefined;
      if (command === undefined) connection.write(bytes);
      else command(connection);
    },
    end(connection) {
      connection.write(` ${connection.data.count} in all`);
    },
    close() {
      while (orders.closesWith !== undefined && !existsSync(orders.closesWith));
    },
  };
}

/** Handlers of a model that echo, and execute commands that their clients send. */
import { existsSync, writeSync } from "node:fs";
import { exit } from "node:process";
import type { ModelConnection, ModelHandlers } from "../../src/pool/models.ts";

/** The `data` of the model. */
export interface CommandOptions {
  /** Thrown when the module starts. */
  readonly failing?: string;
  /** Prints that it spins, instead of writing it. */
  readonly loud?: boolean;
  /** A thread that spins ends when the first byte is set, since Deno cannot terminate it. */
  readonly over?: SharedArrayBuffer;
  /** A process that spins ends when a file of this name exists. */
  readonly spinsUntil?: string;
  /** It never becomes ready. */
  readonly hangs?: boolean;
  /** The `close` handler blocks until a file of this name exists. */
  readonly closesWith?: string;
}

/** How many bytes "much" writes: more than the buffers of the kernel hold. */
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
    // On an event loop this would be sent when the handler returns, which it does not.
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

export function start(options: CommandOptions = {}): ModelHandlers<{ count: number }> {
  if (options.failing !== undefined) throw new Error(options.failing);
  if (options.hangs === true) {
    // Node ends a process or thread that waits for nothing.
    setInterval(() => {}, 1000);
    return new Promise(() => {}) as never;
  }
  loud = options.loud === true;
  spinsUntil = options.spinsUntil;
  if (options.over !== undefined) over = new Uint8Array(options.over);
  return {
    open(connection) {
      connection.data = { count: 0 };
    },
    data(connection, bytes) {
      connection.data.count += bytes.length;
      // A command is short.
      const text = bytes.length < 6 ? Buffer.from(bytes).toString("latin1") : "";
      const command = Object.hasOwn(COMMANDS, text) ? COMMANDS[text] : undefined;
      if (command === undefined) connection.write(bytes);
      else command(connection);
    },
    end(connection) {
      connection.write(` ${connection.data.count} in all`);
    },
    close() {
      while (options.closesWith !== undefined && !existsSync(options.closesWith));
    },
  };
}

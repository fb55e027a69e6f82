/**
 * The server of a measurement, in a process of its own: an echo server in one of the five models. It prints its port
 * and answers questions, a line each. It exits when its standard input ends or its parent exits.
 */

import process, { argv, stdin, stdout } from "node:process";
import { createInterface } from "node:readline";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import {
  type EngineOptions,
  kernel,
  openDescriptors,
  PR_SET_PDEATHSIG,
  raiseDescriptorLimit,
  SYS,
} from "polloi/internal";
import { type ModelOptions, type ModelServer, serveModel } from "polloi/models";
import type { EchoHandlersInput } from "../echo/echo-handlers.ts";
import { ECHO_HANDLERS } from "../echo/modules.ts";

/** The program's one argument. */
export interface ServerInput extends EngineOptions, Pick<ModelOptions, "model" | "children"> {
  /** The number of connections that it has to hold. */
  readonly connections?: number;
}

/** The lines that it prints. */
export type ServerLine =
  | { readonly port: number; readonly descriptors: number }
  | { readonly pids: readonly number[] }
  | { readonly trouble: string };

const SIGKILL = 9;
/** Descriptors of the runtime, the engine and the server's own channels. */
const SPARE = 128;
const BACKLOG = 65_535;
const MOST_CHILDREN = 10_000;

function print(line: ServerLine): void {
  stdout.write(`${JSON.stringify(line)}\n`);
}

function serve({ connections = 1, ...input }: ServerInput): Promise<ModelServer> {
  raiseDescriptorLimit(kernel, SPARE + 3 * connections);
  const each = input.model === "process" || input.model === "thread";
  const data: EchoHandlersInput = { protocol: "echo" };
  return serveModel({
    ...input,
    ...(each ? { maxChildren: Math.min(connections + 4, MOST_CHILDREN) } : {}),
    module: ECHO_HANDLERS,
    listen: { host: "127.0.0.1", port: 0, backlog: BACKLOG },
    data,
    exited: ({ kind, error }) =>
      print({ trouble: `a ${kind} exited unexpectedly: ${error.message}` }),
    limitReached: (most) => print({ trouble: `its limit of ${most} was reached` }),
    acceptError: (error) => print({ trouble: error.message }),
  });
}

/** Collects garbage, so that it does not count as memory of connections. */
function collectGarbage(): void {
  try {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("typeof gc === 'function' ? gc : null") as (() => void) | null;
    collect?.();
  } catch {
    // Not every runtime supports it.
  }
}

kernel.libc.syscall(SYS.prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
// Ctrl-C signals every process of the terminal; the parent decides when this one stops.
process.on("SIGINT", () => {});
const server = await serve(JSON.parse(argv[2] ?? "{}") as ServerInput);
print({ port: server.port, descriptors: openDescriptors() });
for await (const question of createInterface({ input: stdin })) {
  if (question === "collect") collectGarbage();
  const pids = server.children.filter(({ kind }) => kind === "process").map(({ id }) => id);
  print({ pids: [process.pid, ...pids] });
}
await server.stop(0);
// Bun writes standard output asynchronously.
stdout.write("", () => process.exit(0));

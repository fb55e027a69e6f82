/**
 * The server of a measurement, as a process of its own: serves an echo in one of the five ways, says where,
 * and answers questions, a line each. It ends when its standard input does, and with whoever started it.
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
import type { TalkInput } from "../echo/echo-handlers.ts";
import { ECHO_HANDLERS } from "../echo/modules.ts";

/** What the program is told, as its one argument. */
export interface ServerInput extends EngineOptions, Pick<ModelOptions, "model" | "children"> {
  /** Connections that it has to hold. */
  readonly connections?: number;
}

/** What it says. */
export type ServerLine =
  | { readonly port: number; readonly descriptors: number }
  | { readonly pids: readonly number[] }
  | { readonly trouble: string };

const SIGKILL = 9;
/** For what a runtime, an engine and the server's own channels have open. */
const SPARE = 128;
const BACKLOG = 65_535;
const MOST_CHILDREN = 10_000;

function say(line: ServerLine): void {
  stdout.write(`${JSON.stringify(line)}\n`);
}

function serve({ connections = 1, ...input }: ServerInput): Promise<ModelServer> {
  raiseDescriptorLimit(kernel, SPARE + 3 * connections);
  const each = input.model === "process" || input.model === "thread";
  const data: TalkInput = { protocol: "echo" };
  return serveModel({
    ...input,
    ...(each ? { maxChildren: Math.min(connections + 4, MOST_CHILDREN) } : {}),
    module: ECHO_HANDLERS,
    listen: { host: "127.0.0.1", port: 0, backlog: BACKLOG },
    data,
    died: ({ kind, error }) => say({ trouble: `a ${kind} died: ${error.message}` }),
    limitReached: (most) => say({ trouble: `its limit of ${most} was reached` }),
    acceptError: (error) => say({ trouble: error.message }),
  });
}

/** Has the runtime let go of what nobody needs, so that it is not taken for the price of a connection. */
function collectGarbage(): void {
  try {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("typeof gc === 'function' ? gc : null") as (() => void) | null;
    collect?.();
  } catch {
    // Not every runtime can be asked.
  }
}

kernel.libc.syscall(SYS.prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
// A Ctrl-C goes to every process of the terminal. It is for who started this one to say when to stop.
process.on("SIGINT", () => {});
const server = await serve(JSON.parse(argv[2] ?? "{}") as ServerInput);
say({ port: server.port, descriptors: openDescriptors() });
for await (const question of createInterface({ input: stdin })) {
  if (question === "collect") collectGarbage();
  const pids = server.children.filter(({ kind }) => kind === "process").map(({ id }) => id);
  say({ pids: [process.pid, ...pids] });
}
await server.stop(0);
// Bun has not written all of it yet.
stdout.write("", () => process.exit(0));

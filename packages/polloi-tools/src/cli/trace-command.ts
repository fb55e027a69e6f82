import { type Command, InvalidArgumentError } from "commander";
import { notEmpty, page } from "./flags.ts";
import type { PrepareFlags } from "./serve-command.ts";
import type { ServeFlags } from "./service.ts";
import type { TraceFlags } from "./trace.ts";

const EXAMPLES = `
Examples:
  polloi trace serve echo --engine epoll  each turn of the event loop and each call, live`;

const SERVE_EXAMPLES = `
Examples:
  polloi trace serve                           then, in another terminal: nc 127.0.0.1 7788
  polloi trace serve echo --engine epoll --trigger level
  polloi trace serve echo,http --connection 1  only the first connection
  polloi trace serve --calls '^(recv|send)$'   only receives and sends, on any engine
  polloi trace serve --turns 20 -o trace.txt   ends after twenty turns
  polloi trace serve --json 2>&1 >/dev/null | jq -c 'select(.event == "call")'

The trace is written to standard error, like that of strace. The output of the server is on standard output.

Format:
  turn 17  3.214 ms later, woken by node's loop    a turn begins, after the loop has slept for this long
    #3        recv(9, 65536) = 64                  connection 3: a call, its result and its duration
    #3        ready  IN|RDHUP                      events that the wait before it reported
    #3        submit SEND(9, 64)                   io_uring: an operation that is submitted, without a call
    #3        done   RECV(9) = 64                  io_uring: an operation that the kernel has completed
Connections are numbered in the order of accept. A slow reader of the trace slows the server down. If the
reader ends, the trace ends and the server continues. More: ${page("trace")}`;

/** The flags of `polloi trace serve`. */
type TraceServeFlags = ServeFlags & TraceFlags;

/**
 * Adds `polloi trace`.
 *
 * @param addServe - Adds `serve`, as that of `polloi serve`, with a function that prepares its flags.
 */
export function addTrace(
  program: Command,
  addServe: (parent: Command, prepare: PrepareFlags) => Command,
): void {
  const trace = program
    .command("trace")
    .summary("show the turns and calls of a server's event loop")
    .description("Shows each turn of a server's event loop, and each call with its duration, live.")
    .helpCommand(false)
    .addHelpText("after", EXAMPLES);
  addServe(trace, prepare)
    .summary("serve, and show each turn of the event loop and each call")
    .description(
      "Serves as polloi serve does, and shows each turn of the event loop, the events in it, and each call with its result and its duration.",
    )
    .option("-o, --output <file>", "write the trace to a file; - is standard output", notEmpty)
    .option(
      "--connection <which>",
      "only these connections: numbers in order of accept, or peer addresses, separated by commas",
      connections,
    )
    .option("--calls <pattern>", "only calls and operations whose name matches", pattern)
    .option("--turns <count>", "stop after this many turns", turns)
    .addHelpText("after", SERVE_EXAMPLES);
}

function prepare(given: ServeFlags, command: Command): ServeFlags {
  const flags = given as TraceServeFlags;
  if (flags.workers !== undefined) {
    command.error("error: trace shows one event loop in this process: leave out --workers");
  }
  if (flags.model !== undefined && flags.model !== "event") {
    command.error(`error: trace shows an event loop, not --model ${flags.model}`);
  }
  const { output, connection, calls, turns } = flags;
  // Connections and messages are in the trace, in more detail.
  return { ...flags, quiet: true, trace: { output, connection, calls, turns } };
}

function connections(text: string): readonly string[] {
  return text.split(",").map((item) => {
    const which = item.trim();
    if (/^#?[1-9]\d*$/.test(which) || /[.:]/.test(which)) return which;
    throw new InvalidArgumentError(
      "give numbers from 1 up, in order of accept, or addresses: 3 or 127.0.0.1:40122",
    );
  });
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text, "i");
  } catch (error) {
    throw new InvalidArgumentError(
      `give a regular expression, such as recv|send: ${(error as Error).message}`,
    );
  }
}

function turns(text: string): number {
  const count = /^\d+$/.test(text) ? Number(text) : 0;
  if (count >= 1 && Number.isSafeInteger(count)) return count;
  throw new InvalidArgumentError("give a whole number from 1 up");
}

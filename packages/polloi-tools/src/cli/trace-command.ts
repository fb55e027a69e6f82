import { type Command, InvalidArgumentError } from "commander";
import type { ServeFlags } from "./serve-flags.ts";
import type { TraceChoice } from "./trace-choice.ts";

const TRACE_EXAMPLES = `
Examples:
  polloi trace serve echo --engine epoll  each turn of the loop, each call, as it happens`;

const TRACE_SERVE_EXAMPLES = `
Examples:
  polloi trace serve                           then, elsewhere: nc 127.0.0.1 7788
  polloi trace serve echo --engine epoll --trigger level
  polloi trace serve echo,http --connection 1  only the first connection
  polloi trace serve --calls '^(recv|send)$'   only receives and sends, whatever the engine
  polloi trace serve --turns 20 -o trace.txt   ends after twenty turns
  polloi trace serve --json 2>&1 >/dev/null | jq -c 'select(.event == "call")'

The trace goes to standard error, as strace's does; what the server itself says, to standard output.

How to read it:
  turn 17  3.214 ms later, woken by node's loop    a turn begins: the loop slept so long before it
    #3        recv(9, 65536) = 64                  connection 3: a call, what it returned, its time
    #3        ready  IN|RDHUP                      what the wait before it found ready
    #3        submit SEND(9, 64)                   io_uring: what goes to the kernel, without a call
    #3        done   RECV(9) = 64                  io_uring: what the kernel has done
Connections have numbers in the order in which they were accepted. A slow reader slows the server down;
when the reader is gone the trace ends, and the server goes on. More is in docs/trace.md.`;

/** The flags of `polloi serve`, and those that tracing adds. */
type GivenFlags = ServeFlags & TraceChoice;

/**
 * Adds `polloi trace`.
 *
 * @param addServe - Adds `serve` to it, as `polloi serve` is, with what is to be done to its flags.
 */
export function addTrace(
  program: Command,
  addServe: (parent: Command, prepare: PrepareFlags) => Command,
): void {
  const trace = program
    .command("trace")
    .summary("show what the loop of a server does: turns, calls, times")
    .description(
      "Shows what the event loop of a server does, live: each turn, and each call with its time.",
    )
    .helpCommand(false)
    .addHelpText("after", TRACE_EXAMPLES);
  addServe(trace, prepare)
    .summary("serve, and show each turn of the loop and each call")
    .description(
      "Serves as polloi serve does, and shows each turn of the loop, what was ready in it, and each call with its result and its time.",
    )
    .option("-o, --output <file>", "write the trace to a file; - is standard output", file)
    .option(
      "--connection <which>",
      "only these: numbers in order of accept, or addresses of peers; with commas in between",
      connections,
    )
    .option("--calls <pattern>", "only calls and operations whose name matches", pattern)
    .option("--turns <count>", "stop after so many turns", turns)
    .addHelpText("after", TRACE_SERVE_EXAMPLES);
}

/** What is to be done to the flags of `serve` before it serves. */
export type PrepareFlags = (flags: ServeFlags, command: Command) => ServeFlags;

function prepare(given: ServeFlags, command: Command): ServeFlags {
  const flags = given as GivenFlags;
  if (flags.workers !== undefined) {
    command.error("error: trace looks at one loop, in this process: leave out --workers");
  }
  if (flags.model !== undefined && flags.model !== "event") {
    command.error(`error: trace looks at an event loop, not at --model ${flags.model}`);
  }
  const { output, connection, calls, turns } = flags;
  // The trace tells of each connection and message, and in more detail.
  return { ...flags, quiet: true, trace: { output, connection, calls, turns } };
}

function file(text: string): string {
  if (text.trim() === "") throw new InvalidArgumentError("Give the path of a file.");
  return text;
}

function connections(text: string): readonly string[] {
  return text.split(",").map((name) => {
    const which = name.trim();
    if (/^#?[1-9]\d*$/.test(which) || /[.:]/.test(which)) return which;
    throw new InvalidArgumentError(
      "Give numbers from 1 on, in order of accept, or addresses: 3 or 127.0.0.1:40122.",
    );
  });
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text, "i");
  } catch (error) {
    throw new InvalidArgumentError(
      `Give a regular expression, such as recv|send: ${(error as Error).message}.`,
    );
  }
}

function turns(text: string): number {
  const count = /^\d+$/.test(text) ? Number(text) : 0;
  if (count >= 1 && Number.isSafeInteger(count)) return count;
  throw new InvalidArgumentError("Give a whole number from 1 on.");
}

import { type Command, InvalidArgumentError, Option } from "commander";
import type { EngineChoice } from "polloi";
import {
  DURATIONS,
  duration,
  durationOrNone,
  notEmpty,
  oneOf,
  wholeNumberFrom,
  workers,
} from "./arguments.ts";
import type { LoadFlags } from "./load.ts";

const LOAD_EXAMPLES = `
Examples:
  polloi load tcp://127.0.0.1:7788                        100 connections for 10 seconds
  polloi load tcp://127.0.0.1:7788 -c 10000 --messages 30000 --parts 3
  polloi load http://127.0.0.1:8080/ -c 500 --rate 20000  latency counted from when each was due
  polloi load unix:/run/echo.sock --size 16384 --pipeline 4
  polloi load tcp://127.0.0.1:7788 -c 60000 --from 127.0.0.1,127.0.0.2,127.0.0.3
  polloi load http://127.0.0.1:8080/ --json > load.json   one object, for tools

An echo server is to send back every byte; each is compared. ${DURATIONS}
Ctrl-C ends it early, and it still reports. The exit code is 1 when anything was lost, wrong or refused.
What is measured and how: docs/load.md.`;

const MOST_CONNECTIONS = 10_000_000;
const MOST_MESSAGES = Number.MAX_SAFE_INTEGER;
const MOST_BYTES = 1 << 30;
const MOST_A_SECOND = 1_000_000_000;
const MOST_PIPELINED = 65_536;

/** Adds `polloi load`. */
export function addLoad(
  program: Command,
  engines: readonly EngineChoice[],
  exitWith: (code: number) => void,
): void {
  program
    .command("load")
    .summary("ask a server over thousands of connections, and compare what comes back")
    .description(
      "Asks an echo or HTTP server over many connections at once, compares what comes back, and tells how long it took.",
    )
    .argument(
      "<target>",
      "HOST:PORT or tcp://HOST:PORT, http://HOST[:PORT]/PATH, or unix:PATH (unix:@NAME)",
      notEmpty,
    )
    .option(
      "-c, --connections <count>",
      "connections (default: 100)",
      wholeNumberFrom(1, MOST_CONNECTIONS),
    )
    .addOption(
      new Option("-d, --duration <time>", "how long messages are sent (default: 10s)")
        .argParser(duration)
        .conflicts("messages"),
    )
    .option(
      "-n, --messages <count>",
      "how many messages, over all connections, instead of a time",
      wholeNumberFrom(1, MOST_MESSAGES),
    )
    .addOption(
      new Option("-s, --size <bytes>", "size of a message (default: 64)")
        .argParser(wholeNumberFrom(1, MOST_BYTES))
        .conflicts("data"),
    )
    .option(
      "--data <file>",
      "send the bytes of this file instead; over HTTP, as the body of a POST",
      notEmpty,
    )
    .option("--rate <count>", "messages a second, sent when they are due, come what may", rate)
    .option("--ramp <time>", "open the connections evenly over this time", durationOrNone)
    .option(
      "--parts <count>",
      "send each message in pieces, each when the one before is back",
      wholeNumberFrom(1, MOST_BYTES),
    )
    .option(
      "--pipeline <count>",
      "messages that a connection may have out (default: 1)",
      wholeNumberFrom(1, MOST_PIPELINED),
    )
    .option("--think <time>", "wait so long after an answer (default: 0)", durationOrNone)
    .option(
      "--from <addresses>",
      "addresses to connect from, in turn, with commas between",
      addresses,
    )
    .option("--timeout <time>", "how long a connect or an answer may take (default: 5s)", duration)
    .addOption(
      new Option("-e, --engine <engine>", "how to wait; auto is the best that works here")
        .choices(engines)
        .argParser(oneOf(engines))
        .default("auto"),
    )
    .option(
      "-w, --workers <count>",
      "threads that share the connections; auto is one a processor",
      workers,
    )
    .option("-q, --quiet", "no progress on standard error")
    .option("--json", "print one JSON object, and no progress")
    .addHelpText("after", LOAD_EXAMPLES)
    .action(async (target: string, flags: LoadFlags) => {
      const { runLoad } = await import("./load.ts");
      exitWith(await runLoad(target, flags));
    });
}

function rate(text: string): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (value > 0 && value <= MOST_A_SECOND) return value;
  throw new InvalidArgumentError(`Give messages a second, above 0 and up to ${MOST_A_SECOND}.`);
}

function addresses(text: string): string[] {
  const all = text.split(",").map((address) => address.trim());
  if (!all.includes("")) return all;
  throw new InvalidArgumentError("Give IP addresses with commas in between: 127.0.0.1,127.0.0.2.");
}

import { type Command, InvalidArgumentError, Option } from "commander";
import {
  DURATIONS,
  duration,
  durationOrNone,
  ENGINES,
  listOf,
  loadTarget,
  notEmpty,
  oneOf,
  page,
  wholeNumberFrom,
  workers,
} from "./flags.ts";
import type { LoadFlags } from "./load.ts";

const EXAMPLES = `
Examples:
  polloi load tcp://127.0.0.1:7788                        100 connections for 10 seconds
  polloi load tcp://127.0.0.1:7788 -c 10000 --messages 30000 --parts 3
  polloi load http://127.0.0.1:8080/ -c 500 --rate 20000  latency from when each request was due
  polloi load unix:/run/echo.sock --size 16384 --pipeline 4
  polloi load tcp://127.0.0.1:7788 -c 60000 --from 127.0.0.1,127.0.0.2,127.0.0.3
  polloi load https://localhost:8443/ --insecure          any certificate is accepted
  polloi load http://127.0.0.1:8080/ --json > load.json   one object, for programs

The answers of an echo server are compared with what was sent. ${DURATIONS}
Ctrl-C ends the load early, with a report. The exit code is 1 when there were errors or mismatches.
Method of measurement: ${page("load")}`;

// The limits of `polloi-tools/load`, which is not loaded for parsing.
const MAX_CONNECTIONS = 10_000_000;
const MAX_MESSAGES = Number.MAX_SAFE_INTEGER;
const MAX_BYTES = 1 << 30;
const MAX_RATE = 1_000_000_000;
const MAX_PIPELINE = 65_536;

/** Adds `polloi load`. */
export function addLoad(program: Command, exitWith: (code: number) => void): void {
  program
    .command("load")
    .summary("load a server over many connections, and check its answers")
    .description(
      "Loads an echo or HTTP server over many connections, checks its answers, and measures latency.",
    )
    .argument(
      "<target>",
      "HOST:PORT or tcp://HOST:PORT, tls://HOST:PORT, http[s]://HOST[:PORT]/PATH, or unix:PATH (unix:@NAME)",
      loadTarget,
    )
    .option(
      "-c, --connections <count>",
      "number of connections (default: 100)",
      wholeNumberFrom(1, MAX_CONNECTIONS),
    )
    .addOption(
      new Option("-d, --duration <time>", "how long messages are sent (default: 10s)")
        .argParser(duration)
        .conflicts("messages"),
    )
    .option(
      "-n, --messages <count>",
      "number of messages over all connections, instead of a duration",
      wholeNumberFrom(1, MAX_MESSAGES),
    )
    .addOption(
      new Option("-s, --size <bytes>", "size of a message (default: 64)")
        .argParser(wholeNumberFrom(1, MAX_BYTES))
        .conflicts("data"),
    )
    .option(
      "--data <file>",
      "send the content of this file instead; over HTTP, as the body of a POST",
      notEmpty,
    )
    .option("--rate <count>", "messages per second, sent at fixed times", rate)
    .option("--ramp <time>", "open the connections evenly over this time", durationOrNone)
    .option(
      "--parts <count>",
      "send each message in parts, each when the one before it was echoed",
      wholeNumberFrom(1, MAX_BYTES),
    )
    .option(
      "--pipeline <count>",
      "messages in flight per connection (default: 1)",
      wholeNumberFrom(1, MAX_PIPELINE),
    )
    .option("--think <time>", "delay between an answer and the next message", durationOrNone)
    .option(
      "--from <addresses>",
      "local addresses to connect from, in turn, separated by commas",
      listOf((address) => address, "127.0.0.1,127.0.0.2"),
    )
    .option("--timeout <time>", "limit of a connect and of an answer (default: 5s)", duration)
    .option("--insecure", "with TLS: accept any certificate")
    .addOption(
      new Option("-e, --engine <engine>", "I/O engine; auto is the best that works here")
        .choices(ENGINES)
        .argParser(oneOf(ENGINES))
        .default("auto"),
    )
    .option(
      "-w, --workers <count>",
      "threads that share the connections; auto is one per processor",
      workers,
    )
    .option("-q, --quiet", "no progress on standard error")
    .option("--json", "print one JSON object, and no progress")
    .addHelpText("after", EXAMPLES)
    .action(async (target: string, flags: LoadFlags, command: Command) => {
      if (flags.insecure && !/^(tls|https):/i.test(target)) {
        command.error("error: --insecure is for tls:// and https://");
      }
      const { runLoad } = await import("./load.ts");
      exitWith(await runLoad(target, flags));
    });
}

function rate(text: string): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (value > 0 && value <= MAX_RATE) return value;
  throw new InvalidArgumentError(`give messages per second, above 0 and up to ${MAX_RATE}`);
}

import { type Command, InvalidArgumentError, Option } from "commander";
import { DURATIONS, duration } from "./arguments.ts";
import type { IdleFlags } from "./lab-idle.ts";
import type { ServingFlags } from "./lab-serving.ts";

const LAB_EXAMPLES = `
Examples:
  polloi lab idle                         what 15,000 silent descriptors cost each engine
  polloi lab idle --quick                 the same in a second or two, to see how it looks
  polloi lab models --html models.html    five ways to serve, up to 10,000 connections
  polloi lab engines --quick              select, poll, epoll and io_uring under one server

How to measure so that it can be believed: docs/measuring.md.`;

const IDLE_EXAMPLES = `
Examples:
  polloi lab idle
  polloi lab idle --quick --html idle.html
  polloi lab idle --active 100 --writes 1000   a hundred sockets at a time, a thousand further writes
  polloi lab idle --sizes 10,1000,15000 --engines poll,epoll
  polloi lab idle --json > idle.json
  polloi lab idle --from idle.json --svg idle.svg   the picture again, without measuring

${DURATIONS}
--html and --svg need echarts: npm install echarts@6. What is measured and how: docs/lab.md.`;

const MODELS_EXAMPLES = `
Examples:
  polloi lab models --quick
  polloi lab models --html models.html --json models.json
  polloi lab models --connections 1,50,500 --rounds 7 --cell 2s
  polloi lab models --models thread,event --connections 200

${DURATIONS}
--html and --svg need echarts: npm install echarts@6. What is measured and how: docs/lab.md.`;

const ENGINES_EXAMPLES = `
Examples:
  polloi lab engines --quick
  polloi lab engines --html engines.html
  polloi lab engines --engines poll,epoll --connections 10,5000 --rounds 9

${DURATIONS}
--html and --svg need echarts: npm install echarts@6. What is measured and how: docs/lab.md.`;

/** Most sockets that a measurement may have; a limit of descriptors is met long before. */
const MOST = 1_000_000;
const MOST_ACTIVE = 10_000;
const MOST_ROUNDS = 1000;
/** What one address has ports for, to one other. */
const MOST_CONNECTIONS = 28_000;
const MOST_BYTES = 1_048_576;

/** Adds `polloi lab` and what it has. */
export function addLab(program: Command, version: string, exitWith: (code: number) => void): void {
  const lab = program
    .command("lab")
    .summary("measure what engines and ways to serve cost on this machine, and draw it")
    .description("Measures what engines and ways to serve cost on this machine, and draws it.")
    .helpCommand(false)
    .addHelpText("after", LAB_EXAMPLES);
  withLabFlags(
    lab
      .command("idle")
      .summary("the cost of one wake-up beside idle descriptors")
      .description(
        "Measures the cost of one wake-up as idle descriptors grow from 10 to 15,000, for every engine.",
      ),
  )
    .option("--active <count>", "sockets that are ready at a time (default: 1)", upTo(MOST_ACTIVE))
    .option("--writes <count>", "further writes in a chain (default: 100)", upTo(MOST))
    .addOption(
      new Option("--sizes <counts>", "numbers of idle descriptors, with commas in between")
        .argParser(listOf(upTo(MOST)))
        .conflicts("max"),
    )
    .option("--max <count>", "the largest number of idle descriptors (default: 15000)", upTo(MOST))
    .option("--rounds <count>", "how often all of it is repeated (default: 7)", upTo(MOST_ROUNDS))
    .option(
      "--sample <time>",
      "how long each engine runs at each size in each round (default: 100ms)",
      duration,
    )
    .option("--engines <names>", "which engines, with commas in between (default: all)", names)
    .option("--pairs", "idle descriptors are ends of pairs, which take two descriptors each")
    .addHelpText("after", IDLE_EXAMPLES)
    .action(async (flags: IdleFlags) => {
      const { labIdle } = await import("./lab-idle.ts");
      exitWith(await labIdle(flags, version));
    });
  withServingFlags(
    lab
      .command("models")
      .summary("five ways to serve: speed, latency, and what a connection costs")
      .description(
        "Compares the five ways to serve at 1 to 10,000 connections: messages a second, latency, and what a connection takes of memory and CPU time.",
      )
      .option("--models <names>", "which of them, with commas in between (default: all)", names),
  )
    .addHelpText("after", MODELS_EXAMPLES)
    .action(async (flags: ServingFlags) => {
      const { labModels } = await import("./lab-serving.ts");
      exitWith(await labModels(flags, version));
    });
  withServingFlags(
    lab
      .command("engines")
      .summary("one server on each engine: speed, latency, and what a connection costs")
      .description(
        "Compares one event loop on select, poll, epoll and io_uring at 1 to 10,000 busy connections: messages a second, latency, and what a connection takes of memory and CPU time.",
      )
      .option("--engines <names>", "which of them, with commas in between (default: all)", names),
  )
    .addHelpText("after", ENGINES_EXAMPLES)
    .action(async (flags: ServingFlags) => {
      const { labEngines } = await import("./lab-serving.ts");
      exitWith(await labEngines(flags, version));
    });
}

/** The flags of the labs that compare servers. */
function withServingFlags(command: Command): Command {
  return withLabFlags(command)
    .option(
      "--connections <counts>",
      "numbers of connections, with commas in between (default: 1,10,100,1000,10000)",
      listOf(upTo(MOST_CONNECTIONS)),
    )
    .option("--rounds <count>", "how often all of it is repeated (default: 5)", upTo(MOST_ROUNDS))
    .option(
      "--cell <time>",
      "how long messages are counted in each cell (default: 800ms)",
      duration,
    )
    .option(
      "--patience <time>",
      "how long the connections of a cell may take until each was answered (default: 45s)",
      duration,
    )
    .option("--limit <time>", "when nothing more is begun (default: 345s; --quick: 50s)", duration)
    .option("--size <bytes>", "bytes of a message (default: 64)", upTo(MOST_BYTES));
}

/** The flags that every lab has. */
function withLabFlags(command: Command): Command {
  return command
    .option("--quick", "few sizes and short rounds: to see how it looks, not for figures")
    .option("--json [file]", "print all of it as JSON, or write it to a file", file)
    .option("--html <file>", "write a page with charts and tables that needs nothing else", file)
    .option("--svg <file>", "write the chart as a picture", file)
    .option("--from <file>", "measure nothing: read what --json printed before", file)
    .option("-q, --quiet", "no progress on standard error");
}

function upTo(most: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : 0;
    if (value >= 1 && value <= most) return value;
    throw new InvalidArgumentError(`Give a whole number from 1 to ${most}.`);
  };
}

function listOf(parse: (text: string) => number): (text: string) => number[] {
  return (text) => text.split(",").map(parse);
}

function names(text: string): string[] {
  const all = text.split(",").map((name) => name.trim());
  if (!all.includes("")) return all;
  throw new InvalidArgumentError("Give names with commas in between: poll,epoll,epoll-edge.");
}

function file(text: string): string {
  if (text.trim() === "") throw new InvalidArgumentError("Give the path of a file.");
  return text;
}

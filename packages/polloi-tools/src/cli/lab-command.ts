import { type Command, Option } from "commander";
import { DURATIONS, duration, listOf, notEmpty, page, wholeNumberFrom } from "./flags.ts";
import type { IdleFlags, ServingFlags } from "./lab.ts";

const LAB_EXAMPLES = `
Examples:
  polloi lab idle                         the cost of 15,000 idle descriptors on select, poll and epoll
  polloi lab idle --quick                 the same in a second or two, as a preview
  polloi lab models --html models.html    five serving models, up to 10,000 connections
  polloi lab engines --quick              select, poll, epoll and io_uring under one server

How to measure reliably: ${page("measuring")}`;

const IDLE_EXAMPLES = `
Examples:
  polloi lab idle
  polloi lab idle --quick --html idle.html
  polloi lab idle --active 100 --writes 1000   100 ready sockets, 1,000 further writes
  polloi lab idle --sizes 10,1000,15000 --engines poll,epoll
  polloi lab idle --json > idle.json
  polloi lab idle --from idle.json --svg idle.svg   the chart again, without measuring

${DURATIONS}
--html and --svg need echarts: npm install echarts@6.
Method of measurement: ${page("lab")}`;

const MODELS_EXAMPLES = `
Examples:
  polloi lab models --quick
  polloi lab models --html models.html --json models.json
  polloi lab models --connections 1,50,500 --rounds 7 --cell 2s
  polloi lab models --models thread,event --connections 200

${DURATIONS}
--html and --svg need echarts: npm install echarts@6.
Method of measurement: ${page("lab")}`;

const ENGINES_EXAMPLES = `
Examples:
  polloi lab engines --quick
  polloi lab engines --html engines.html
  polloi lab engines --engines poll,epoll --connections 10,5000 --rounds 9

${DURATIONS}
--html and --svg need echarts: npm install echarts@6.
Method of measurement: ${page("lab")}`;

/** Maximum number of sockets. The limit on descriptors is usually lower. */
const MAX_SOCKETS = 1_000_000;
const MAX_ACTIVE = 10_000;
const MAX_ROUNDS = 1000;
/** The number of ports from one address to another. */
const MAX_CONNECTIONS = 28_000;
const MAX_BYTES = 1_048_576;

/** Adds `polloi lab` and its subcommands. */
export function addLab(program: Command, version: string, exitWith: (code: number) => void): void {
  const lab = program
    .command("lab")
    .summary("measure the cost of engines and serving models on this machine")
    .description(
      "Measures the cost of engines and serving models on this machine, with tables and charts.",
    )
    .helpCommand(false)
    .addHelpText("after", LAB_EXAMPLES);
  withLabFlags(
    lab
      .command("idle")
      .summary("measure the cost of a wake-up with many idle descriptors")
      .description(
        "Measures the cost of one wake-up on select, poll and epoll, with 10 to 15,000 idle descriptors.",
      ),
  )
    .option("--active <count>", "sockets that are ready at once (default: 1)", upTo(MAX_ACTIVE))
    .option("--writes <count>", "further writes in a chain (default: 100)", upTo(MAX_SOCKETS))
    .addOption(
      new Option("--sizes <counts>", "numbers of idle descriptors, separated by commas")
        .argParser(listOf(upTo(MAX_SOCKETS), "10,1000"))
        .conflicts("max"),
    )
    .option(
      "--max <count>",
      "the largest number of idle descriptors (default: 15000)",
      upTo(MAX_SOCKETS),
    )
    .option("--rounds <count>", "number of repetitions (default: 7)", upTo(MAX_ROUNDS))
    .option(
      "--sample <time>",
      "how long each engine runs at each size in each round (default: 100ms)",
      duration,
    )
    .option(
      "--engines <names>",
      "of select, poll, epoll (level-triggered) and epoll-edge, separated by commas (default: all)",
      names,
    )
    .option("--pairs", "use socket pairs as idle descriptors, which take two descriptors each")
    .addHelpText("after", IDLE_EXAMPLES)
    .action(async (flags: IdleFlags) => {
      const { labIdle } = await import("./lab.ts");
      exitWith(await labIdle(flags, version));
    });
  withServingFlags(
    lab
      .command("models")
      .summary("compare the five serving models")
      .description(
        "Compares the five serving models at 1 to 10,000 connections: messages per second, latency, and memory and CPU time per connection.",
      )
      .option(
        "--models <names>",
        "of blocking, process, thread, prefork and event, separated by commas (default: all)",
        names,
      ),
  )
    .addHelpText("after", MODELS_EXAMPLES)
    .action(async (flags: ServingFlags) => {
      const { labModels } = await import("./lab.ts");
      exitWith(await labModels(flags, version));
    });
  withServingFlags(
    lab
      .command("engines")
      .summary("compare one server on each engine")
      .description(
        "Compares one event loop on select, poll, epoll and io_uring at 1 to 10,000 busy connections: messages per second, latency, and memory and CPU time per connection.",
      )
      .option(
        "--engines <names>",
        "of select, poll, epoll (level-triggered), epoll-edge and io_uring, separated by commas (default: all)",
        names,
      ),
  )
    .addHelpText("after", ENGINES_EXAMPLES)
    .action(async (flags: ServingFlags) => {
      const { labEngines } = await import("./lab.ts");
      exitWith(await labEngines(flags, version));
    });
}

/** Adds the flags of the labs that compare servers. */
function withServingFlags(command: Command): Command {
  return withLabFlags(command)
    .option(
      "--connections <counts>",
      "numbers of connections, separated by commas (default: 1,10,100,1000,10000)",
      listOf(upTo(MAX_CONNECTIONS), "10,1000"),
    )
    .option("--rounds <count>", "number of repetitions (default: 5)", upTo(MAX_ROUNDS))
    .option("--cell <time>", "how long each cell is measured (default: 800ms)", duration)
    .option("--patience <time>", "limit of the first answers in a cell (default: 45s)", duration)
    .option(
      "--limit <time>",
      "when no further cell is started (default: 345s; --quick: 50s)",
      duration,
    )
    .option("--size <bytes>", "size of a message (default: 64)", upTo(MAX_BYTES));
}

/** Adds the flags of every lab. */
function withLabFlags(command: Command): Command {
  return command
    .option("--quick", "few sizes and short rounds, for a preview")
    .option("--json [file]", "print the result as JSON, or write it to a file", notEmpty)
    .option("--html <file>", "write a self-contained page with charts and tables", notEmpty)
    .option("--svg <file>", "write the chart as SVG", notEmpty)
    .option("--from <file>", "read the output of --json instead of measuring", notEmpty)
    .option("-q, --quiet", "no progress on standard error");
}

function upTo(max: number): (text: string) => number {
  return wholeNumberFrom(1, max);
}

const names: (text: string) => string[] = listOf((name) => name, "poll,epoll");

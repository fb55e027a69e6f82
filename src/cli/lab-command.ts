import { type Command, InvalidArgumentError, Option } from "commander";
import { duration } from "./arguments.ts";
import type { IdleFlags } from "./lab.ts";

const LAB_EXAMPLES = `
Examples:
  polloi lab idle                         what 15,000 silent descriptors cost each engine
  polloi lab idle --quick                 the same in a second or two, to see how it looks`;

const IDLE_EXAMPLES = `
Examples:
  polloi lab idle
  polloi lab idle --quick --html idle.html
  polloi lab idle --active 100 --writes 1000   a hundred sockets at a time, a thousand further writes
  polloi lab idle --sizes 10,1000,15000 --engines poll,epoll
  polloi lab idle --json > idle.json
  polloi lab idle --from idle.json --svg idle.svg   the picture again, without measuring

--html and --svg need echarts: npm install echarts@6. What is measured and how: docs/lab.md.`;

/** Most sockets that a measurement may have; a limit of descriptors is met long before. */
const MOST = 1_000_000;
const MOST_ACTIVE = 10_000;
const MOST_ROUNDS = 1000;

/** Adds `polloi lab` and what it has. */
export function addLab(program: Command, version: string, exitWith: (code: number) => void): void {
  const lab = program
    .command("lab")
    .summary("measure what the engines cost on this machine, and draw it")
    .description("Measures what the engines cost on this machine, and draws it.")
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
      const { labIdle } = await import("./lab.ts");
      exitWith(await labIdle(flags, version));
    });
}

/** The flags that every lab has. */
function withLabFlags(command: Command): Command {
  return command
    .option("--quick", "few sizes and short rounds: to see how it looks, not for figures")
    .option("--json", "print all of it as JSON")
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

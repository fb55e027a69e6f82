/**
 * The benchmark: `npm run bench -- echo`, `npm run bench -- idle`, `npm run bench -- report`.
 *
 * What is measured, how, and why so is in bench/README.md.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { Command, InvalidArgumentError, Option } from "commander";
import { type Bench, type EchoResult, measureEcho, summarize } from "./echo.ts";
import { cellText, goalsText, openingText } from "./echo-text.ts";
import { type IdleResult, measureIdle } from "./idle.ts";
import { idleText } from "./idle-text.ts";
import { findLoad } from "./load.ts";
import { describeMachine, whyNotFit } from "./machine.ts";
import { findPeers, PEER_NAMES, type SkippedPeer } from "./peers.ts";
import { inOut } from "./places.ts";
import { endChildrenWithThisProcess } from "./processes.ts";
import { report } from "./report.ts";
import { findTools } from "./tools.ts";

interface CommonFlags {
  readonly servers?: readonly string[];
  readonly rounds?: number;
  readonly seconds?: number;
  readonly warmup?: number;
  readonly quick?: boolean;
  readonly json?: string;
  readonly serverCore?: number;
  readonly loadCore?: number;
}

interface EchoFlags extends CommonFlags {
  readonly connections?: readonly number[];
  readonly sizes: readonly number[];
  readonly depth: number;
}

interface IdleFlags extends CommonFlags {
  readonly connections: number;
  readonly steps?: readonly number[];
}

interface Prepared extends Bench {
  readonly warnings: string[];
  readonly skipped: SkippedPeer[];
}

function numberFrom(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value > 0 && Number.isFinite(value)) return value;
  throw new InvalidArgumentError("A number above 0 is wanted.");
}

function wholeFrom(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isInteger(value) && value >= 0) return value;
  throw new InvalidArgumentError("A whole number is wanted.");
}

function numbersFrom(text: string): number[] {
  return text.split(",").map((part) => {
    const value = wholeFrom(part);
    if (value > 0) return value;
    throw new InvalidArgumentError("Numbers above 0 are wanted, separated by commas.");
  });
}

function serversFrom(text: string): string[] {
  const names = text.split(",");
  const unknown = names.find((name) => !PEER_NAMES.includes(name));
  if (unknown === undefined) return names;
  throw new InvalidArgumentError(`There is no ${unknown}; there are ${PEER_NAMES.join(", ")}.`);
}

function prepare(flags: CommonFlags): Prepared {
  const tools = findTools();
  const machine = describeMachine(tools, flags);
  const core = machine.pinned ? machine.loadCore : undefined;
  // The bench itself only waits, but where the server runs even that would be seen.
  if (core !== undefined) {
    execFileSync("taskset", ["-cp", `${core}`, `${process.pid}`], { stdio: "ignore" });
  }
  const load = findLoad(tools, core);
  const { peers, skipped } = findPeers(tools, flags.servers);
  const warnings = load.warning === undefined ? [] : [load.warning];
  console.log(openingText({ machine, warnings, skipped }));
  return { machine, load, peers, skipped, warnings };
}

/** One line that is written over on a terminal, and a line each where there is none. */
function step(text: string): void {
  process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${text}` : `${text}\n`);
}

function stepsAreOver(): void {
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
}

function save(result: EchoResult | IdleResult, path: string | undefined): string {
  mkdirSync(inOut(""), { recursive: true });
  const place = path ?? inOut(`${result.benchmark}.json`);
  writeFileSync(place, `${JSON.stringify(result, null, 1)}\n`);
  return place;
}

async function echo(flags: EchoFlags): Promise<void> {
  const { quick = false, sizes, depth } = flags;
  const settings = {
    connections: flags.connections ?? [50, 500, 5000],
    sizes,
    depth,
    rounds: flags.rounds ?? (quick ? 2 : 5),
    seconds: flags.seconds ?? (quick ? 1 : 3),
    warmup: flags.warmup ?? (quick ? 0.5 : 1),
  };
  const bench = prepare(flags);
  const { machine, skipped, warnings } = bench;
  const cells: EchoResult["cells"] = [];
  const result: EchoResult = {
    benchmark: "echo",
    machine,
    settings,
    warnings,
    skipped,
    cells,
  };
  const late = await measureEcho(bench, settings, {
    step,
    cell(cell) {
      stepsAreOver();
      cells.push(cell);
      console.log(cellText(cell));
      // After each cell, so that a run that is broken off is not lost.
      save(result, flags.json);
    },
  });
  warnings.push(...late);
  for (const warning of late) console.log(`WARNING   ${warning}`);
  const goals = goalsText(cells);
  if (goals !== "") console.log(goals);
  console.log(`\nwritten to ${save(result, flags.json)}`);
  const bad = cells.some((cell) =>
    cell.rows.some((row) => row.failures.length > 0 || summarize(cell, row).faulty),
  );
  if (bad) process.exitCode = 1;
}

async function idle(flags: IdleFlags): Promise<void> {
  const { quick = false, connections } = flags;
  const settings = {
    connections,
    steps: flags.steps ?? (quick ? [100, connections] : [100, 1000, 5000, connections]),
    active: 50,
    rounds: flags.rounds ?? (quick ? 1 : 5),
    seconds: flags.seconds ?? (quick ? 1 : 3),
    warmup: flags.warmup ?? (quick ? 0.5 : 1),
  };
  const bench = prepare(flags);
  const { machine, skipped, warnings } = bench;
  const reason = whyNotFit(machine, Math.max(connections, ...settings.steps) + settings.active);
  if (reason !== undefined) {
    console.error(`bench: ${reason}`);
    process.exitCode = 1;
    return;
  }
  const rows = await measureIdle(bench, settings, step);
  stepsAreOver();
  const result: IdleResult = { benchmark: "idle", machine, settings, warnings, skipped, rows };
  console.log(idleText(result));
  console.log(`\nwritten to ${save(result, flags.json)}`);
  if (rows.some(({ failures }) => failures.length > 0)) process.exitCode = 1;
}

function withCommonFlags(command: Command): Command {
  return command
    .option("--servers <names>", `which servers, of ${PEER_NAMES.join(", ")}`, serversFrom)
    .option("--rounds <count>", "rounds; every server runs once in each (default: 5)", wholeFrom)
    .option("--seconds <seconds>", "measured per server and round (default: 3)", numberFrom)
    .option("--warmup <seconds>", "before that (default: 1)", numberFrom)
    .option("--quick", "short and few rounds: to see that it works, not for figures")
    .option("--json <file>", "where to write the result (default: bench/out)")
    .addOption(new Option("--server-core <core>", "core of the servers").argParser(wholeFrom))
    .addOption(new Option("--load-core <core>", "core of the load").argParser(wholeFrom));
}

endChildrenWithThisProcess();
const program = new Command("bench").description("Measures polloi beside other servers.");
withCommonFlags(program.command("echo").description("messages/s and CPU of echo servers"))
  .option("--connections <counts>", "numbers of connections (default: 50,500,5000)", numbersFrom)
  .option("--sizes <bytes>", "message sizes", numbersFrom, [64, 16384])
  .option("--depth <count>", "messages in flight per connection", wholeFrom, 1)
  .action(echo);
withCommonFlags(program.command("idle").description("memory and CPU cost of idle connections"))
  .option("--connections <count>", "idle connections", wholeFrom, 15_000)
  .option("--steps <counts>", "idle connections beside 50 active ones", numbersFrom)
  .action(idle);
program
  .command("report")
  .description("committed results as Markdown")
  .option("--write", "into README.md, between its markers", false)
  .action((options: { write: boolean }) => {
    const text = report(options);
    console.log(options.write ? "README.md is up to date" : text);
  });

try {
  await program.parseAsync();
} catch (error) {
  console.error(`bench: ${(error as Error).message}`);
  process.exitCode = 1;
}

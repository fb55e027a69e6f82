/** The common parts of all benchmarks: flags, the machine and the servers, progress, and the result. */
import { mkdirSync, writeFileSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import { kernel } from "polloi/internal";
import { divideCores } from "../packages/polloi-tools/src/measure/cores.ts";
import type { Row, Sample } from "../packages/polloi-tools/src/measure/grid.ts";
import { ProgressLine } from "../packages/polloi-tools/src/measure/progress.ts";
import {
  type Figure,
  figureText,
  type Progress,
} from "../packages/polloi-tools/src/measure/report.ts";
import { orderOf } from "../packages/polloi-tools/src/measure/rounds.ts";
import { textTable } from "../packages/polloi-tools/src/measure/table.ts";
import { type Goal, goalTable } from "./goals.ts";
import type { Bench, Outcome } from "./interleave.ts";
import { findLoad, type LoadGenerator } from "./load.ts";
import { describeMachine, type Machine, machineLines, whyNotFit } from "./machine.ts";
import { type FoundPeers, type Peer, type SkippedPeer, thatHold } from "./peers.ts";
import { inOut } from "./places.ts";
import { findTools, type Tools } from "./tools.ts";

/** The flags of every benchmark. */
export interface CommonFlags {
  readonly servers?: readonly string[];
  readonly rounds?: number;
  readonly seconds?: number;
  readonly warmup?: number;
  readonly quick?: boolean;
  readonly json?: string;
  readonly serverCore?: number;
  readonly loadCore?: number;
}

/** The number and the length of rounds. */
export interface Times {
  readonly rounds: number;
  /** Measured per server and round. */
  readonly seconds: number;
  /** Before that, not counted. */
  readonly warmup: number;
}

const DEFAULT_WARMUP = 0.5;
const QUICK: Times = { rounds: 1, seconds: 0.3, warmup: 0.1 };

/** A benchmark on the command line. */
export interface BenchmarkCommand {
  readonly name: string;
  readonly description: string;
  /** The default times, short enough for a run of at most 15 minutes. Without seconds it has no such flag. */
  readonly times: Pick<Times, "rounds"> & Partial<Times>;
  /** The servers that are measured by default, and all that `--servers` accepts. */
  readonly servers?: { readonly usual: readonly string[]; readonly all: readonly string[] };
  /** The names of the cases, if some can be chosen. */
  readonly cases?: readonly string[];
}

/** A number above 0. */
export function numberFrom(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value > 0 && Number.isFinite(value)) return value;
  throw new InvalidArgumentError("Expected a number above 0.");
}

/** An integer, 0 included. */
function wholeFrom(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isInteger(value) && value >= 0) return value;
  throw new InvalidArgumentError("Expected an integer.");
}

/** An integer above 0. */
export function countFrom(text: string): number {
  const value = wholeFrom(text);
  if (value > 0) return value;
  throw new InvalidArgumentError("Expected an integer above 0.");
}

/** Several integers: `50,500`. */
export function countsFrom(text: string): number[] {
  return text.split(",").map(countFrom);
}

/** Some of these names: `hello,file`; `all` selects every one. */
export function namesFrom<Name extends string>(text: string, all: readonly Name[]): Name[] {
  if (text === "all") return [...all];
  const names = text.split(",");
  const unknown = names.find((name) => !(all as readonly string[]).includes(name));
  if (unknown === undefined) return names as Name[];
  throw new InvalidArgumentError(`Unknown name '${unknown}': choose from ${all.join(", ")}.`);
}

/** Adds a benchmark with the common flags. */
export function addBenchmark(
  program: Command,
  { name, description, times, servers, cases }: BenchmarkCommand,
): Command {
  const { rounds, seconds, warmup = DEFAULT_WARMUP } = times;
  const command = program
    .command(name)
    .description(description)
    .option(
      "--rounds <count>",
      `rounds; each measures every server (default: ${rounds})`,
      countFrom,
    )
    .option("--quick", "one short round: to see that it works, not for figures")
    .option("--json <file>", "where to write the result (default: bench/out)")
    .option("--server-core <core>", "core of the servers", wholeFrom)
    .option("--load-core <core>", "core of the load", wholeFrom);
  if (seconds !== undefined) {
    command
      .option(
        "--seconds <seconds>",
        `measured per server and round (default: ${seconds})`,
        numberFrom,
      )
      .option("--warmup <seconds>", `before that (default: ${warmup})`, numberFrom);
  }
  if (servers !== undefined) {
    const { usual, all } = servers;
    command
      .option("--servers <names>", `which servers, or all (default: ${usual.join(",")})`, (text) =>
        namesFrom(text, all),
      )
      .addHelpText("after", `\nServers: ${all.join(", ")}`);
  }
  if (cases !== undefined) {
    const usual = cases.join(",");
    command.option("--cases <names>", `cases to measure (default: ${usual})`, (text) =>
      namesFrom(text, cases),
    );
  }
  return command;
}

/** The times of a run. */
export function timesOf(
  { rounds, seconds, warmup, quick = false }: CommonFlags,
  defaults: BenchmarkCommand["times"],
  quickTimes: Times = QUICK,
): Times {
  const usual = quick ? quickTimes : { seconds: 1, warmup: DEFAULT_WARMUP, ...defaults };
  return {
    rounds: rounds ?? usual.rounds,
    seconds: seconds ?? usual.seconds,
    warmup: warmup ?? usual.warmup,
  };
}

/** The common part of every result. */
export interface Published {
  readonly benchmark: string;
  readonly machine: Machine;
  readonly warnings: readonly string[];
  readonly skipped: readonly SkippedPeer[];
}

/** A benchmark that is about to run. */
export interface Session extends Bench {
  readonly machine: Machine;
  readonly peers: readonly Peer[];
  readonly skipped: SkippedPeer[];
  readonly warnings: string[];
  readonly tools: Tools;
  readonly progress: Progress & { end(): void };
}

/** The requirements of a benchmark. */
export interface Requirements {
  /** Finds the servers. */
  peers(tools: Tools): Promise<FoundPeers>;
  /** The connections that every server has to hold; one that cannot is skipped. */
  readonly connections?: number;
  /** Finds the load generator. Default: that of echo servers. */
  load?(tools: Tools, cores: readonly number[] | undefined): LoadGenerator;
}

/** The benchmark cannot run on this machine. */
export class Refusal extends Error {}

/**
 * Describes the machine, pins this process, builds what is necessary, and prints what was found.
 *
 * @throws Refusal when the machine cannot hold the connections, or no server can run.
 */
export async function open(flags: CommonFlags, needs: Requirements): Promise<Session> {
  const tools = findTools();
  // The number of cores is that of this process, so it is read before the process is pinned.
  const facts = describeMachine(tools);
  const { server, client } = divideCores(kernel, flags.loadCore);
  const { serverCore = server[0] ?? 0, loadCore = client[0] ?? 0 } = flags;
  const machine = { ...facts, serverCore, loadCore, pinned: serverCore !== loadCore };
  const load = (needs.load ?? findLoad)(tools, machine.pinned ? [machine.loadCore] : undefined);
  const { connections = 0 } = needs;
  const reason = whyNotFit(machine, connections);
  if (reason !== undefined) throw new Refusal(reason);
  const { peers, skipped } = thatHold(connections, await needs.peers(tools));
  const warnings = load.warning === undefined ? [] : [load.warning];
  const lines = [
    ...machineLines(machine),
    ...warnings.map((warning) => `WARNING   ${warning}`),
    ...skipped.map(({ label, reason: why }) => `skipped   ${label}: ${why}`),
  ];
  console.log(lines.join("\n"));
  if (peers.length === 0) throw new Refusal("none of these servers can run here");
  return {
    ...{ tools, machine, load, peers, warnings },
    skipped: [...skipped],
    progress: new ProgressLine(process.stderr),
  };
}

/** A row whose samples are still measured. */
export type OpenRow<S extends Sample> = { -readonly [K in keyof Row<S>]: Row<S>[K] } & {
  samples: S[];
};

/** A row for each server, without samples. */
export function emptyRows<S extends Sample>(
  peers: readonly Pick<Peer, "name" | "label">[],
): OpenRow<S>[] {
  return peers.map(({ name, label }) => ({ name, label, samples: [] }));
}

/** Adds the sample of a round, or the reason why there is none. */
export function addSample<S extends Sample>(row: OpenRow<S>, outcome: Outcome<S>): void {
  if (!(outcome instanceof Error)) row.samples.push(outcome);
  else row.absent ??= { reason: outcome.message, failed: true };
}

/** Measures each of `things` by itself once in each round, in alternating order. */
export async function measureEach<S extends Sample, P extends Pick<Peer, "name" | "label"> = Peer>(
  { progress }: Session,
  things: readonly P[],
  rounds: number,
  measure: (thing: P, round: number) => Promise<Omit<S, "round">>,
): Promise<Row<S>[]> {
  const rows = emptyRows<S>(things);
  let done = 0;
  for (let round = 1; round <= rounds; round++) {
    for (const [i, thing] of orderOf([...things.entries()], round)) {
      const steps = rounds * things.length;
      progress.step(`round ${round} of ${rounds}: ${thing.label}`, { done: done++, steps });
      const outcome = await measure(thing, round).catch((error: Error) => error);
      addSample(
        rows[i] as OpenRow<S>,
        outcome instanceof Error ? outcome : ({ round, ...outcome } as S),
      );
    }
  }
  return rows;
}

/** @throws Refusal without the load generator in C. */
export function requireC({ load }: Session, what: string): void {
  if (load.warning !== undefined) {
    throw new Refusal(`${what} needs the load generator in C: ${load.warning}`);
  }
}

/** The report of a result, for the terminal and for Markdown. */
export interface Report {
  /** How it was measured, in sentences. */
  readonly method: string;
  readonly figures: readonly Figure[];
  readonly goals: readonly Goal[];
  /** Whether a server failed. */
  readonly failed: boolean;
}

/** The part of a result that the session provides. */
export function publishedBy<Name extends string>(
  { machine, warnings, skipped }: Session,
  benchmark: Name,
): Published & { readonly benchmark: Name } {
  return { benchmark, machine, warnings, skipped };
}

/** Prints figures below the progress line. */
export function show({ progress }: Session, figures: readonly Figure[]): void {
  progress.end();
  console.log(figures.map(figureText).join("\n"));
}

/** Writes a result to the file of `--json`, or to bench/out. @returns The path. */
export function save(result: Published, { json }: CommonFlags): string {
  mkdirSync(inOut(""), { recursive: true });
  const path = json ?? inOut(`${result.benchmark}.json`);
  writeFileSync(path, `${JSON.stringify(result, null, 1)}\n`);
  return path;
}

/** Prints the method and the goals, writes the result, and sets the exit code if a server failed. */
export function finish(result: Published, report: Report, flags: CommonFlags): void {
  console.log(`\n${report.method}`);
  const goals = goalTable(report.goals);
  if (goals.rows.length > 0) console.log(`\n${textTable(goals)}`);
  console.log(`\nwritten to ${save(result, flags)}`);
  if (report.failed) process.exitCode = 1;
}

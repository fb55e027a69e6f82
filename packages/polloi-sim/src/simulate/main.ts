/**
 * The simulation: `npm run simulate -- --seeds 10000`.
 *
 * Each seed makes a program, its peers, and the decisions of the kernel. It runs on all engines. A seed that violates a
 * rule is printed with the command that runs it again, and as the smallest program that violates the rule.
 */
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { Worker } from "node:worker_threads";
import { Command, InvalidArgumentError } from "commander";
import { Choices } from "../base/choices.ts";
import { FAULT_KINDS, type FaultKind } from "../base/faults.ts";
import { nameOf, type Result, simulate, VARIANTS, type Variant } from "./run.ts";
import {
  DRIVES,
  type Drive,
  type Fixed,
  PROGRAMS,
  type ProgramName,
  type Scenario,
  scenarioOf,
} from "./scenario.ts";
import { type Finding, worldOf } from "./seeds.ts";
import { shrink } from "./shrink.ts";
import { findingText, scenarioText } from "./text.ts";
import { catchErrors } from "./uncaught.ts";
import { type Progress, perform, type Work } from "./work.ts";

/** The options of the command. */
interface Flags {
  readonly seeds?: number;
  readonly seed?: number;
  readonly engine?: Variant[];
  readonly fault?: FaultKind[];
  readonly program?: ProgramName;
  readonly drive?: Drive;
  readonly jobs: number;
  readonly findings: number;
  readonly trace?: true;
  readonly shrink: boolean;
  readonly save?: string;
  readonly replay?: string;
}

/** A program that was made smaller, as a file. */
interface Saved {
  readonly variant: Variant;
  readonly scenario: Scenario;
  readonly taken: readonly number[];
}

const DEFAULT_SEEDS = 1000;
const PROGRESS_MS = 1000;

const command = new Command("simulate")
  .description("Runs polloi on a simulated kernel, in which a seed decides everything.")
  .option("--seeds <number>", `how many seeds (default: ${DEFAULT_SEEDS}, or 1 with --seed)`, whole)
  .option("--seed <number>", "the first seed", whole)
  .option("--engine <names>", `only these: ${VARIANTS.map(nameOf).join(", ")}`, variantsOf)
  .option("--fault <kinds>", "only these faults, or none", faultsOf)
  .option("--program <name>", `only this: ${PROGRAMS.join(", ")}`, oneOf(PROGRAMS))
  .option("--drive <name>", `how the reactor runs: ${DRIVES.join(", ")}`, oneOf(DRIVES))
  .option("--jobs <number>", "threads", whole, 1)
  .option("--findings <number>", "ends after this many failing seeds", whole, 5)
  .option("--trace", "prints the system calls of a failing seed, or of --seed")
  .option("--no-shrink", "does not make failing programs smaller")
  .option("--save <file>", "writes the smallest failing program")
  .option("--replay <file>", "runs a program that was saved");

async function runSeeds(given: Flags): Promise<number> {
  const { seed = 0, jobs, findings: mostFindings } = given;
  const count = given.seeds ?? (given.seed === undefined ? DEFAULT_SEEDS : 1);
  const variants = given.engine ?? VARIANTS;
  const fixed: Fixed = { program: given.program, drive: given.drive, faults: given.fault };
  if (given.trace === true && count === 1) {
    const scenario = scenarioOf(Choices.seeded(seed), fixed);
    for (const variant of variants) await printTrace(scenario, variant, worldOf(seed));
  }
  const totals = new Totals(count, variants.length);
  const timer = setInterval(() => totals.show(), PROGRESS_MS);
  const shares = sharesOf({ first: seed, count, variants, fixed, mostFindings }, jobs);
  await Promise.all(
    shares.map((work) => start(work, jobs > 1, (progress) => totals.add(progress))),
  );
  clearInterval(timer);
  const findings = totals.findings.slice(0, mostFindings);
  for (const finding of findings) {
    console.log(findingText(finding, fixed));
    if (given.shrink) await showSmallest(finding, given);
  }
  totals.end();
  return findings.length === 0 ? 0 : 1;
}

async function showSmallest({ seed, variant, scenario }: Finding, given: Flags): Promise<void> {
  if (variant === undefined) {
    console.log(scenarioText(scenario, given.engine?.[0] ?? (VARIANTS[0] as Variant)));
    return;
  }
  const smallest = await shrink(scenario, variant, seed);
  if (smallest === undefined) {
    console.log("It does not fail when it is run again: it depends on the seeds before it.\n");
    return;
  }
  console.log(`The smallest program that fails (${smallest.taken.length} decisions):`);
  console.log(scenarioText(smallest.scenario, variant));
  for (const { rule, text } of smallest.violations) console.log(`  ${rule}: ${text}`);
  console.log("");
  if (given.save !== undefined) {
    const saved: Saved = { variant, scenario: smallest.scenario, taken: smallest.taken };
    writeFileSync(given.save, JSON.stringify(saved));
  }
  if (given.trace === true) {
    await printTrace(smallest.scenario, variant, Choices.replay(smallest.taken));
  }
}

/** Runs a program that was saved. */
async function replay(file: string, given: Flags): Promise<number> {
  const { variant, scenario, taken } = JSON.parse(readFileSync(file, "utf8")) as Saved;
  const engines = given.engine ?? [variant];
  let failed = 0;
  for (const engine of engines) {
    const choices = Choices.replay(taken);
    const { violations }: Result =
      given.trace === true
        ? await printTrace(scenario, engine, choices)
        : await simulate(scenario, engine, choices);
    console.log(scenarioText(scenario, engine));
    for (const { rule, text } of violations) console.log(`  ${rule}: ${text}`);
    if (violations.length > 0) failed++;
  }
  return failed === 0 ? 0 : 1;
}

async function printTrace(scenario: Scenario, variant: Variant, choices: Choices): Promise<Result> {
  const { traced } = await import("./trace.ts");
  console.log(`${nameOf(variant)}:`);
  return traced(scenario, variant, choices);
}

/** The work of each thread: consecutive seeds. */
function sharesOf(work: Work, jobs: number): Work[] {
  const { first, count } = work;
  return Array.from({ length: Math.min(jobs, count) }, (_, i) => {
    const from = Math.floor((count * i) / jobs);
    const to = Math.floor((count * (i + 1)) / jobs);
    return { ...work, first: first + from, count: to - from };
  });
}

function start(work: Work, inThread: boolean, report: (progress: Progress) => void): Promise<void> {
  if (!inThread) return perform(work, report);
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./seed-worker.js", import.meta.url), { workerData: work });
    worker.on("message", report);
    worker.on("error", reject);
    worker.on("exit", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`A thread ended with ${code} before its seeds were run`));
    });
  });
}

/** Adds up what the threads have done. */
class Totals {
  readonly findings: Finding[] = [];
  readonly #wanted: number;
  readonly #engines: number;
  readonly #startedAt = performance.now();
  readonly #programs: Record<string, number> = {};
  #seeds = 0;

  constructor(wanted: number, engines: number) {
    this.#wanted = wanted;
    this.#engines = engines;
  }

  add({ seeds, programs, findings }: Progress): void {
    this.#seeds += seeds;
    for (const [name, count] of Object.entries(programs)) {
      this.#programs[name] = (this.#programs[name] ?? 0) + count;
    }
    this.findings.push(...findings);
  }

  show(): void {
    if (!process.stderr.isTTY) return;
    process.stderr.write(`\r${this.#seeds} of ${this.#wanted} seeds, ${this.#rate()} a second `);
  }

  end(): void {
    if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
    const programs = Object.entries(this.#programs).filter(([, count]) => count > 0);
    const each = programs.map(([name, count]) => `${name} ${count}`).join(", ");
    const runs = this.#seeds * this.#engines;
    const seconds = (performance.now() - this.#startedAt) / 1000;
    console.log(
      `${this.#seeds} seeds (${each}) on ${this.#engines} engines: ${runs} runs in ` +
        `${seconds.toFixed(1)} s, ${this.#rate()} seeds a second; ${this.findings.length} failed`,
    );
    // The time of the processor does not depend on what else the machine does.
    const { user, system } = process.cpuUsage();
    const cpuSeconds = (user + system) / 1e6;
    const rate = (count: number): string => (count / cpuSeconds).toFixed(0);
    console.log(
      `${cpuSeconds.toFixed(1)} s of CPU time: a second of it runs ${rate(this.#seeds)} seeds, or ` +
        `${rate(runs)} scenarios on one engine`,
    );
  }

  #rate(): number {
    return Math.round((1000 * this.#seeds) / (performance.now() - this.#startedAt));
  }
}

function whole(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0) return value;
  throw new InvalidArgumentError("give a whole number from 0 up");
}

function variantsOf(text: string): Variant[] {
  return text.split(",").flatMap((name) => {
    const found = VARIANTS.filter((it) => nameOf(it) === name || it.engine === name);
    if (found.length > 0) return found;
    throw new InvalidArgumentError(`give some of ${VARIANTS.map(nameOf).join(", ")}`);
  });
}

function faultsOf(text: string): FaultKind[] {
  if (text === "none") return [];
  return text.split(",").map((name) => {
    if (Object.hasOwn(FAULT_KINDS, name)) return name as FaultKind;
    throw new InvalidArgumentError(`give some of ${Object.keys(FAULT_KINDS).join(", ")}; or none`);
  });
}

function oneOf<T extends string>(names: readonly T[]): (text: string) => T {
  return (text) => {
    const found = names.find((name) => name === text);
    if (found !== undefined) return found;
    throw new InvalidArgumentError(`give one of ${names.join(", ")}`);
  };
}

catchErrors();
const flags: Flags = command.parse().opts();
process.exitCode = await (flags.replay === undefined
  ? runSeeds(flags)
  : replay(flags.replay, flags));

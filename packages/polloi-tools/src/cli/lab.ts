import { accessSync, constants, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { kernel } from "polloi/internal";
import { enginesLab, enginesToCompare, measureEngines } from "../lab/engines.ts";
import { findContenders, type IdleSettings, measureIdle, TooFewDescriptors } from "../lab/idle.ts";
import { idleLab } from "../lab/idle-report.ts";
import { measureModels, modelsLab, modelsToCompare } from "../lab/models.ts";
import type { ServingSettings } from "../lab/serving.ts";
import { type Charts, ChartsMissing, openCharts } from "../measure/chart.ts";
import { reportPage } from "../measure/page.ts";
import { ProgressLine } from "../measure/progress.ts";
import {
  type Lab,
  type LabReport,
  type LabResult,
  type LabSession,
  reportText,
} from "../measure/report.ts";
import {
  EXIT_FAILED,
  EXIT_INTERRUPTED,
  EXIT_OK,
  EXIT_USAGE,
  errorLine,
  hintLine,
  UsageError,
} from "./errors.ts";
import { complain, OutputError, print, progressStream, stylerFor } from "./output.ts";
import { StopRequest } from "./signals.ts";

/** The flags of every lab. */
export interface LabFlags {
  readonly quick?: boolean;
  readonly json?: boolean | string;
  readonly quiet?: boolean;
  readonly html?: string;
  readonly svg?: string;
  readonly from?: string;
}

/** The flags of `polloi lab idle`. Times are in milliseconds. */
export interface IdleFlags extends LabFlags {
  readonly active?: number;
  readonly writes?: number;
  readonly sizes?: readonly number[];
  readonly max?: number;
  readonly rounds?: number;
  readonly sample?: number;
  readonly engines?: readonly string[];
  readonly pairs?: boolean;
}

/** The flags of the labs that compare servers. Times are in milliseconds. */
export interface ServingFlags extends LabFlags {
  readonly connections?: readonly number[];
  readonly rounds?: number;
  readonly cell?: number;
  readonly patience?: number;
  readonly limit?: number;
  readonly size?: number;
  /** Of `lab models`. */
  readonly models?: readonly string[];
  /** Of `lab engines`. */
  readonly engines?: readonly string[];
}

const IDLE_SIZES = [10, 30, 100, 300, 1000, 3000, 10_000, 15_000];
const QUICK_IDLE_SIZES = [10, 100, 1000];

/** `polloi lab idle`: measures the cost of a wake-up with many idle descriptors. @returns The exit code. */
export function labIdle(flags: IdleFlags, version: string): Promise<number> {
  return runLab({
    lab: idleLab,
    flags,
    version,
    measure: async (session) => measureIdle(kernel, idleSettings(flags), session),
  });
}

function idleSettings(flags: IdleFlags): IdleSettings {
  const { quick = false, max, engines } = flags;
  const { contenders, skipped } = findContenders(kernel);
  const known = contenders.map(({ name }) => name);
  checkNames("engine", engines, known, skipped);
  const defaults = quick ? QUICK_IDLE_SIZES : IDLE_SIZES;
  const upToMax = max === undefined ? defaults : [...IDLE_SIZES.filter((size) => size < max), max];
  const sizes = flags.sizes ?? upToMax;
  return {
    active: flags.active ?? 1,
    writes: flags.writes ?? 100,
    sizes: [...new Set(sizes)].sort((a, b) => a - b),
    rounds: flags.rounds ?? (quick ? 3 : 7),
    sampleMs: flags.sample ?? (quick ? 5 : 100),
    pairs: flags.pairs === true,
    ...(engines === undefined ? {} : { engines }),
  };
}

const CONNECTIONS = [1, 10, 100, 1000, 10_000];
const QUICK_CONNECTIONS = [1, 10, 100];

/** `polloi lab models`: compares the five serving models. @returns The exit code. */
export function labModels(flags: ServingFlags, version: string): Promise<number> {
  return runLab({
    lab: modelsLab,
    flags,
    version,
    measure: async (session) => {
      const known = modelsToCompare(kernel).map(({ name }) => name);
      checkNames("model", flags.models, known);
      return measureModels(kernel, servingSettings(flags), flags.models, session);
    },
  });
}

/** `polloi lab engines`: compares one event loop on each engine. @returns The exit code. */
export function labEngines(flags: ServingFlags, version: string): Promise<number> {
  return runLab({
    lab: enginesLab,
    flags,
    version,
    measure: async (session) => {
      const { contenders, skipped } = enginesToCompare(kernel);
      const known = contenders.map(({ name }) => name);
      checkNames("engine", flags.engines, known, skipped);
      return measureEngines(kernel, servingSettings(flags), flags.engines, session);
    },
  });
}

function servingSettings(flags: ServingFlags): ServingSettings {
  const { quick = false } = flags;
  const connections = flags.connections ?? (quick ? QUICK_CONNECTIONS : CONNECTIONS);
  return {
    connections: [...new Set(connections)].sort((a, b) => a - b),
    rounds: flags.rounds ?? (quick ? 3 : 5),
    cellMs: flags.cell ?? (quick ? 150 : 800),
    patienceMs: flags.patience ?? (quick ? 5000 : 45_000),
    limitMs: flags.limit ?? (quick ? 50_000 : 345_000),
    sizeBytes: flags.size ?? 64,
  };
}

/** Rejects names that do not exist, or that do not work on this machine. */
function checkNames(
  kind: "model" | "engine",
  names: readonly string[] = [],
  known: readonly string[],
  skipped: readonly { readonly name: string; readonly reason: string }[] = [],
): void {
  for (const name of names) {
    const reason = skipped.find((each) => each.name === name)?.reason;
    if (reason !== undefined) throw new UsageError(`${name} does not work here: ${reason}`);
    if (known.includes(name)) continue;
    throw new UsageError(`there is no ${kind} '${name}': choose from ${known.join(", ")}`);
  }
}

/** An experiment, and the flags to run it with. */
interface LabRun<R extends LabResult> {
  readonly lab: Lab<R>;
  readonly flags: LabFlags;
  /** The version of polloi. */
  readonly version: string;
  /** @throws UsageError when the flags name something that does not exist. */
  measure(session: LabSession): Promise<R>;
}

/** `polloi lab NAME`: measures, or reads a measurement, and prints it. @returns The exit code. */
async function runLab<R extends LabResult>(run: LabRun<R>): Promise<number> {
  const { lab, flags } = run;
  const jsonFile = typeof flags.json === "string" ? flags.json : undefined;
  let what = "";
  try {
    // Checked first, so that no time is spent on a measurement whose results cannot be written.
    for (const path of [flags.html, flags.svg, jsonFile]) {
      what = `cannot write ${path}`;
      if (path !== undefined) accessSync(dirname(path), constants.W_OK);
    }
    what = "cannot draw";
    const charts = flags.html === undefined && flags.svg === undefined ? null : await openCharts();
    what = flags.from === undefined ? "cannot measure" : `cannot read ${flags.from}`;
    const { result, interrupted } =
      flags.from === undefined
        ? await measure(run)
        : { result: readResult(lab, flags.from), interrupted: false };
    what = "cannot write";
    const report = lab.report(result);
    const written = charts === null ? [] : draw(charts, report, flags);
    if (jsonFile !== undefined) {
      writeFileSync(jsonFile, jsonOf(result));
      written.push(jsonFile);
    }
    if (flags.json === true) await print(jsonOf(result));
    else await printReport(report, written);
    if (interrupted) return EXIT_INTERRUPTED;
    return report.failed ? EXIT_FAILED : EXIT_OK;
  } catch (error) {
    if (error instanceof OutputError) throw error;
    if (error instanceof UsageError || error instanceof ChartsMissing) {
      complain(`polloi: ${error.message}\n`);
      return error instanceof UsageError ? EXIT_USAGE : EXIT_FAILED;
    }
    if (error instanceof TooFewDescriptors) {
      complain(`polloi: ${what}: ${error.message}\n`);
      return EXIT_FAILED;
    }
    complain(errorLine(what, error) + hintLine(error));
    return EXIT_FAILED;
  }
}

/** Measures and shows progress. Ctrl-C ends the measurement with partial results, a second one at once. */
async function measure<R extends LabResult>({
  lab,
  flags,
  version,
  measure,
}: LabRun<R>): Promise<{ result: R; interrupted: boolean }> {
  const line = new ProgressLine(progressStream);
  const progress = flags.quiet === true ? { step: (): void => {} } : line;
  const abort = new AbortController();
  using request = new StopRequest(() => process.exit(EXIT_INTERRUPTED));
  request.made.then(() => abort.abort(new Error("interrupted")));
  try {
    const command = commandOf(lab.name, flags);
    const result = await measure({ version, command, progress, signal: abort.signal });
    return { result, interrupted: abort.signal.aborted };
  } finally {
    if (flags.quiet !== true) line.end();
  }
}

/** Flags whose values are times in milliseconds. */
const TIMES: readonly string[] = ["sample", "cell", "patience", "limit"];

/** The command that repeats the measurement, without the flags for output. */
function commandOf(name: string, flags: LabFlags): string {
  const { html, svg, from, json, quiet, ...measuring } = flags;
  const words = Object.entries(measuring).map(([flag, value]) =>
    value === true ? `--${flag}` : `--${flag} ${valueText(flag, value)}`,
  );
  return [`polloi lab ${name}`, ...words].join(" ");
}

function valueText(flag: string, value: unknown): string {
  if (Array.isArray(value)) return value.join(",");
  return TIMES.includes(flag) ? `${value}ms` : `${value}`;
}

function readResult<R extends LabResult>({ name, format }: Lab<R>, path: string): R {
  const result = JSON.parse(readFileSync(path, "utf8")) as Partial<R> | null;
  if (result?.lab === name && result.format === format) return result as R;
  throw new Error(`it is not the output of \`polloi lab ${name} --json\``);
}

function draw(charts: Charts, report: LabReport, { html, svg }: LabFlags): string[] {
  const [first] = report.figures.flatMap(({ chart }) => chart ?? []);
  if (svg !== undefined) {
    if (first === undefined) throw new Error(`${svg}: there is nothing to draw`);
    writeFileSync(svg, charts.lineChart(first));
  }
  if (html !== undefined) writeFileSync(html, reportPage(charts, report));
  return [svg, html].filter((path) => path !== undefined);
}

function printReport(report: LabReport, written: readonly string[]): Promise<void> {
  const style = stylerFor(process.stdout);
  const text = reportText(report, (line) => style("dim", line));
  const files = written.map((path) => `written to ${path}`);
  return print(`${[text, ...files].join("\n")}\n`);
}

function jsonOf(result: LabResult): string {
  return `${JSON.stringify(result, null, 1)}\n`;
}

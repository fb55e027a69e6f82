import { accessSync, constants, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { type Charts, ChartsMissing, openCharts } from "../lab/chart.ts";
import { findContenders } from "../lab/contenders.ts";
import { hostLines } from "../lab/host.ts";
import { type IdleResult, type IdleSettings, measureIdle, TooFewDescriptors } from "../lab/idle.ts";
import { idleChart } from "../lab/idle-chart.ts";
import { idlePage } from "../lab/idle-page.ts";
import { hasFailed, idleText } from "../lab/idle-summary.ts";
import { ProgressLine } from "../lab/progress.ts";
import { kernel } from "../sys/open.ts";
import { EXIT_FAILED, EXIT_OK, EXIT_USAGE } from "./exit-codes.ts";
import { failureLine, hintLine } from "./failure.ts";
import { stylerFor } from "./style.ts";

/** The flags that every lab has. */
export interface LabFlags {
  readonly quick?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly html?: string;
  readonly svg?: string;
  readonly from?: string;
}

/** The flags of `polloi lab idle`. */
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

/** Names what the command line asked for and there is not. */
class UsageError extends Error {}

/** `polloi lab idle`: the cost of one wake-up beside idle descriptors. @returns The exit code. */
export async function labIdle(flags: IdleFlags, version: string): Promise<number> {
  let doing = "";
  try {
    // Before anything is measured: nobody should wait for a figure that cannot be drawn.
    for (const path of [flags.html, flags.svg]) {
      doing = `cannot write ${path}`;
      if (path !== undefined) accessSync(dirname(path), constants.W_OK);
    }
    doing = "cannot draw";
    const charts = flags.html === undefined && flags.svg === undefined ? null : await openCharts();
    doing = flags.from === undefined ? "cannot measure" : `cannot read ${flags.from}`;
    const result =
      flags.from === undefined ? await measure(flags, version) : readResult(flags.from);
    doing = "cannot write";
    const written = charts === null ? [] : draw(charts, result, flags);
    show(result, written, flags.json === true);
    return hasFailed(result) ? EXIT_FAILED : EXIT_OK;
  } catch (error) {
    if (error instanceof UsageError || error instanceof ChartsMissing) {
      process.stderr.write(`polloi: ${error.message}\n`);
      return error instanceof UsageError ? EXIT_USAGE : EXIT_FAILED;
    }
    if (error instanceof TooFewDescriptors) {
      process.stderr.write(`polloi: ${doing}: ${error.message}\n`);
      return EXIT_FAILED;
    }
    process.stderr.write(failureLine(doing, error) + hintLine(error));
    return EXIT_FAILED;
  }
}

async function measure(flags: IdleFlags, version: string): Promise<IdleResult> {
  const settings = settingsFrom(flags);
  const line = new ProgressLine(process.stderr);
  const silent = { step: (): void => {} };
  const progress = flags.quiet === true ? silent : line;
  try {
    return await measureIdle(kernel, settings, { version, command: commandFrom(flags), progress });
  } finally {
    if (flags.quiet !== true) line.end();
  }
}

const SIZES = [10, 30, 100, 300, 1000, 3000, 10_000, 15_000];
const QUICK_SIZES = [10, 100, 1000];

function settingsFrom(flags: IdleFlags): IdleSettings {
  const { quick = false, max, engines } = flags;
  checkEngines(engines);
  const usual = quick ? QUICK_SIZES : SIZES;
  const upToMax = max === undefined ? usual : [...SIZES.filter((size) => size < max), max];
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

function checkEngines(asked: readonly string[] | undefined): void {
  if (asked === undefined) return;
  const { contenders, skipped } = findContenders(kernel);
  const known = contenders.map(({ name }) => name);
  for (const name of asked) {
    const reason = skipped.find((each) => each.name === name)?.reason;
    if (reason !== undefined) throw new UsageError(`${name} does not work here: ${reason}`);
    if (known.includes(name)) continue;
    throw new UsageError(`there is no engine '${name}': choose from ${known.join(", ")}`);
  }
}

/** The command that measures the same, without where it was written to. */
function commandFrom(flags: IdleFlags): string {
  const { html, svg, from, json, quiet, ...measuring } = flags;
  const words = Object.entries(measuring).map(([name, value]) =>
    value === true ? `--${name}` : `--${name} ${Array.isArray(value) ? value.join(",") : value}`,
  );
  return ["polloi lab idle", ...words].join(" ");
}

function readResult(path: string): IdleResult {
  const result = JSON.parse(readFileSync(path, "utf8")) as Partial<IdleResult> | null;
  if (result?.lab === "idle" && result.format === 1) return result as IdleResult;
  throw new Error("it is not what `polloi lab idle --json` prints");
}

function draw(charts: Charts, result: IdleResult, { html, svg }: LabFlags): string[] {
  if (svg !== undefined) writeFileSync(svg, charts.lineChart(idleChart(result, "cpuUs")));
  if (html !== undefined) writeFileSync(html, idlePage(charts, result));
  return [svg, html].filter((path) => path !== undefined);
}

function show(result: IdleResult, written: readonly string[], json: boolean): void {
  if (json) {
    process.stdout.write(`${JSON.stringify(result, null, 1)}\n`);
    return;
  }
  const style = stylerFor(process.stdout);
  const host = hostLines(result.host).map((line) => style("dim", line));
  const files = written.map((path) => `written to ${path}`);
  process.stdout.write(`${[...host, idleText(result), ...files].join("\n")}\n`);
}

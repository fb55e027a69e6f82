import { accessSync, constants, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { TooFewDescriptors } from "../lab/idle.ts";
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
import { EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE } from "./exit-codes.ts";
import { failureLine, hintLine } from "./failure.ts";
import { complain, OutputError, print, progressStream } from "./output.ts";
import { stylerFor } from "./style.ts";

/** The flags that every lab has. */
export interface LabFlags {
  readonly quick?: boolean;
  readonly json?: boolean | string;
  readonly quiet?: boolean;
  readonly html?: string;
  readonly svg?: string;
  readonly from?: string;
}

/** Names what the command line asked for and there is not. */
export class UsageError extends Error {}

/** An experiment, as the command line runs it. */
export interface LabRun<R extends LabResult> {
  readonly lab: Lab<R>;
  readonly flags: LabFlags;
  /** Of polloi. */
  readonly version: string;
  /** @throws UsageError for what there is not. */
  measure(session: LabSession): Promise<R>;
}

/** `polloi lab NAME`: measures, or reads what was measured, and shows it. @returns The exit code. */
export async function runLab<R extends LabResult>(run: LabRun<R>): Promise<number> {
  const { lab, flags } = run;
  const jsonFile = typeof flags.json === "string" ? flags.json : undefined;
  let doing = "";
  try {
    // Before anything is measured: nobody should wait for a figure that cannot be drawn.
    for (const path of [flags.html, flags.svg, jsonFile]) {
      doing = `cannot write ${path}`;
      if (path !== undefined) accessSync(dirname(path), constants.W_OK);
    }
    doing = "cannot draw";
    const charts = flags.html === undefined && flags.svg === undefined ? null : await openCharts();
    doing = flags.from === undefined ? "cannot measure" : `cannot read ${flags.from}`;
    const { result, interrupted } =
      flags.from === undefined
        ? await measure(run)
        : { result: readResult(lab, flags.from), interrupted: false };
    doing = "cannot write";
    const report = lab.report(result);
    const written = charts === null ? [] : draw(charts, report, flags);
    if (jsonFile !== undefined) {
      writeFileSync(jsonFile, jsonOf(result));
      written.push(jsonFile);
    }
    if (flags.json === true) await print(jsonOf(result));
    else await show(report, written);
    if (interrupted) return EXIT_INTERRUPTED;
    return report.failed ? EXIT_FAILED : EXIT_OK;
  } catch (error) {
    if (error instanceof OutputError) throw error;
    if (error instanceof UsageError || error instanceof ChartsMissing) {
      complain(`polloi: ${error.message}\n`);
      return error instanceof UsageError ? EXIT_USAGE : EXIT_FAILED;
    }
    if (error instanceof TooFewDescriptors) {
      complain(`polloi: ${doing}: ${error.message}\n`);
      return EXIT_FAILED;
    }
    complain(failureLine(doing, error) + hintLine(error));
    return EXIT_FAILED;
  }
}

/** Measures, with a line that tells how far it is; Ctrl-C ends it with what there is, a second one at once. */
async function measure<R extends LabResult>({
  lab,
  flags,
  version,
  measure,
}: LabRun<R>): Promise<{ result: R; interrupted: boolean }> {
  const line = new ProgressLine(progressStream);
  const progress = flags.quiet === true ? { step: (): void => {} } : line;
  const abort = new AbortController();
  const interrupt = (): void => {
    if (abort.signal.aborted) process.exit(EXIT_INTERRUPTED);
    abort.abort(new Error("interrupted"));
  };
  const signals = ["SIGINT", "SIGTERM"] as const;
  for (const signal of signals) process.on(signal, interrupt);
  try {
    const command = commandOf(lab.name, flags);
    const result = await measure({ version, command, progress, signal: abort.signal });
    return { result, interrupted: abort.signal.aborted };
  } finally {
    for (const signal of signals) process.off(signal, interrupt);
    if (flags.quiet !== true) line.end();
  }
}

/** Flags whose values are durations, which the command line has turned into milliseconds. */
const TIMES: readonly string[] = ["sample", "cell", "patience", "limit"];

/** The command that measures the same, without where it was written to. */
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
  throw new Error(`it is not what \`polloi lab ${name} --json\` prints`);
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

function show(report: LabReport, written: readonly string[]): Promise<void> {
  const style = stylerFor(process.stdout);
  const text = reportText(report, (line) => style("dim", line));
  const files = written.map((path) => `written to ${path}`);
  return print(`${[text, ...files].join("\n")}\n`);
}

function jsonOf(result: LabResult): string {
  return `${JSON.stringify(result, null, 1)}\n`;
}

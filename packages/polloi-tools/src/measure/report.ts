import type { LineChart } from "./chart-options.ts";
import { type Host, hostLines } from "./host.ts";
import { markdownTable, type Table, textTable } from "./table.ts";

/** A table, and a chart of the same figures where there is one. */
export interface Figure {
  readonly title: string;
  /** Follows the title: a unit, the number of rounds. */
  readonly note?: string;
  readonly table: Table;
  /** Lines below the table: what its marks mean, what was left out. */
  readonly remarks?: readonly string[];
  readonly chart?: LineChart | undefined;
  /** The name of the file when its chart is saved, without extension. */
  readonly file?: string;
}

/** A figure as text. */
export function figureText({ title, note = "", table, remarks = [] }: Figure): string {
  return [`\n${title}${note}`, textTable(table), ...remarks].join("\n");
}

/** A figure as Markdown, with its title in the first cell of the table. */
export function figureMarkdown({ title, note = "", table, remarks = [] }: Figure): string {
  const header = [`${title}${note}`, ...table.header.slice(1)].map(escaped);
  const rows = table.rows.map((row) => row.map(escaped));
  return [markdownTable({ header, rows }), ...remarks.map(escaped)].join("\n\n");
}

/** Escapes the characters that Markdown takes for emphasis or HTML. */
export function escaped(text: string): string {
  return text.replace(/[*~<>]/g, "\\$&");
}

/** The common part of every result of the lab, as `--json` prints it and `--from` reads it. */
export interface LabResult {
  readonly lab: string;
  readonly format: number;
  readonly host: Host;
}

/** The report of a run, from which the terminal's text, the page and the picture are made. */
export interface LabReport {
  readonly title: string;
  /** About three sentences about the figures. */
  readonly findings: readonly string[];
  /** `--svg` draws the first one. */
  readonly figures: readonly Figure[];
  /** The limits of the figures, a line each: disturbances, cells that were left out. */
  readonly remarks: readonly string[];
  /** A description of the figures that does not depend on the results. */
  readonly method: readonly string[];
  readonly failed: boolean;
  readonly result: LabResult;
}

/** An experiment of the lab, without its measurement. */
export interface Lab<R extends LabResult> {
  /** As on the command line: `polloi lab NAME`. */
  readonly name: R["lab"];
  /** Raised when older results can no longer be read. */
  readonly format: R["format"];
  report(result: R): LabReport;
}

/** The surroundings of a measurement. */
export interface LabSession {
  /** The version of polloi. */
  readonly version: string;
  /** The command that measures the same again. */
  readonly command: string;
  readonly progress: Progress;
  /** Aborting it ends the measurement; the samples so far are the result. */
  readonly signal: AbortSignal;
}

/** Receives the progress of a run. */
export interface Progress {
  /** Describes the next step, with `done` of `steps` finished: numbers of steps, or milliseconds. */
  step(text: string, at: { readonly done: number; readonly steps: number }): void;
}

/** A report as text for a terminal. */
export function reportText(report: LabReport, dim: (line: string) => string): string {
  const { figures, remarks, findings, method, result } = report;
  return [
    ...hostLines(result.host).map(dim),
    ...figures.map(figureText),
    "",
    ...findings.map((line) => `* ${line}`),
    "",
    ...remarks,
    "",
    ...method.map(dim),
  ].join("\n");
}

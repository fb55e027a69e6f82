import type { LineChart } from "./chart-types.ts";
import { type Host, hostLines } from "./host.ts";
import { type Table, textTable } from "./table.ts";

/** What every run of a lab has, as `--json` prints it and `--from` reads it. */
export interface LabResult {
  readonly lab: string;
  readonly format: number;
  readonly host: Host;
}

/** One figure of a report: a table, and the chart of the same if it can be drawn. */
export interface Figure {
  readonly title: string;
  /** What the figures are, below the title of the table: a unit, what of it. */
  readonly note: string;
  readonly table: Table;
  readonly chart?: LineChart | undefined;
  /** What its picture is called when it is saved, without an ending. */
  readonly file: string;
}

/** What a run says: the same for a terminal, for a page, and for a picture. */
export interface LabReport {
  readonly title: string;
  /** What it shows, from its own figures: three sentences or so. */
  readonly findings: readonly string[];
  /** The first one is what `--svg` draws. */
  readonly figures: readonly Figure[];
  /** What has to be known before believing it, a line each. */
  readonly remarks: readonly string[];
  /** What exactly the figures are, whatever they say. */
  readonly meaning: readonly string[];
  readonly failed: boolean;
  readonly result: LabResult;
}

/** An experiment, as far as it is told and drawn: what measures it is its own. */
export interface Lab<R extends LabResult> {
  /** As on the command line: `polloi lab NAME`. */
  readonly name: R["lab"];
  /** Raised when results of before cannot be read any more. */
  readonly format: R["format"];
  report(result: R): LabReport;
}

/** What is given to whatever measures. */
export interface LabSession {
  /** Of polloi. */
  readonly version: string;
  /** The command that measures the same again. */
  readonly command: string;
  readonly progress: Progress;
  /** Once it is aborted, what is under way is ended, and what there is so far is the result. */
  readonly signal: AbortSignal;
}

/** Who is told how far it is. */
export interface Progress {
  /** What is next, with `done` of `steps` done: numbers of steps, or of milliseconds. */
  step(text: string, at: { readonly done: number; readonly steps: number }): void;
}

/** A report as it is shown on a terminal. */
export function reportText(report: LabReport, dim: (line: string) => string): string {
  const { figures, remarks, findings, meaning, result } = report;
  return [
    ...hostLines(result.host).map(dim),
    ...figures.map(
      ({ title, note, table }) => `\n${title}${note}\n${textTable(table.header, table.rows)}`,
    ),
    "",
    ...findings.map((line) => `* ${line}`),
    "",
    ...remarks,
    "",
    ...meaning.map(dim),
  ].join("\n");
}

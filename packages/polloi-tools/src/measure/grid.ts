/**
 * The data of every experiment: contenders that are measured in several cases or sizes, in several rounds; and the
 * tables, charts and ratios made from it.
 */
import type { LineChart } from "./chart-options.ts";
import { pairedRatios, type Spread, spreadOf } from "./spread.ts";
import { listed, percent, spreadText, type Table, twoDecimals, whole } from "./table.ts";

/** One repetition of a measurement. */
export interface Sample {
  /** From 1. */
  readonly round: number;
}

/** Why there are no samples, or no more of them. */
export interface Absence {
  readonly reason: string;
  /** True for an error; false when the machine or the contender cannot hold what was asked for. */
  readonly failed: boolean;
}

/** The samples of one contender in one case. */
export interface Samples<S extends Sample> {
  readonly samples: readonly S[];
  readonly absent?: Absence | undefined;
}

/** One contender in one case, with the label that tables show. */
export interface Row<S extends Sample> extends Samples<S> {
  readonly name: string;
  readonly label: string;
}

/** One contender at one size. */
export interface Cell<S extends Sample> extends Samples<S> {
  readonly name: string;
  readonly at: number;
}

/** Every contender at every size. */
export interface Grid<S extends Sample> {
  /** The unit of sizes: `connections`. */
  readonly of: string;
  readonly contenders: readonly { readonly name: string; readonly label: string }[];
  readonly cells: readonly Cell<S>[];
}

/** A figure of a sample; undefined where the sample has none: no latency without an answer. */
export type Value<S> = (sample: S) => number | undefined;

/** A figure of a sample, and how it is shown. */
export interface Measure<S extends Sample> {
  readonly title: string;
  readonly unit: string;
  readonly value: Value<S>;
  readonly format: (value: number) => string;
  /** The detection limit at a size: a smaller value is shown as less than this. Default: none. */
  readonly least?: (at: number) => number;
  /** Marks behind a figure that needs an explanation: `~`. */
  readonly mark?: (cell: Cell<S>) => string;
}

/** The number of rounds that have to agree before a difference is reported. */
export const ENOUGH_ROUNDS = 3;

/** The values of a contender, a figure a round. */
export function valuesOf<S extends Sample>(of: Samples<S> | undefined, value: Value<S>): number[] {
  return (of?.samples ?? []).flatMap((sample) => value(sample) ?? []);
}

/** The spread over the rounds; undefined where nothing was measured. */
export function spreadIn<S extends Sample>(
  of: Samples<S> | undefined,
  value: Value<S>,
): Spread | undefined {
  return spreadOf(valuesOf(of, value));
}

/** The ratios of two contenders, a figure for each round that both have. */
export function ratiosOf<S extends Sample>(
  value: Value<S>,
  of: Samples<S> | undefined,
  reference: Samples<S> | undefined,
): number[] {
  const byRound = (samples: readonly S[] = []): (number | undefined)[] => {
    const values: (number | undefined)[] = [];
    for (const sample of samples) values[sample.round] = value(sample);
    return values;
  };
  return pairedRatios(byRound(of?.samples), byRound(reference?.samples));
}

/** The spread of {@link ratiosOf}; undefined when too few rounds have both. */
export function ratioOf<S extends Sample>(
  value: Value<S>,
  of: Samples<S>,
  reference: Samples<S>,
): Spread | undefined {
  const ratios = ratiosOf(value, of, reference);
  return ratios.length < ENOUGH_ROUNDS ? undefined : spreadOf(ratios);
}

/** Whether this holds in at least half of the rounds. */
export function mostly<S extends Sample>(
  { samples }: Samples<S>,
  holds: (sample: S) => boolean,
): boolean {
  return samples.length > 0 && 2 * samples.filter(holds).length >= samples.length;
}

/** Whether a contender failed in any case: then the run has failed. */
export function hasFailed(all: readonly Pick<Samples<Sample>, "absent">[]): boolean {
  return all.some(({ absent }) => absent?.failed === true);
}

/** The cells that were left out or failed: a line for each contender and reason, with the sizes if there are any. */
export function absenceLines(
  all: readonly (Pick<Samples<Sample>, "absent"> & {
    readonly label: string;
    readonly at?: number;
  })[],
): string[] {
  const lines = new Map<string, string[]>();
  for (const { label, at, absent } of all) {
    if (absent === undefined) continue;
    const line = `${absent.failed ? "failed" : "left out"}: ${label}\n: ${absent.reason}`;
    lines.set(line, [...(lines.get(line) ?? []), ...(at === undefined ? [] : [whole(at)])]);
  }
  return [...lines].map(([line, sizes]) =>
    line.replace("\n", sizes.length === 0 ? "" : ` at ${listed(sizes)}`),
  );
}

/** A column of a table that has a row for each contender. */
export interface Column<S extends Sample> {
  readonly title: string;
  text(row: Row<S>): string;
}

/** A table with a row for each contender. */
export function rowTable<S extends Sample>(
  first: string,
  rows: readonly Row<S>[],
  columns: readonly Column<S>[],
): Table {
  return {
    header: [first, ...columns.map(({ title }) => title)],
    rows: rows.map((row) => [row.label, ...columns.map((column) => column.text(row))]),
  };
}

/** A column of `median (min-max)`. */
export function spreadColumn<S extends Sample>(
  title: string,
  value: Value<S>,
  format: (value: number) => string = twoDecimals,
): Column<S> {
  return {
    title: `${title} (min-max)`,
    text: (row) => spreadText(spreadIn(row, value), format),
  };
}

/** A column of medians. */
export function medianColumn<S extends Sample>(
  title: string,
  value: Value<S>,
  format: (value: number) => string = whole,
): Column<S> {
  return {
    title,
    text: (row) => {
      const median = spreadIn(row, value)?.median;
      return median === undefined ? "-" : format(median);
    },
  };
}

/** A column of medians that are shares: `97 %`. */
export function shareColumn<S extends Sample>(title: string, value: Value<S>): Column<S> {
  return medianColumn(title, value, percent);
}

/** A column of ratios to a reference, taken within each round. */
export function ratioColumn<S extends Sample>(
  title: string,
  value: Value<S>,
  reference: Samples<S> | undefined,
): Column<S> {
  return {
    title: `${title} (min-max)`,
    text: (row) => spreadText(spreadOf(ratiosOf(value, row, reference))),
  };
}

/** The sizes of a grid, ascending. */
export function sizesOf({ cells }: Grid<Sample>): number[] {
  return [...new Set(cells.map(({ at }) => at))].sort((a, b) => a - b);
}

export function cellAt<S extends Sample>(
  { cells }: Grid<S>,
  name: string,
  at: number,
): Cell<S> | undefined {
  return cells.find((cell) => cell.name === name && cell.at === at);
}

/** The cells of one contender that have samples, by size. */
export function measuredBy<S extends Sample>({ cells }: Grid<S>, name: string): Cell<S>[] {
  return cells
    .filter((cell) => cell.name === name && cell.samples.length > 0)
    .sort((one, other) => one.at - other.at);
}

/** {@link absenceLines} of a grid. */
export function gridAbsences<S extends Sample>({ contenders, cells }: Grid<S>): string[] {
  return absenceLines(
    contenders.flatMap(({ name, label }) =>
      cells.filter((cell) => cell.name === name).map(({ at, absent }) => ({ label, at, absent })),
    ),
  );
}

/** Whether a cell's figure is above the detection limit at its size. */
export function isDetected<S extends Sample>(cell: Cell<S>, measure: Measure<S>): boolean {
  const median = spreadIn(cell, measure.value)?.median ?? 0;
  return median >= (measure.least?.(cell.at) ?? Number.NEGATIVE_INFINITY);
}

/** A figure in a table: `12.3 (11.0-12.9)~`, `< 2.1`, `-`. */
export function figureText<S extends Sample>(
  cell: Cell<S> | undefined,
  measure: Measure<S>,
): string {
  const spread = spreadIn(cell, measure.value);
  if (cell === undefined || spread === undefined) return "-";
  const mark = measure.mark?.(cell) ?? "";
  if (!isDetected(cell, measure)) {
    return `< ${measure.format(measure.least?.(cell.at) ?? 0)}${mark}`;
  }
  // One round has no spread.
  const isOne = cell.samples.length === 1;
  return (isOne ? measure.format(spread.median) : spreadText(spread, measure.format)) + mark;
}

/** A table with a row for each size and a column for each contender. */
export function gridTable<S extends Sample>(
  grid: Grid<S>,
  text: (cell: Cell<S> | undefined) => string,
): Table {
  return {
    header: [grid.of, ...grid.contenders.map(({ label }) => label)],
    rows: sizesOf(grid).map((at) => [
      whole(at),
      ...grid.contenders.map(({ name }) => text(cellAt(grid, name, at))),
    ]),
  };
}

/** A line for each contender over the sizes, shaded from the smallest to the largest value. */
export function gridChart<S extends Sample>(
  grid: Grid<S>,
  measure: Measure<S>,
  text: Pick<LineChart, "title" | "subtitle" | "footer" | "x" | "y"> & {
    /** Contenders whose line may lie on that of another. */
    readonly dashed?: ReadonlySet<string>;
  },
): LineChart | undefined {
  const { dashed, ...rest } = text;
  const series = grid.contenders.flatMap(({ name, label }) => {
    const points = measuredBy(grid, name).flatMap((cell) => {
      const spread = spreadIn(cell, measure.value);
      if (spread === undefined || spread.min <= 0 || !isDetected(cell, measure)) return [];
      return [{ x: cell.at, y: spread.median, low: spread.min, high: spread.max }];
    });
    if (points.length === 0) return [];
    return [{ name: label, key: name, points, dashed: dashed?.has(name) ?? false }];
  });
  return series.length === 0 ? undefined : { ...rest, series };
}

/** How a contender's figure changes from one size to another. */
export interface Growth {
  readonly label: string;
  readonly from: number;
  readonly to: number;
  /** The last figure divided by the first, round by round. */
  readonly ratio: Spread;
}

/** The growth of every contender that was measured at two sizes or more, from `from` up. */
export function growthIn<S extends Sample>(grid: Grid<S>, value: Value<S>, from = 0): Growth[] {
  return grid.contenders.flatMap(({ name, label }) => {
    const measured = measuredBy(grid, name).filter(({ at }) => at >= from);
    const [first, last] = [measured[0], measured.at(-1)];
    if (first === undefined || last === undefined || first === last) return [];
    const ratio = ratioOf(value, last, first);
    return ratio === undefined ? [] : [{ label, from: first.at, to: last.at, ratio }];
  });
}

/**
 * What every experiment is: something measured at several sizes by several contenders, again and again. Its
 * tables, charts and comparisons are made here, whatever it is.
 */
import type { LineChart } from "./chart-types.ts";
import { pairedRatios, type Spread, spreadOf } from "./spread.ts";
import { listed, spreadText, type Table, whole } from "./table.ts";

/** One repetition of one cell. */
export interface Round {
  readonly round: number;
}

/** Why there are no figures, or no more of them. */
export interface Absence {
  readonly reason: string;
  /** Whether something did not do what it must; else there is only no room for it here. */
  readonly failed: boolean;
}

/** One contender at one size. */
export interface GridCell<S extends Round> {
  readonly name: string;
  readonly at: number;
  readonly samples: readonly S[];
  readonly absent?: Absence | undefined;
}

/** Everything that was measured. */
export interface Grid<S extends Round> {
  /** What sizes are numbers of: `connections`. */
  readonly of: string;
  readonly contenders: readonly { readonly name: string; readonly label: string }[];
  readonly cells: readonly GridCell<S>[];
}

/** What of a sample is looked at. */
export interface Measure<S extends Round> {
  readonly title: string;
  readonly unit: string;
  /** Undefined where a sample has nothing of it: no latency without an answer. */
  readonly value: (sample: S) => number | undefined;
  /** A figure in a table, and in words. */
  readonly format: (value: number) => string;
  /** Below this, at a size, a value is told as less than it. Default: every value is told as it is. */
  readonly least?: (at: number) => number;
  /** What is behind a figure that needs a word: `~`. */
  readonly mark?: (cell: GridCell<S>) => string;
}

/** The sizes at which anything was to be measured, ascending. */
export function sizesOf({ cells }: Grid<Round>): number[] {
  return [...new Set(cells.map(({ at }) => at))].sort((a, b) => a - b);
}

export function cellAt<S extends Round>(
  { cells }: Grid<S>,
  name: string,
  at: number,
): GridCell<S> | undefined {
  return cells.find((cell) => cell.name === name && cell.at === at);
}

/** The cells of one contender that were measured, by size. */
export function measuredBy<S extends Round>({ cells }: Grid<S>, name: string): GridCell<S>[] {
  return cells
    .filter((cell) => cell.name === name && cell.samples.length > 0)
    .sort((one, other) => one.at - other.at);
}

/** The spread of a cell over its rounds; undefined where nothing was measured. */
export function spreadIn<S extends Round>(
  cell: GridCell<S> | undefined,
  { value }: Pick<Measure<S>, "value">,
): Spread | undefined {
  return spreadOf((cell?.samples ?? []).flatMap((sample) => value(sample) ?? []));
}

/** So many rounds have to agree before anything is said of a difference. */
export const ENOUGH_ROUNDS = 3;

/** One cell by another, each round by itself; undefined when too few rounds have both. */
export function ratioOf<S extends Round>(
  { value }: Pick<Measure<S>, "value">,
  cell: GridCell<S>,
  reference: GridCell<S>,
): Spread | undefined {
  const byRound = ({ samples }: GridCell<S>): (number | undefined)[] => {
    const values: (number | undefined)[] = [];
    for (const sample of samples) values[sample.round] = value(sample);
    return values;
  };
  const ratios = pairedRatios(byRound(cell), byRound(reference));
  return ratios.length < ENOUGH_ROUNDS ? undefined : spreadOf(ratios);
}

/** Whether a cell's figure is larger than what can be told at its size. */
export function isTold<S extends Round>(cell: GridCell<S>, measure: Measure<S>): boolean {
  const median = spreadIn(cell, measure)?.median ?? 0;
  return median >= (measure.least?.(cell.at) ?? Number.NEGATIVE_INFINITY);
}

/** A figure as the table has it: `12.3 (11.0-12.9)~`, `< 2.1`, `-`. */
export function figureText<S extends Round>(
  cell: GridCell<S> | undefined,
  measure: Measure<S>,
): string {
  const spread = spreadIn(cell, measure);
  if (cell === undefined || spread === undefined) return "-";
  const least = measure.least?.(cell.at) ?? 0;
  const mark = measure.mark?.(cell) ?? "";
  if (!isTold(cell, measure)) return `< ${measure.format(least)}${mark}`;
  // One round has no spread to show.
  const { median } = spread;
  return (
    (cell.samples.length === 1 ? measure.format(median) : spreadText(spread, measure.format)) + mark
  );
}

/** A row for each size, a column for each contender. */
export function gridTable<S extends Round>(grid: Grid<S>, measure: Measure<S>): Table {
  return {
    header: [grid.of, ...grid.contenders.map(({ label }) => label)],
    rows: sizesOf(grid).map((at) => [
      whole(at),
      ...grid.contenders.map(({ name }) => figureText(cellAt(grid, name, at), measure)),
    ]),
  };
}

/** Lines over the sizes, both in powers of ten, shaded from the smallest to the largest. */
export function gridChart<S extends Round>(
  grid: Grid<S>,
  measure: Measure<S>,
  text: Pick<LineChart, "title" | "subtitle" | "footer" | "x" | "y"> & {
    /** Contenders whose line may lie on that of another. */
    readonly dashed?: ReadonlySet<string>;
  },
): LineChart {
  const { dashed, ...rest } = text;
  return {
    ...rest,
    series: grid.contenders.flatMap(({ name, label }) => {
      const points = measuredBy(grid, name).flatMap((cell) => {
        const spread = spreadIn(cell, measure);
        if (spread === undefined || spread.min <= 0 || !isTold(cell, measure)) return [];
        return [{ x: cell.at, y: spread.median, low: spread.min, high: spread.max }];
      });
      return points.length === 0
        ? []
        : [{ name: label, key: name, points, dashed: dashed?.has(name) ?? false }];
    }),
  };
}

/** How a contender's figure has grown from one size to another. */
export interface Growth {
  readonly label: string;
  readonly from: number;
  readonly to: number;
  /** The last by the first, round by round. */
  readonly ratio: Spread;
}

/** The growth of every contender that was measured at two sizes or more, from `from` up. */
export function growthIn<S extends Round>(
  grid: Grid<S>,
  measure: Pick<Measure<S>, "value">,
  from = 0,
): Growth[] {
  return grid.contenders.flatMap(({ name, label }) => {
    const measured = measuredBy(grid, name).filter(({ at }) => at >= from);
    const [first, last] = [measured[0], measured.at(-1)];
    if (first === undefined || last === undefined || first === last) return [];
    const ratio = ratioOf(measure, last, first);
    return ratio === undefined ? [] : [{ label, from: first.at, to: last.at, ratio }];
  });
}

/** What was left out or failed, and at which sizes, a line for each reason. */
export function absenceLines<S extends Round>({ contenders, cells }: Grid<S>): string[] {
  return contenders.flatMap(({ name, label }) => {
    const by = new Map<string, number[]>();
    for (const { name: whose, at, absent } of cells) {
      if (whose !== name || absent === undefined) continue;
      const line = `${absent.failed ? "failed" : "left out"}: ${label} at \n: ${absent.reason}`;
      by.set(line, [...(by.get(line) ?? []), at]);
    }
    return [...by].map(([line, sizes]) => line.replace("\n", listed(sizes.map(whole))));
  });
}

/** Whether anything did not do what it must: then the run has failed, whatever else it has found. */
export function hasFailed({ cells }: Grid<Round>): boolean {
  return cells.some(({ absent }) => absent?.failed === true);
}

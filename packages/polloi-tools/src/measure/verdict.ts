/** Comparisons in words that say no more than the spread allows. */
import type { Grid, GridCell, Growth, Measure, Round } from "./grid.ts";
import { cellAt, ENOUGH_ROUNDS, figureText, ratioOf, sizesOf, spreadIn } from "./grid.ts";
import type { Spread } from "./spread.ts";
import { listed, spoken, spreadText, threeFigures, whole } from "./table.ts";

/** A ratio within this of 1 is no difference that anybody should act on, however narrow its range. */
const ALIKE = 0.05;

/** Whether every round found the same: the one was larger. */
export function isApart({ min, max, median }: Spread): boolean {
  return Math.abs(median - 1) > ALIKE && (min > 1 || max < 1);
}

/** Which way round is better. */
export type Better = "more" | "less";

/** Who came first at a size, and by how much. */
export interface Ranking<S extends Round> {
  readonly at: number;
  readonly best: GridCell<S>;
  /** Those of which some round found no difference. */
  readonly alike: readonly GridCell<S>[];
  /** The others, and the better one's figure by theirs (`"more"`) or theirs by its (`"less"`). */
  readonly behind: readonly { readonly cell: GridCell<S>; readonly ratio: Spread }[];
  /** Those that ran in too few of the same rounds to be compared. */
  readonly untold: readonly GridCell<S>[];
}

/** Ranks the contenders at a size; undefined unless there are two to compare. */
export function rank<S extends Round>(
  cells: readonly GridCell<S>[],
  measure: Pick<Measure<S>, "value">,
  better: Better,
): Ranking<S> | undefined {
  const median = (cell: GridCell<S>): number => spreadIn(cell, measure)?.median ?? Number.NaN;
  const sorted = cells
    .filter(({ samples }) => samples.length > 0)
    .sort((one, other) => (median(other) - median(one)) * (better === "more" ? 1 : -1));
  const [best, ...others] = sorted;
  if (best === undefined || others.length === 0) return undefined;
  const alike: GridCell<S>[] = [];
  const untold: GridCell<S>[] = [];
  const behind: { cell: GridCell<S>; ratio: Spread }[] = [];
  for (const cell of others) {
    const [upper, lower] = better === "more" ? [best, cell] : [cell, best];
    const ratio = ratioOf(measure, upper, lower);
    if (ratio === undefined) untold.push(cell);
    else if (!isApart(ratio)) alike.push(cell);
    else behind.push({ cell, ratio });
  }
  return { at: best.at, best, alike, behind, untold };
}

/** The ranking at the largest size at which two or more can be compared. */
export function rankAtLargest<S extends Round>(
  grid: Grid<S>,
  measure: Pick<Measure<S>, "value">,
  better: Better,
  counts: (cell: GridCell<S>) => boolean = () => true,
): Ranking<S> | undefined {
  for (const at of sizesOf(grid).reverse()) {
    const cells = grid.contenders.flatMap(({ name }) => cellAt(grid, name, at) ?? []);
    const ranking = rank(cells.filter(counts), measure, better);
    if (ranking !== undefined) return ranking;
  }
  return undefined;
}

/**
 * A ranking as a sentence, without its full stop: `At 100 connections, event gave most: 1,000 (990-1,010)
 * messages a second; prefork is not told apart from it; 2.00 (1.90-2.10) times what thread gave`.
 */
export function rankingText<S extends Round>(
  { of, contenders }: Pick<Grid<S>, "of" | "contenders">,
  ranking: Ranking<S>,
  words: {
    readonly measure: Measure<S>;
    /** `gave the most messages a second`. */
    readonly led: string;
    /** `2.00 (1.90-2.10) times what thread gave`. */
    readonly ratio: (ratio: string, label: string) => string;
    /** What is to be added when a figure that is compared has this mark. */
    readonly doubts?: readonly (readonly [mark: string, doubt: string])[];
  },
): string {
  const label = ({ name }: GridCell<S>): string =>
    spoken(contenders.find((each) => each.name === name)?.label ?? name);
  const { at, best, alike, behind, untold } = ranking;
  const { measure, led, ratio } = words;
  const figure = figureText(best, { ...measure, mark: () => "" });
  const unit = measure.unit === "" ? "" : ` ${measure.unit}`;
  const parts = [`At ${whole(at)} ${of}, ${label(best)} ${led}: ${figure}${unit}`];
  if (alike.length > 0) {
    const many = alike.length === 1 ? "is" : "are";
    parts.push(`${listed(alike.map(label))} ${many} not told apart from it`);
  }
  const told = behind.map((each) => ratio(spreadText(each.ratio, threeFigures), label(each.cell)));
  if (told.length > 0) parts.push(listed(told));
  if (untold.length > 0) {
    parts.push(
      `fewer than ${ENOUGH_ROUNDS} rounds have both it and ${listed(untold.map(label))}, too few to compare`,
    );
  }
  const ranked = [best, ...alike, ...untold, ...behind.map(({ cell }) => cell)];
  const marks = new Set(ranked.flatMap((cell) => [...(measure.mark?.(cell) ?? "")]));
  const doubts = (words.doubts ?? []).filter(([sign]) => marks.has(sign));
  return [...parts, ...doubts.map(([, doubt]) => doubt)].join("; ");
}

/**
 * Growths as a sentence for each range of sizes, without its full stop: `From 10 to 1,000 connections, a wait
 * became so many times what it was: 9.50 (9.10-9.90) with poll; with epoll no change can be told`.
 */
export function growthTexts(
  growths: readonly Growth[],
  { of, what }: { readonly of: string; readonly what: string },
): string[] {
  const ranges = new Map<string, Growth[]>();
  for (const growth of growths) {
    const range = `From ${whole(growth.from)} to ${whole(growth.to)}`;
    ranges.set(range, [...(ranges.get(range) ?? []), growth]);
  }
  return [...ranges].map(([range, all]) => {
    const grown = all
      .filter(({ ratio }) => isApart(ratio))
      .map(({ label, ratio }) => `${spreadText(ratio, threeFigures)} with ${spoken(label)}`);
    const level = all.filter(({ ratio }) => !isApart(ratio)).map(({ label }) => spoken(label));
    const parts =
      grown.length === 0 ? [] : [`${what} became so many times what it was: ${listed(grown)}`];
    const ofWhat = grown.length === 0 ? ` of ${what}` : "";
    if (level.length > 0) parts.push(`with ${listed(level)} no change${ofWhat} can be told`);
    return `${range} ${of}, ${parts.join("; ")}`;
  });
}

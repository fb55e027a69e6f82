/** Comparisons in words that claim no more than the spread allows. */
import type { Cell, Grid, Growth, Measure, Sample } from "./grid.ts";
import { cellAt, ENOUGH_ROUNDS, figureText, ratioOf, sizesOf, spreadIn } from "./grid.ts";
import { type Spread, spreadOf } from "./spread.ts";
import { inSentence, listed, spreadText, threeFigures, whole } from "./table.ts";

/** Ratios this close to 1 are reported as no difference: a cache line or a new compiler changes as much. */
const NEGLIGIBLE = 0.05;

/** Whether the ratio is above 1 in every round, or below 1 in every round, and its median is not negligibly so. */
export function isSignificant(
  { min, max, median }: Spread,
  negligible: number = NEGLIGIBLE,
): boolean {
  return Math.abs(median - 1) > negligible && (min > 1 || max < 1);
}

/** Which values are better. */
export type Better = "more" | "less";

/** How a figure differs from a reference. */
export type Change = "better" | "worse" | "similar" | "too few rounds";

/** A smaller change of the median is similar, even if all rounds agree. */
const NEGLIGIBLE_CHANGE = 0.02;

/** Compares a figure with a reference by the ratios of its rounds: a change exceeds the spread if all rounds agree. */
export function changeOf(ratios: readonly number[], better: Better): Change {
  const spread = spreadOf(ratios);
  if (spread === undefined || ratios.length < ENOUGH_ROUNDS) return "too few rounds";
  if (!isSignificant(spread, NEGLIGIBLE_CHANGE)) return "similar";
  return spread.median > 1 === (better === "more") ? "better" : "worse";
}

/** The best contender at a size, and the others compared with it. */
export interface Ranking<S extends Sample> {
  readonly at: number;
  readonly best: Cell<S>;
  /** Those with no significant difference from the best. */
  readonly similar: readonly Cell<S>[];
  /** The others. The ratio is above 1: the best divided by theirs for `"more"`, theirs by the best for `"less"`. */
  readonly behind: readonly { readonly cell: Cell<S>; readonly ratio: Spread }[];
  /** Those with too few rounds in common with the best. */
  readonly notCompared: readonly Cell<S>[];
}

/** Ranks the contenders at a size; undefined for fewer than two. */
export function rank<S extends Sample>(
  cells: readonly Cell<S>[],
  { value }: Pick<Measure<S>, "value">,
  better: Better,
): Ranking<S> | undefined {
  const median = (cell: Cell<S>): number => spreadIn(cell, value)?.median ?? Number.NaN;
  const sorted = cells
    .filter(({ samples }) => samples.length > 0)
    .sort((one, other) => (median(other) - median(one)) * (better === "more" ? 1 : -1));
  const [best, ...others] = sorted;
  if (best === undefined || others.length === 0) return undefined;
  const similar: Cell<S>[] = [];
  const notCompared: Cell<S>[] = [];
  const behind: { cell: Cell<S>; ratio: Spread }[] = [];
  for (const cell of others) {
    const [upper, lower] = better === "more" ? [best, cell] : [cell, best];
    const ratio = ratioOf(value, upper, lower);
    if (ratio === undefined) notCompared.push(cell);
    else if (isSignificant(ratio)) behind.push({ cell, ratio });
    else similar.push(cell);
  }
  return { at: best.at, best, similar, behind, notCompared };
}

/** The ranking at the largest size at which two or more can be compared. */
export function rankAtLargest<S extends Sample>(
  grid: Grid<S>,
  measure: Pick<Measure<S>, "value">,
  better: Better,
  counts: (cell: Cell<S>) => boolean = () => true,
): Ranking<S> | undefined {
  for (const at of sizesOf(grid).reverse()) {
    const cells = grid.contenders.flatMap(({ name }) => cellAt(grid, name, at) ?? []);
    const ranking = rank(cells.filter(counts), measure, better);
    if (ranking !== undefined) return ranking;
  }
  return undefined;
}

/** The words of a ranking that depend on what is measured. */
export interface RankingWords<S extends Sample> {
  readonly measure: Measure<S>;
  /** The statement about the best one: `had the highest throughput`. */
  readonly best: string;
  /** `2.00 (1.90-2.10) times that of thread`. */
  readonly ratio: (ratio: string, label: string) => string;
  /** The addition if a compared figure has this mark. */
  readonly caveats?: readonly (readonly [mark: string, caveat: string])[];
}

/**
 * A ranking as a sentence, without its full stop: `At 100 connections, event had the highest throughput: 1,000
 * (990-1,010) messages/s; no significant difference from prefork; 2.00 (1.90-2.10) times that of thread`.
 */
export function rankingText<S extends Sample>(
  { of, contenders }: Pick<Grid<S>, "of" | "contenders">,
  { at, best, similar, behind, notCompared }: Ranking<S>,
  words: RankingWords<S>,
): string {
  const label = ({ name }: Cell<S>): string =>
    inSentence(contenders.find((each) => each.name === name)?.label ?? name);
  const { measure, ratio } = words;
  const figure = figureText(best, { ...measure, mark: () => "" });
  const unit = measure.unit === "" ? "" : ` ${measure.unit}`;
  const parts = [`At ${whole(at)} ${of}, ${label(best)} ${words.best}: ${figure}${unit}`];
  if (similar.length > 0) {
    parts.push(`no significant difference from ${listed(similar.map(label))}`);
  }
  const ratios = behind.map((each) =>
    ratio(spreadText(each.ratio, threeFigures), label(each.cell)),
  );
  if (ratios.length > 0) parts.push(listed(ratios));
  if (notCompared.length > 0) {
    parts.push(
      `not compared with ${listed(notCompared.map(label))}: fewer than ${ENOUGH_ROUNDS} rounds in common`,
    );
  }
  const ranked = [best, ...similar, ...notCompared, ...behind.map(({ cell }) => cell)];
  const marks = new Set(ranked.flatMap((cell) => [...(measure.mark?.(cell) ?? "")]));
  const caveats = (words.caveats ?? []).filter(([mark]) => marks.has(mark));
  return [...parts, ...caveats.map(([, caveat]) => caveat)].join("; ");
}

/**
 * Growth as a sentence for each range of sizes, without its full stop: `From 10 to 1,000 connections, the CPU time of
 * a wait grew 9.50-fold (9.10-9.90) with poll; it did not change significantly with epoll`.
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
    const changed = all.filter(({ ratio }) => isSignificant(ratio));
    const rising = changed.filter(({ ratio }) => ratio.median > 1);
    const falling = changed.filter(({ ratio }) => ratio.median < 1);
    const level = all.filter(({ ratio }) => !isSignificant(ratio));
    const parts: string[] = [];
    const add = (verb: string, texts: readonly string[]): void => {
      if (texts.length === 0) return;
      parts.push(`${parts.length === 0 ? what : "it"} ${verb} ${listed(texts)}`);
    };
    add("grew", rising.map(foldText));
    add("fell", falling.map(fallText));
    add(
      "did not change significantly with",
      level.map(({ label }) => inSentence(label)),
    );
    return `${range} ${of}, ${parts.join("; ")}`;
  });
}

/** `22.4-fold (20.1-23.0) with poll`. */
function foldText({ ratio: { median, min, max }, label }: Growth): string {
  return `${threeFigures(median)}-fold (${threeFigures(min)}-${threeFigures(max)}) with ${inSentence(label)}`;
}

/** `to 50 % (45 %-55 %) with poll`. */
function fallText({ ratio, label }: Growth): string {
  return `to ${spreadText(ratio, (value) => `${threeFigures(100 * value)} %`)} with ${inSentence(label)}`;
}

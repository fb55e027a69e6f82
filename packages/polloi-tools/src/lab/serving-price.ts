/** What a connection costs, in a sentence. */
import { type Grid, isTold, type Measure, measuredBy, spreadIn } from "../measure/grid.ts";
import { listed, sizeText, spoken, timeText, whole } from "../measure/table.ts";
import type { ServingResult, ServingSample } from "./serving.ts";
import {
  answeredAll,
  type ServingGridCell,
  servingGrid,
  servingMeasures,
} from "./serving-measures.ts";

/** With fewer connections, what the server does by itself is more than what they cost. */
const FEW = 10;

const UNITS: Readonly<Record<"memory" | "opening", (value: number) => string>> = {
  memory: sizeText,
  opening: timeText,
};

/** The price of a connection for each contender, where it was measured with most of them, without a full stop. */
export function priceText(result: ServingResult, name: keyof typeof UNITS): string | undefined {
  const grid = servingGrid(result);
  const measure = servingMeasures(result)[name];
  const text = UNITS[name];
  const prices: string[] = [];
  const untold = new Map<string, string[]>();
  for (const { name: whose, label } of grid.contenders) {
    const cell = largest(grid, whose);
    const median = cell && spreadIn(cell, measure)?.median;
    if (cell === undefined || median === undefined) continue;
    const at = `at ${whole(cell.at)}`;
    if (isTold(cell, measure)) prices.push(`${text(median)} with ${spoken(label)} (${at})`);
    else {
      const less = `less than ${text(leastOf(measure, cell.at))} ${at}`;
      untold.set(less, [...(untold.get(less) ?? []), spoken(label)]);
    }
  }
  const parts = prices.length === 0 ? [] : [listed(prices)];
  for (const [less, labels] of untold)
    parts.push(`with ${listed(labels)} too little to be told, ${less}`);
  return parts.length === 0 ? undefined : parts.join("; ");
}

function largest(grid: Grid<ServingSample>, name: string): ServingGridCell | undefined {
  return measuredBy(grid, name)
    .filter((cell) => answeredAll(cell) && cell.at >= FEW)
    .at(-1);
}

function leastOf(measure: Measure<ServingSample>, at: number): number {
  return measure.least?.(at) ?? 0;
}

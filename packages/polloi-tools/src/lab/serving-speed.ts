import { rankAtLargest, rankingText } from "../measure/verdict.ts";
import type { ServingResult } from "./serving.ts";
import { answeredAll, DOUBTS, servingGrid, servingMeasures } from "./serving-measures.ts";

/** Who gave most at the largest size that several answered in full, as a sentence; none where there is no such. */
export function speedText(result: ServingResult): string | undefined {
  const grid = servingGrid(result);
  const { throughput } = servingMeasures(result);
  const ranking = rankAtLargest(grid, throughput, "more", answeredAll);
  if (ranking === undefined) return undefined;
  const text = rankingText(grid, ranking, {
    measure: throughput,
    led: "gave most",
    ratio: (ratio, label) => `${ratio} times what ${label} gave`,
    doubts: DOUBTS,
  });
  return `${text}.`;
}

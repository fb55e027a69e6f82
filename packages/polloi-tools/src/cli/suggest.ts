import { nearestOf } from "polloi/internal/pure";

/** ` (Did you mean echo?)` where one of the known words is meant, as commander says it; empty otherwise. */
export function didYouMean(word: string, known: readonly string[]): string {
  const nearest = nearestOf(word, known);
  return nearest === undefined ? "" : ` (Did you mean ${nearest}?)`;
}

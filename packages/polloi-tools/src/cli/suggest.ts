/** A word is taken for a misspelling when at most this share of it differs. */
const DIFFERING_SHARE = 0.4;

/** ` (Did you mean echo?)` where one of the known words is meant, as commander says it; empty otherwise. */
export function didYouMean(word: string, known: readonly string[]): string {
  const [best] = known
    .map((each) => ({ each, distance: distance(word.toLowerCase(), each) }))
    .filter((it) => it.distance <= DIFFERING_SHARE * Math.max(word.length, it.each.length))
    .sort((a, b) => a.distance - b.distance);
  return best === undefined ? "" : ` (Did you mean ${best.each}?)`;
}

/** How many letters are to be inserted, removed, replaced or swapped with the next to make `b` of `a`. */
function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const at = (i: number, j: number): number => rows[i]?.[j] ?? Number.POSITIVE_INFINITY;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row[j] = Math.min(
        at(i - 1, j) + 1,
        at(i, j - 1) + 1,
        at(i - 1, j - 1) + same,
        swapped ? at(i - 2, j - 2) + 1 : Number.POSITIVE_INFINITY,
      );
    }
  }
  return at(a.length, b.length);
}

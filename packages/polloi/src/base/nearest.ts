/** A word is taken for a misspelling when at most this share of it differs. */
const DIFFERING_SHARE = 0.4;

/** The one of the known words that is meant by `word`, which is none of them; undefined when none is like it. */
export function nearestOf(word: string, known: readonly string[]): string | undefined {
  const lower = word.toLowerCase();
  const [best] = known
    .map((each) => {
      const other = each.toLowerCase();
      return { each, distance: distance(lower, other), isBegun: begins(lower, other) };
    })
    .filter(({ each, distance, isBegun }) => {
      return isBegun || distance <= DIFFERING_SHARE * Math.max(word.length, each.length);
    })
    .sort((a, b) => a.distance - b.distance || Number(b.isBegun) - Number(a.isBegun));
  return best?.each;
}

/** Whether one of them is the beginning of the other, and at least half of it. */
function begins(a: string, b: string): boolean {
  const [short, long] = a.length < b.length ? [a, b] : [b, a];
  return long.startsWith(short) && short.length * 2 >= long.length;
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

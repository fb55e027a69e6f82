/** A word is a misspelling of another one if at most this share of it differs. */
const MAX_DIFFERENCE = 0.4;

/** Returns the known word that is most similar to a misspelt one; undefined if none is similar. */
export function nearestOf(word: string, known: readonly string[]): string | undefined {
  const lower = word.toLowerCase();
  const [best] = known
    .map((each) => {
      const other = each.toLowerCase();
      return { each, distance: distance(lower, other), isPrefix: isPrefixOfEither(lower, other) };
    })
    .filter(({ each, distance, isPrefix }) => {
      return isPrefix || distance <= MAX_DIFFERENCE * Math.max(word.length, each.length);
    })
    .sort((a, b) => a.distance - b.distance || Number(b.isPrefix) - Number(a.isPrefix));
  return best?.each;
}

/** Whether one word is a prefix of the other, and at least half as long. */
function isPrefixOfEither(a: string, b: string): boolean {
  const [short, long] = a.length < b.length ? [a, b] : [b, a];
  return long.startsWith(short) && short.length * 2 >= long.length;
}

/** Returns the edit distance: insertions, deletions, substitutions and transpositions of letters. */
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

/** A median with the smallest and the largest value. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** @returns `undefined` for no values. */
export function spreadOf(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
  return { median, min: sorted[0] as number, max: sorted.at(-1) as number };
}

/**
 * `values[i] / references[i]` for each round that has both. Each round is compared with its own reference, because a
 * machine that slows down for a minute slows down both.
 */
export function pairedRatios(
  values: readonly (number | undefined)[],
  references: readonly (number | undefined)[],
): number[] {
  const ratios: number[] = [];
  values.forEach((value, round) => {
    const reference = references[round];
    if (value !== undefined && reference !== undefined && reference > 0) {
      ratios.push(value / reference);
    }
  });
  return ratios;
}

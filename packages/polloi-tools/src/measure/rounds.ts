/**
 * Things in the order in which a round goes through them: to and fro, so that a machine which slows
 * down steadily slows down the first as much as the last.
 *
 * @param round - From 1.
 */
export function orderOf<T>(things: readonly T[], round: number): T[] {
  return round % 2 === 1 ? [...things] : [...things].reverse();
}

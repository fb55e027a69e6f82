/**
 * The order of a round: forward in odd rounds and backward in even ones, so that a machine that slows down
 * steadily slows down the first as much as the last.
 *
 * @param round - From 1.
 */
export function orderOf<T>(things: readonly T[], round: number): T[] {
  return round % 2 === 1 ? [...things] : [...things].reverse();
}

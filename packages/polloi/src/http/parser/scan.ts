/** What a scanner says instead of a position: there was too little, or it was wrong. */
export const SHORT = -1;
export const BAD = -2;

/**
 * The first byte from `at` on that is not of this class, or `stop`.
 *
 * @remarks
 * Most of the time that a request takes is spent in here, so it looks at four bytes a turn. The table is
 * that of `tokens.ts`: 1 for what belongs.
 */
export function pastClass(bytes: Uint8Array, table: Uint8Array, at: number, stop: number): number {
  let i = at;
  for (const last = stop - 3; i < last; i += 4) {
    if (table[bytes[i] as number] === 0) return i;
    if (table[bytes[i + 1] as number] === 0) return i + 1;
    if (table[bytes[i + 2] as number] === 0) return i + 2;
    if (table[bytes[i + 3] as number] === 0) return i + 3;
  }
  while (i < stop && table[bytes[i] as number] === 1) i++;
  return i;
}

/** Four bytes as one number, to be compared with that of a text. */
export function wordAt(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  );
}

/** The first four characters of a text as {@link wordAt} has them. */
export function wordOf(text: string): number {
  return [0, 1, 2, 3].reduce((word, k) => (word << 8) | text.charCodeAt(k), 0);
}

/** Colours where a person looks, plain text everywhere else. */

/** What text is styled as; each is the number that a terminal knows it by. ECMA-48, SGR. */
const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

export type Style = keyof typeof CODES;

/** Styles a text, or leaves it as it is. */
export type Styler = (style: Style, text: string) => string;

/**
 * The styler for a stream: it colours on a terminal, unless NO_COLOR is set.
 *
 * @remarks
 * `util.styleText` would do, but Node has it from 20.12 only.
 */
export function stylerFor(stream: { readonly isTTY?: boolean }): Styler {
  const { NO_COLOR, TERM } = process.env;
  if (stream.isTTY !== true || (NO_COLOR ?? "") !== "" || TERM === "dumb") return (_, text) => text;
  return (style, text) => `\u001b[${CODES[style]}m${text}\u001b[0m`;
}

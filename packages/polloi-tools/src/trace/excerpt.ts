import type { MemoryMap } from "polloi/internal";

/** As many bytes as strace shows. */
const MOST = 32;

const ESCAPES: Readonly<Record<string, string>> = {
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  '"': '\\"',
  "\\": "\\\\",
};
// Everything but what any terminal prints as it is.
const UNPRINTABLE = /[^ !#-[\]-~]/g;

const DOTS = "...";

/** The first of `length` bytes at `address`, each a character; undefined for memory of somebody else's. */
export function excerptAt(memory: MemoryMap, address: number, length: number): string | undefined {
  const place = length > 0 ? memory.find(address) : undefined;
  if (place === undefined) return undefined;
  const { arena, offset } = place;
  return String.fromCharCode(...arena.u8.subarray(offset, offset + Math.min(length, MOST)));
}

/**
 * An excerpt in quotes, as C would write it, in `width` columns at most.
 *
 * @param length - How many bytes there are in all: dots tell that not all of them are shown.
 */
export function quoted(excerpt: string, length: number, width: number): string {
  const shown = Array.from(excerpt, (character) => character.replace(UNPRINTABLE, escaped));
  const whole = shown.join("");
  if (excerpt.length === length && whole.length + 2 <= width) return `"${whole}"`;
  let text = "";
  for (const character of shown) {
    if (text.length + character.length + DOTS.length + 2 > width) break;
    text += character;
  }
  return `"${text}"${DOTS}`;
}

function escaped(character: string): string {
  const code = character.charCodeAt(0).toString(16).padStart(2, "0");
  return ESCAPES[character] ?? `\\x${code}`;
}

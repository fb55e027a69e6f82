/** The characters of HTTP/1.x, as numbers and as classes: one table of 256 entries for each class. */

export const HTAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const QUOTE = 0x22;
export const PERCENT = 0x25;
export const ASTERISK = 0x2a;
export const COMMA = 0x2c;
export const HYPHEN = 0x2d;
export const DOT = 0x2e;
export const SLASH = 0x2f;
export const ZERO = 0x30;
export const NINE = 0x39;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;
export const EQUALS = 0x3d;
export const QUESTION = 0x3f;
export const OPEN_BRACKET = 0x5b;
export const BACKSLASH = 0x5c;
export const CLOSE_BRACKET = 0x5d;

const ALPHANUMERIC = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/** 1 for what `belongs` says yes to, else 0. */
function tableOf(belongs: (code: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => (belongs(code) ? 1 : 0));
}

function among(characters: string): (code: number) => boolean {
  return (code) => characters.includes(String.fromCharCode(code));
}

/** tchar: what methods, field names and codings are made of. RFC 9110 section 5.6.2. */
export const TOKEN: Uint8Array = tableOf(among(`!#$%&'*+-.^_\`|~${ALPHANUMERIC}`));

/** What a field value has: visible characters, obs-text, SP and HTAB. RFC 9110 section 5.5. */
export const VALUE: Uint8Array = tableOf((code) => code === HTAB || (code >= SP && code !== 0x7f));

/**
 * What a target has: visible ASCII, but for `#`, since a fragment is never sent.
 *
 * @remarks
 * RFC 3986 has fewer: browsers send `|`, `^`, `{` and others as they are, so those pass.
 */
export const TARGET: Uint8Array = tableOf((code) => code > SP && code < 0x7f && code !== 0x23);

/**
 * reg-name of RFC 3986 section 3.2.2, but for the percent sign, which is looked at more closely, and for the
 * comma: it is what a proxy joins two Host fields with, and no name that resolves has one.
 */
export const HOST_NAME: Uint8Array = tableOf(among(`-._~!$&'()*+;=${ALPHANUMERIC}`));

/** What a host has that every URL parser takes as it is. */
export const PLAIN_HOST: Uint8Array = tableOf(among(`-._${ALPHANUMERIC}`));

/** What stands between the brackets of an IPv6 address, with a v4 tail or IPvFuture. */
export const HOST_LITERAL: Uint8Array = tableOf(among(`:.-_~!$&'()*+;=${ALPHANUMERIC}`));

/** The value of a hexadecimal digit; 16 for what is none. */
export const HEX: Uint8Array = Uint8Array.from({ length: 256 }, (_, code) => {
  const digit = "0123456789abcdef".indexOf(String.fromCharCode(code).toLowerCase());
  return digit < 0 ? 16 : digit;
});

/** The lower-case letter for an upper-case one; everything else as it is. ASCII only. */
export const LOWER: Uint8Array = Uint8Array.from({ length: 256 }, (_, code) =>
  code >= 0x41 && code <= 0x5a ? code + 32 : code,
);

/** Is it one of the two characters of optional whitespace? RFC 9110 section 5.6.3. */
export function isBlank(code: number): boolean {
  return code === SP || code === HTAB;
}

/** A lower-case text to be found in letters of any case. */
export function lowerCase(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/**
 * Are the bytes this text of {@link lowerCase}, when letter case is let go? The lengths are known to agree.
 *
 * @remarks
 * One bit makes a letter lower-case. It leaves the other characters of the texts as they are, and makes them of
 * control characters only, which neither a name nor a value nor a target can have.
 */
export function isText(bytes: Uint8Array, from: number, text: Uint8Array): boolean {
  for (let k = 0; k < text.length; k++) {
    if (((bytes[from + k] as number) | 0x20) !== text[k]) return false;
  }
  return true;
}

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

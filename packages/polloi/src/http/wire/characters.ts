/** The characters of HTTP/1.x as numbers, and classes of them as tables of 256 entries. */

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

/** A table with 1 for the characters of a class, and 0 for the others. */
function tableOf(belongs: (code: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => (belongs(code) ? 1 : 0));
}

function among(characters: string): (code: number) => boolean {
  return (code) => characters.includes(String.fromCharCode(code));
}

/** tchar, the characters of methods, field names and codings. RFC 9110 section 5.6.2. */
export const TOKEN: Uint8Array = tableOf(among(`!#$%&'*+-.^_\`|~${ALPHANUMERIC}`));

/** The characters of a field value: visible characters, obs-text, SP and HTAB. RFC 9110 section 5.5. */
export const VALUE: Uint8Array = tableOf((code) => code === HTAB || (code >= SP && code !== 0x7f));

/**
 * The characters of a target: visible ASCII without `#`, because a fragment is never sent.
 *
 * @remarks
 * RFC 3986 allows fewer. Browsers send `|`, `^`, `{` and others unencoded, so these are accepted.
 */
export const TARGET: Uint8Array = tableOf((code) => code > SP && code < 0x7f && code !== 0x23);

/**
 * The characters of reg-name of RFC 3986 section 3.2.2, without the percent sign, which is checked separately, and without
 * the comma: a proxy joins two Host fields with one, and no host name has one.
 */
export const HOST_NAME: Uint8Array = tableOf(among(`-._~!$&'()*+;=${ALPHANUMERIC}`));

/** The characters of a host that every URL parser accepts unchanged. */
export const PLAIN_HOST: Uint8Array = tableOf(among(`-._${ALPHANUMERIC}`));

/** The characters between the brackets of an IP literal: IPv6, also with an IPv4 tail, or IPvFuture. */
export const HOST_LITERAL: Uint8Array = tableOf(among(`:.-_~!$&'()*+;=${ALPHANUMERIC}`));

/** The value of a hexadecimal digit; 16 for any other character. */
export const HEX: Uint8Array = Uint8Array.from({ length: 256 }, (_, code) => {
  const digit = "0123456789abcdef".indexOf(String.fromCharCode(code).toLowerCase());
  return digit < 0 ? 16 : digit;
});

/** The lower-case letter of an upper-case one; any other character unchanged. ASCII only. */
export const LOWER: Uint8Array = Uint8Array.from({ length: 256 }, (_, code) =>
  code >= 0x41 && code <= 0x5a ? code + 32 : code,
);

/** Whether it is optional whitespace: SP or HTAB. RFC 9110 section 5.6.3. */
export function isBlank(code: number): boolean {
  return code === SP || code === HTAB;
}

/** The bytes of a lower-case text, for {@link isText}. */
export function lowerCase(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/**
 * Whether the bytes are this text of {@link lowerCase}, in any case. The lengths must agree.
 *
 * @remarks
 * Setting one bit makes a letter lower-case. It does not change the other characters of the texts. Only control
 * characters become those, and names, values and targets cannot contain them.
 */
export function isText(bytes: Uint8Array, from: number, text: Uint8Array): boolean {
  for (let k = 0; k < text.length; k++) {
    if (((bytes[from + k] as number) | 0x20) !== text[k]) return false;
  }
  return true;
}

/** Results of a scanner instead of a position: more bytes are needed; the bytes are invalid. */
export const SHORT = -1;
export const BAD = -2;

/**
 * The position of the first byte from `at` on that is not of this class, or `stop`.
 *
 * @remarks
 * Parsing spends most of its time here, so the loop checks four bytes per iteration.
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

/** Four bytes as one number, to compare with {@link wordOf} a text. */
export function wordAt(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  );
}

/** The first four characters of a text as one number. */
export function wordOf(text: string): number {
  return [0, 1, 2, 3].reduce((word, k) => (word << 8) | text.charCodeAt(k), 0);
}

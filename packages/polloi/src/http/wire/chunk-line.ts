import {
  BACKSLASH,
  BAD,
  CR,
  EQUALS,
  HEX,
  isBlank,
  LF,
  QUOTE,
  SEMICOLON,
  SHORT,
  TOKEN,
  VALUE,
} from "./characters.ts";
import type { FailureCode } from "./failures.ts";

/** The part of the line that the next byte may belong to. */
const SIZE = 0;
const AFTER_SIZE = 1;
const BEFORE_NAME = 2;
const NAME = 3;
const AFTER_NAME = 4;
const BEFORE_TEXT = 5;
const TEXT = 6;
const QUOTED = 7;
const ESCAPED = 8;
const AFTER_QUOTED = 9;
const AFTER_TEXT = 10;
const LINE_FEED = 11;

/** The most digits of a size, including leading zeros. */
const MAX_DIGITS = 16;

/**
 * The line before each chunk: its size, and extensions, which are checked, counted and ignored.
 *
 * @remarks
 * ```text
 *   chunk-size [ *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ) ] CRLF
 * ```
 * RFC 9112 section 7.1.1. Whitespace that is followed by no `;` is refused.
 */
export class ChunkLine {
  size = 0;
  failure: FailureCode = "CHUNK_SIZE_INVALID";
  readonly #maxExtensionBytes: number;
  /** The bytes of extensions in this body. */
  #extensionBytes = 0;
  #digits = 0;
  #state = SIZE;

  constructor(maxExtensionBytes: number) {
    this.#maxExtensionBytes = maxExtensionBytes;
  }

  /** Begins the first line of a body. */
  begin(): void {
    this.#extensionBytes = 0;
    this.next();
  }

  /** Begins another line of the same body. */
  next(): void {
    this.size = 0;
    this.#digits = 0;
    this.#state = SIZE;
  }

  /** @returns The position after the line; `SHORT` if more bytes are needed; or `BAD`, with a `failure`. */
  read(bytes: Uint8Array, from: number, to: number): number {
    for (let i = from; i < to; i++) {
      const code = bytes[i] as number;
      if (this.#state === LINE_FEED) return code === LF ? i + 1 : this.#bad("BARE_CR");
      if (this.#state === SIZE) {
        const digit = HEX[code] as number;
        if (digit < 16) {
          this.size = this.size * 16 + digit;
          this.#digits++;
          const fits = this.#digits <= MAX_DIGITS && this.size <= Number.MAX_SAFE_INTEGER;
          if (fits) continue;
          return this.#bad("CHUNK_SIZE_INVALID");
        }
        if (this.#digits === 0) return this.#bad("CHUNK_SIZE_INVALID");
      }
      const next = after(this.#state, code);
      if (next === BAD) return this.#bad(this.#whyBad(code));
      this.#state = next;
      if (next === LINE_FEED) continue;
      this.#extensionBytes++;
      if (this.#extensionBytes > this.#maxExtensionBytes)
        return this.#bad("CHUNK_EXTENSIONS_LARGE");
    }
    return SHORT;
  }

  #whyBad(code: number): FailureCode {
    if (code === LF) return "BARE_LF";
    return this.#state <= AFTER_SIZE ? "CHUNK_SIZE_INVALID" : "CHUNK_EXTENSION_INVALID";
  }

  #bad(failure: FailureCode): number {
    this.failure = failure;
    return BAD;
  }
}

/** The state after this byte, which is no digit of the size; `BAD` if it is not allowed here. */
function after(state: number, code: number): number {
  switch (state) {
    case SIZE:
    case TEXT:
    case AFTER_QUOTED:
      if (state === TEXT && TOKEN[code] === 1) return TEXT;
      if (code === CR) return LINE_FEED;
      if (code === SEMICOLON) return BEFORE_NAME;
      return isBlank(code) ? (state === SIZE ? AFTER_SIZE : AFTER_TEXT) : BAD;
    case AFTER_SIZE:
    case AFTER_TEXT:
      if (code === SEMICOLON) return BEFORE_NAME;
      return isBlank(code) ? state : BAD;
    case BEFORE_NAME:
      return isBlank(code) ? BEFORE_NAME : TOKEN[code] === 1 ? NAME : BAD;
    case NAME:
      if (TOKEN[code] === 1) return NAME;
      if (code === CR) return LINE_FEED;
      return isBlank(code) ? AFTER_NAME : afterName(code);
    case AFTER_NAME:
      return isBlank(code) ? AFTER_NAME : afterName(code);
    case BEFORE_TEXT:
      if (isBlank(code)) return BEFORE_TEXT;
      if (code === QUOTE) return QUOTED;
      return TOKEN[code] === 1 ? TEXT : BAD;
    case QUOTED:
      if (code === QUOTE) return AFTER_QUOTED;
      if (code === BACKSLASH) return ESCAPED;
      return VALUE[code] === 1 ? QUOTED : BAD;
    default:
      return VALUE[code] === 1 ? QUOTED : BAD;
  }
}

function afterName(code: number): number {
  if (code === EQUALS) return BEFORE_TEXT;
  return code === SEMICOLON ? BEFORE_NAME : BAD;
}

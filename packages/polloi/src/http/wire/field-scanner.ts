import { Fields, OFFSETS } from "./fields.ts";
import type { FailureCode } from "./failures.ts";
import { BAD, COLON, CR, isBlank, LF, pastClass, SHORT, TOKEN, VALUE } from "./characters.ts";

/** The part of a field section at which the scanner stopped for lack of bytes. */
const LINE = 0;
const NAME = 1;
const BLANKS = 2;
const TEXT = 3;
const LINE_FEED = 4;
const LAST_LINE_FEED = 5;

/**
 * Scans the fields of a header or trailer section up to the empty line. Bytes are scanned in order, so the result does not
 * depend on how they were split.
 *
 * @remarks
 * RFC 9112 section 5, without what it allows a server to tolerate: lines end with CRLF, and there are no folded lines and
 * no whitespace before a colon.
 */
export class FieldScanner {
  readonly fields: Fields = new Fields();
  failure: FailureCode = "NAME_INVALID";
  readonly #maxFields: number;
  readonly #tooMany: FailureCode;
  #state = LINE;
  /** The offset to continue at, from the base of the section. */
  #at = 0;

  constructor(maxFields: number, tooMany: FailureCode) {
    this.#maxFields = maxFields;
    this.#tooMany = tooMany;
  }

  /** Begins a new section, whose first line is `at` bytes from the base. */
  begin(at: number): void {
    this.#state = LINE;
    this.#at = at;
    this.fields.count = 0;
  }

  /**
   * Continues scanning.
   *
   * @param base - The position that offsets count from. The bytes may have been moved since the last call.
   * @returns The position after the empty line, or `SHORT`, or `BAD` with a `failure`.
   */
  scan(bytes: Uint8Array, base: number, stop: number): number {
    const { fields } = this;
    let offsets = fields.offsets;
    let state = this.#state;
    let i = base + this.#at;
    let at = fields.count * OFFSETS;
    for (;;) {
      if (state === LINE) {
        if (i === stop) return this.#short(state, i - base);
        const code = bytes[i] as number;
        if (code === CR) {
          i++;
          state = LAST_LINE_FEED;
        } else {
          if (isBlank(code)) return this.#bad(at === 0 ? "FIELD_LEADING_SPACE" : "FIELD_FOLDED");
          if (fields.count >= this.#maxFields) return this.#bad(this.#tooMany);
          if (at === offsets.length) offsets = fields.grow();
          offsets[at] = i - base;
          state = NAME;
        }
      }
      if (state === NAME) {
        i = pastClass(bytes, TOKEN, i, stop);
        if (i === stop) return this.#short(state, i - base);
        if (bytes[i] !== COLON || offsets[at] === i - base) {
          return this.#bad(whyNoName(bytes[i] as number, offsets[at] === i - base));
        }
        offsets[at + 1] = i - base;
        i++;
        state = BLANKS;
      }
      if (state === BLANKS) {
        while (i < stop && isBlank(bytes[i] as number)) i++;
        if (i === stop) return this.#short(state, i - base);
        offsets[at + 2] = i - base;
        state = TEXT;
      }
      if (state === TEXT) {
        i = pastClass(bytes, VALUE, i, stop);
        if (i === stop) return this.#short(state, i - base);
        if (bytes[i] !== CR) return this.#bad(bytes[i] === LF ? "BARE_LF" : "VALUE_INVALID");
        let end = i;
        const start = base + (offsets[at + 2] as number);
        while (end > start && isBlank(bytes[end - 1] as number)) end--;
        offsets[at + 3] = end - base;
        i++;
        state = LINE_FEED;
      }
      if (i === stop) return this.#short(state, i - base);
      if (bytes[i] !== LF) return this.#bad("BARE_CR");
      i++;
      if (state === LAST_LINE_FEED) return i;
      fields.count++;
      at += OFFSETS;
      state = LINE;
    }
  }

  #short(state: number, at: number): number {
    this.#state = state;
    this.#at = at;
    return SHORT;
  }

  #bad(failure: FailureCode): number {
    this.failure = failure;
    return BAD;
  }
}

/** The failure of a name that ends with this byte. */
function whyNoName(code: number, empty: boolean): FailureCode {
  if (code === COLON) return "NAME_EMPTY";
  if (isBlank(code)) return "NAME_SPACE";
  if (code === LF && empty) return "BARE_LF";
  return code === CR || code === LF ? "NAME_ALONE" : "NAME_INVALID";
}

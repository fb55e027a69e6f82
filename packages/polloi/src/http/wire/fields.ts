import {
  BAD,
  COLON,
  CR,
  isBlank,
  isText,
  LF,
  LOWER,
  lowerCase,
  pastClass,
  SHORT,
  TOKEN,
  VALUE,
} from "./characters.ts";
import type { FailureCode } from "./failures.ts";
import { latin1, Remembered } from "./latin1.ts";
import { NOTHING } from "./section.ts";

/** The numbers per field: the offsets of the beginning and the end of its name and of its value. */
const OFFSETS = 4;
/** Allocated with the first field, because most parsers never see a trailer. */
const FIRST_ROOM = 16 * OFFSETS;
/** The number of names to remember: three times as many as a browser sends. */
const NAMES = 64;
const NO_ROOM: Int32Array = new Int32Array(0);

/** The fields that frame a message or control its connection. 0 is any other field. */
export const HOST = 1;
export const EXPECT = 2;
export const UPGRADE = 3;
export const CONNECTION = 4;
export const CONTENT_LENGTH = 5;
export const TRANSFER_ENCODING = 6;

const CONTROL_NAMES: readonly Uint8Array[] = [
  "",
  "host",
  "expect",
  "upgrade",
  "connection",
  "content-length",
  "transfer-encoding",
].map(lowerCase);

/** The control field of each length of a name. No two have the same length. */
const CONTROL_BY_LENGTH: Uint8Array = new Uint8Array(32);
for (const [control, name] of CONTROL_NAMES.entries()) CONTROL_BY_LENGTH[name.length] = control;

/** The part of a section at which the scan stopped for lack of bytes. */
const LINE = 0;
const NAME = 1;
const BLANKS = 2;
const TEXT = 3;
const LINE_FEED = 4;
const LAST_LINE_FEED = 5;

/**
 * Header or trailer fields in the received bytes. They become strings when they are accessed.
 *
 * @remarks
 * ```text
 *   bytes    ... H o s t :   e x a m p l e . o r g \r \n ...
 *                ^       ^   ^                     ^
 *   offsets      0       1   2                     3         from `base`
 * ```
 *
 * The bytes are lent, and must not be accessed after they change. See `RequestHead`.
 *
 * {@link scan} reads them up to the empty line, in order and each byte once, so the result does not depend on how the
 * bytes were split. It also finds the fields that frame the message. RFC 9112 section 5, without what it allows a
 * recipient to tolerate: lines end with CRLF, and there are no folded lines and no whitespace before a colon.
 */
export class Fields {
  /** The bytes, and the position that offsets count from. The parser sets these. */
  bytes: Uint8Array = NOTHING;
  base = 0;
  offsets: Int32Array = NO_ROOM;
  /** The number of fields. */
  count = 0;
  /** The control fields in order, each as its index times 8 plus its kind; and their number. */
  controls: Int32Array = NO_ROOM;
  controlCount = 0;
  failure: FailureCode = "NAME_INVALID";
  readonly #maxFields: number;
  readonly #tooMany: FailureCode;
  #part = LINE;
  /** The offset to continue at. */
  #at = 0;
  /** Allocated when it is first needed: a server that reads headers by name never needs it. */
  #names: Remembered | undefined;

  constructor(maxFields: number, tooMany: FailureCode) {
    this.#maxFields = maxFields;
    this.#tooMany = tooMany;
  }

  /** Removes all fields, and releases the bytes. */
  clear(): void {
    this.begin(0);
    this.bytes = NOTHING;
    this.base = 0;
  }

  /** Begins a new section, whose first line is `at` bytes from the base. */
  begin(at: number): void {
    this.#part = LINE;
    this.#at = at;
    this.count = 0;
    this.controlCount = 0;
  }

  /**
   * Continues scanning.
   *
   * @param base - The position that offsets count from. The bytes may have been moved since the last call.
   * @returns The position after the empty line, or `SHORT`, or `BAD` with a `failure`.
   */
  scan(bytes: Uint8Array, base: number, stop: number): number {
    let { offsets } = this;
    let part = this.#part;
    let i = base + this.#at;
    let at = this.count * OFFSETS;
    for (;;) {
      if (part === LINE) {
        if (i === stop) return this.#short(part, i - base);
        const code = bytes[i] as number;
        if (code === CR) {
          i++;
          part = LAST_LINE_FEED;
        } else {
          if (isBlank(code)) return this.#bad(at === 0 ? "FIELD_LEADING_SPACE" : "FIELD_FOLDED");
          if (this.count >= this.#maxFields) return this.#bad(this.#tooMany);
          if (at === offsets.length) offsets = this.#grow();
          offsets[at] = i - base;
          part = NAME;
        }
      }
      if (part === NAME) {
        i = pastClass(bytes, TOKEN, i, stop);
        if (i === stop) return this.#short(part, i - base);
        const length = i - base - (offsets[at] as number);
        if (bytes[i] !== COLON || length === 0) {
          return this.#bad(whyNoName(bytes[i] as number, length === 0));
        }
        const control = length < 32 ? (CONTROL_BY_LENGTH[length] as number) : 0;
        if (control !== 0 && isText(bytes, i - length, CONTROL_NAMES[control] as Uint8Array)) {
          this.#addControl(control);
        }
        offsets[at + 1] = i - base;
        i++;
        part = BLANKS;
      }
      if (part === BLANKS) {
        while (i < stop && isBlank(bytes[i] as number)) i++;
        if (i === stop) return this.#short(part, i - base);
        offsets[at + 2] = i - base;
        part = TEXT;
      }
      if (part === TEXT) {
        i = pastClass(bytes, VALUE, i, stop);
        if (i === stop) return this.#short(part, i - base);
        if (bytes[i] !== CR) return this.#bad(bytes[i] === LF ? "BARE_LF" : "VALUE_INVALID");
        let end = i;
        const start = base + (offsets[at + 2] as number);
        while (end > start && isBlank(bytes[end - 1] as number)) end--;
        offsets[at + 3] = end - base;
        i++;
        part = LINE_FEED;
      }
      if (i === stop) return this.#short(part, i - base);
      if (bytes[i] !== LF) return this.#bad("BARE_CR");
      i++;
      if (part === LAST_LINE_FEED) return i;
      this.count++;
      at += OFFSETS;
      part = LINE;
    }
  }

  /** The name of a field as it was sent. `index` is from 0 to `count` - 1. */
  name(index: number): string {
    const { bytes, base, offsets } = this;
    this.#names ??= new Remembered(NAMES);
    const start = offsets[index * OFFSETS] as number;
    return this.#names.of(bytes, base + start, base + (offsets[index * OFFSETS + 1] as number));
  }

  /** The value of a field without the whitespace around it, each byte a character (ISO 8859-1). */
  value(index: number): string {
    return latin1(this.bytes, this.valueStart(index), this.valueEnd(index));
  }

  /** The position of the value of a field in `bytes`. */
  valueStart(index: number): number {
    return this.base + (this.offsets[index * OFFSETS + 2] as number);
  }

  /** The position after the value of a field in `bytes`. */
  valueEnd(index: number): number {
    return this.base + (this.offsets[index * OFFSETS + 3] as number);
  }

  /**
   * The value of the field with this name, in any case.
   *
   * @remarks
   * Repeated fields are joined in order by `, `, and those of Cookie by `; `: RFC 9110 section 5.3, RFC 9113 section
   * 8.2.3.
   *
   * @returns `undefined` if there is none; an empty string if it has no value.
   */
  get(name: string): string | undefined {
    let text: string | undefined;
    for (let index = this.find(name, 0); index >= 0; index = this.find(name, index + 1)) {
      const value = this.value(index);
      if (text === undefined) text = value;
      else text += (/^cookie$/i.test(name) ? "; " : ", ") + value;
    }
    return text;
  }

  /** The index of the first field with this name from `index` on; -1 if there is none. */
  find(name: string, index: number): number {
    const { offsets, count } = this;
    for (let k = index; k < count; k++) {
      const start = offsets[k * OFFSETS] as number;
      const end = offsets[k * OFFSETS + 1] as number;
      if (end - start === name.length && this.#named(start, name)) return k;
    }
    return -1;
  }

  /** All fields in order, each as its name (as it was sent) and its value. */
  entries(): [name: string, value: string][] {
    const entries: [string, string][] = [];
    for (let k = 0; k < this.count; k++) entries.push([this.name(k), this.value(k)]);
    return entries;
  }

  /** Copies the fields of another object, and `length` bytes from its base. */
  copyFrom(other: Fields, length: number): void {
    this.bytes = other.bytes.slice(other.base, other.base + length);
    this.base = 0;
    this.count = other.count;
    this.#names = other.#names;
    this.offsets = other.offsets.slice(0, other.count * OFFSETS);
  }

  #named(start: number, name: string): boolean {
    const { bytes } = this;
    const from = this.base + start;
    for (let k = 0; k < name.length; k++) {
      if (LOWER[bytes[from + k] as number] !== LOWER[name.charCodeAt(k)]) return false;
    }
    return true;
  }

  #addControl(control: number): void {
    if (this.controlCount === this.controls.length) this.controls = grown(this.controls, 4);
    this.controls[this.controlCount++] = this.count * 8 + control;
  }

  #grow(): Int32Array {
    this.offsets = grown(this.offsets, FIRST_ROOM);
    return this.offsets;
  }

  #short(part: number, at: number): number {
    this.#part = part;
    this.#at = at;
    return SHORT;
  }

  #bad(failure: FailureCode): number {
    this.failure = failure;
    return BAD;
  }
}

/** The array with twice its capacity, or with an initial one. */
function grown(array: Int32Array, first: number): Int32Array {
  const larger = new Int32Array(Math.max(array.length * 2, first));
  larger.set(array);
  return larger;
}

/** The failure of a name that ends with this byte. */
function whyNoName(code: number, empty: boolean): FailureCode {
  if (code === COLON) return "NAME_EMPTY";
  if (isBlank(code)) return "NAME_SPACE";
  if (code === LF && empty) return "BARE_LF";
  return code === CR || code === LF ? "NAME_ALONE" : "NAME_INVALID";
}

/**
 * Fields that are not allowed as trailers: they concern framing, routing, authentication, the interpretation of the
 * content, or the connection. RFC 9110 section 6.5.1.
 */
const FORBIDDEN: readonly string[] = [
  "authorization",
  "connection",
  "content-encoding",
  "content-length",
  "content-range",
  "content-type",
  "cookie",
  "expect",
  "host",
  "keep-alive",
  "max-forwards",
  "proxy-authorization",
  "range",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

/**
 * Whether any of these trailers is forbidden.
 *
 * @remarks
 * They could be ignored, because trailers are never merged into the headers. A message with one is refused, because it is
 * a mistake or an attack on a recipient that does merge them.
 */
export function hasForbidden(trailers: Fields): boolean {
  return trailers.count > 0 && FORBIDDEN.some((name) => trailers.find(name, 0) >= 0);
}

/** Whether a trailer must not be sent. @param name - In lower case. */
export function isForbiddenTrailer(name: string): boolean {
  return FORBIDDEN.includes(name);
}

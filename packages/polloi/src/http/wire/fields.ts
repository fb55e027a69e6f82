import { NOTHING } from "./gathered.ts";
import { latin1, Remembered } from "./latin1.ts";
import { LOWER } from "./characters.ts";

/** The numbers per field: the offsets of the beginning and the end of its name and of its value. */
export const OFFSETS = 4;
/** Allocated with the first field, because most parsers never see a trailer. */
const FIRST_ROOM = 16 * OFFSETS;
/** The number of names to remember: three times as many as a browser sends. */
const NAMES = 64;
const NO_ROOM: Int32Array = new Int32Array(0);

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
 */
export class Fields {
  /** The bytes, and the position that offsets count from. The parser sets these and all fields below. */
  bytes: Uint8Array = NOTHING;
  base = 0;
  offsets: Int32Array = NO_ROOM;
  /** The number of fields. */
  count = 0;
  /** Allocated when it is first needed: a server that reads headers by name never needs it. */
  #names: Remembered | undefined;

  /** Removes all fields, and releases the bytes. */
  clear(): void {
    this.bytes = NOTHING;
    this.base = 0;
    this.count = 0;
  }

  /** Doubles the capacity, or allocates the initial one. */
  grow(): Int32Array {
    const grown = new Int32Array(Math.max(this.offsets.length * 2, FIRST_ROOM));
    grown.set(this.offsets);
    this.offsets = grown;
    return grown;
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
    const { bytes, base, offsets } = this;
    const start = offsets[index * OFFSETS + 2] as number;
    return latin1(bytes, base + start, base + (offsets[index * OFFSETS + 3] as number));
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
 * They could be ignored, because trailers are never merged into the headers. A request with one is refused, because it is
 * a mistake or an attack on a server that does merge them.
 */
export function hasForbidden(trailers: Fields): boolean {
  return trailers.count > 0 && FORBIDDEN.some((name) => trailers.find(name, 0) >= 0);
}

/** Whether a trailer must not be sent. @param name - In lower case. */
export function isForbiddenTrailer(name: string): boolean {
  return FORBIDDEN.includes(name);
}

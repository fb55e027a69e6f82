import { Buffer } from "node:buffer";

/** Of all ways that Node 20 has from bytes to a string this is the fastest, from 16 bytes up. */
const slice: (this: Uint8Array, from: number, to: number) => string = (
  Buffer.prototype as unknown as {
    latin1Slice: (this: Uint8Array, from: number, to: number) => string;
  }
).latin1Slice;

/** The bytes from one offset to another as text, each one a character. */
export function latin1(bytes: Uint8Array, from: number, to: number): string {
  if (to <= from) return "";
  if (to - from === 1) return String.fromCharCode(bytes[from] as number);
  return slice.call(bytes, from, to);
}

/** Longer texts are seldom the same twice, and take longer to compare than to make. */
const LONGEST = 64;

/**
 * Text that is likely to be what it was the last time, such as the target of one client's requests, or one of
 * the few header names there are: comparing takes about a third of making it again, and leaves no garbage.
 */
export class Remembered {
  readonly #texts: string[];

  /** @param room - How many texts to remember, a power of two: each has its place by its length and ends. */
  constructor(room: number) {
    this.#texts = new Array<string>(room).fill("");
  }

  /** The text of the bytes from one offset to another. */
  of(bytes: Uint8Array, from: number, to: number): string {
    const length = to - from;
    if (length > LONGEST || length < 2) return latin1(bytes, from, to);
    const ends = (bytes[from] as number) * 7 + (bytes[to - 1] as number);
    const place = (length * 31 + ends) & (this.#texts.length - 1);
    const text = this.#texts[place] as string;
    if (text.length === length) {
      let k = 0;
      while (k < length && text.charCodeAt(k) === bytes[from + k]) k++;
      if (k === length) return text;
    }
    const made = latin1(bytes, from, to);
    this.#texts[place] = made;
    return made;
  }
}

import { Buffer } from "node:buffer";
import { CR, LF } from "./wire/characters.ts";
import { latin1 } from "./wire/latin1.ts";
import { NOTHING } from "./wire/section.ts";

const ROOM = 32_768;
/** Text up to this length is copied by a loop, which is faster than a call out of JavaScript. */
export const SHORT_TEXT = 48;
/** Views up to this length are made once. */
const MOST_VIEWED = 1024;

/** The methods of Node's buffers that take no encoding as an argument, which all runtimes have. */
interface FastBuffer {
  latin1Write(text: string, at: number): number;
  utf8Write(text: string, at: number): number;
}

/**
 * What a connection needs while it parses a chunk: the received bytes, and the bytes of the replies to the requests in
 * them, which are written in one piece.
 *
 * @remarks
 * Only one connection parses at a time, in most cases, so a server has one or two of these.
 */
export class Batch {
  /** The received bytes. */
  input: Uint8Array = NOTHING;
  #inputText: string | undefined;
  /** The bytes to write, a Buffer, and their number. */
  bytes: Uint8Array = Buffer.allocUnsafeSlow(ROOM);
  length = 0;
  /** Views of the first bytes, by their length. Making one takes as long as parsing a short head. */
  readonly #views: (Uint8Array | undefined)[] = [];

  /** The received bytes as ISO 8859-1. The text of each head in them is a slice, which takes no copy. */
  get inputText(): string {
    this.#inputText ??= latin1(this.input, 0, this.input.length);
    return this.#inputText;
  }

  /** Provides space for this many bytes more. */
  reserve(length: number): void {
    const needed = this.length + length;
    if (needed <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.bytes.length));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
    this.#views.length = 0;
  }

  /** Appends ASCII text. */
  addAscii(text: string): void {
    const { bytes } = this;
    let at = this.length;
    for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i);
    this.length = at;
  }

  /** Appends a text of at most {@link SHORT_TEXT} characters if it is ASCII. @returns Whether it is. */
  addIfAscii(text: string): boolean {
    const { bytes } = this;
    const from = this.length;
    let bits = 0;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      bits |= code;
      bytes[from + i] = code;
    }
    if (bits > 0x7f) return false;
    this.length = from + text.length;
    return true;
  }

  /** Appends the end of a head: a CRLF, and an empty line. */
  endHead(): void {
    const { bytes, length } = this;
    bytes[length] = CR;
    bytes[length + 1] = LF;
    bytes[length + 2] = CR;
    bytes[length + 3] = LF;
    this.length = length + 4;
  }

  /** Appends text as ISO 8859-1. */
  addLatin1(text: string): void {
    this.length += (this.bytes as unknown as FastBuffer).latin1Write(text, this.length);
  }

  /** Appends text as UTF-8. @param length - Its length in bytes. */
  addText(text: string, length: number): void {
    if (length !== text.length) {
      this.length += (this.bytes as unknown as FastBuffer).utf8Write(text, this.length);
    } else if (length <= SHORT_TEXT) {
      this.addAscii(text);
    } else {
      this.addLatin1(text);
    }
  }

  /** Appends bytes. */
  add(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** Appends a number in decimal. */
  addNumber(value: number): void {
    if (value > 999_999_999) {
      this.addAscii(String(value));
      return;
    }
    let digits = 1;
    for (let power = 10; power <= value; power *= 10) digits++;
    let rest = value;
    for (let at = this.length + digits - 1; at >= this.length; at--) {
      const tenth = (rest / 10) | 0;
      this.bytes[at] = 0x30 + rest - tenth * 10;
      rest = tenth;
    }
    this.length += digits;
  }

  /** Takes the bytes out. They are valid until others are added. */
  take(): Uint8Array {
    const { length } = this;
    this.length = 0;
    if (length > MOST_VIEWED) return new Uint8Array(this.bytes.buffer, 0, length);
    let view = this.#views[length];
    if (view === undefined) {
      view = new Uint8Array(this.bytes.buffer, 0, length);
      this.#views[length] = view;
    }
    return view;
  }

  /** Releases the received bytes, and a buffer that has grown. */
  release(): void {
    this.input = NOTHING;
    this.#inputText = undefined;
    this.length = 0;
    if (this.bytes.length === ROOM) return;
    this.bytes = Buffer.allocUnsafeSlow(ROOM);
    this.#views.length = 0;
  }
}

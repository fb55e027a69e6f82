import { SHORT } from "./characters.ts";

/** A scanner that finds the end of a section: a head, or `Fields` for trailers. */
interface Scanner {
  /** See `Fields.scan`. */
  scan(bytes: Uint8Array, base: number, stop: number): number;
}

/** The section exceeds its limit. */
export const OVER = -3;
/** No bytes. */
export const NOTHING: Uint8Array = new Uint8Array(0);
/** The initial size of a buffer: enough for the rest of most heads, so that it grows once or never. */
const FIRST_BYTES = 1024;
/** A buffer up to this size is kept for the next section. */
const KEPT_BYTES = 4096;

/**
 * A head or a trailer section in contiguous memory: in the caller's chunk if it arrived in one, else in a buffer that
 * grows up to the limit.
 */
export class Section {
  /** The bytes and the position of the section, once it is complete. */
  bytes: Uint8Array = NOTHING;
  base = 0;
  /** The number of its bytes that have arrived. */
  length = 0;
  readonly #scanner: Scanner;
  readonly #maxBytes: number;
  /** The bytes of earlier chunks, and their number. */
  #buffer: Uint8Array = NOTHING;
  #buffered = 0;

  constructor(scanner: Scanner, maxBytes: number) {
    this.#scanner = scanner;
    this.#maxBytes = maxBytes;
  }

  /** Begins a new section. */
  begin(): void {
    this.length = 0;
    this.#buffered = 0;
  }

  /** Releases the section, the caller's chunk, and a large buffer. */
  release(): void {
    this.begin();
    this.bytes = NOTHING;
    this.base = 0;
    if (this.#buffer.length > KEPT_BYTES) this.#buffer = NOTHING;
  }

  /**
   * Continues scanning, at most up to the limit, so that it does not depend on the split whether an error or the limit is
   * found first.
   *
   * @returns The position in `bytes` after the section; `SHORT` if more bytes are needed; `BAD` if the scanner fails;
   * `OVER` if the section does not end within the limit.
   */
  read(bytes: Uint8Array, from: number, to: number): number {
    const before = this.length;
    const stop = Math.min(to, from + this.#maxBytes - before);
    let found: number;
    if (before === 0) {
      this.bytes = bytes;
      this.base = from;
      found = this.#scanner.scan(bytes, from, stop);
    } else {
      this.#append(bytes, from, stop);
      found = this.#scanner.scan(this.#buffer, 0, this.#buffered);
      if (found >= 0) found += from - before;
    }
    this.length = before + (found >= 0 ? found : stop) - from;
    if (found !== SHORT) return found;
    if (this.length === this.#maxBytes) return OVER;
    if (before === 0) this.#append(bytes, from, stop);
    return SHORT;
  }

  /** Copies the section from the caller's chunk, if it is still there. */
  keep(): void {
    if (this.#buffered > 0 || this.length === 0) return;
    this.#append(this.bytes, this.base, this.base + this.length);
  }

  /** Copies the next bytes of the section, which is in the buffer from then on. */
  #append(bytes: Uint8Array, from: number, to: number): void {
    const length = this.#buffered + to - from;
    if (length > this.#buffer.length) this.#grow(length);
    // For few bytes a loop is faster than a view and a native call.
    if (to - from <= 32) {
      for (let k = from; k < to; k++) this.#buffer[this.#buffered++] = bytes[k] as number;
    } else {
      this.#buffer.set(bytes.subarray(from, to), this.#buffered);
      this.#buffered = length;
    }
    this.bytes = this.#buffer;
    this.base = 0;
  }

  #grow(length: number): void {
    const grown = new Uint8Array(Math.max(length, this.#buffer.length * 2, FIRST_BYTES));
    grown.set(this.#buffer.subarray(0, this.#buffered));
    this.#buffer = grown;
  }
}

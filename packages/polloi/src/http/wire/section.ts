import { Gathered, NOTHING } from "./gathered.ts";
import { SHORT } from "./characters.ts";

/** A scanner that finds the end of a section: `HeadScanner`, or `FieldScanner` for trailers. */
interface Scanner {
  /** See `FieldScanner.scan`. */
  scan(bytes: Uint8Array, base: number, stop: number): number;
}

/** The section exceeds its limit. */
export const OVER = -3;

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
  readonly #gathered: Gathered = new Gathered();

  constructor(scanner: Scanner, maxBytes: number) {
    this.#scanner = scanner;
    this.#maxBytes = maxBytes;
  }

  /** Begins a new section, and releases the memory of the last one. */
  begin(): void {
    this.length = 0;
    if (this.#gathered.length > 0) this.#gathered.release();
  }

  /** Releases the section and the caller's chunk. */
  release(): void {
    this.begin();
    this.bytes = NOTHING;
    this.base = 0;
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
      this.#gathered.append(bytes, from, stop);
      this.bytes = this.#gathered.bytes;
      this.base = 0;
      found = this.#scanner.scan(this.bytes, 0, this.#gathered.length);
      if (found >= 0) found += from - before;
    }
    this.length = before + (found >= 0 ? found : stop) - from;
    if (found !== SHORT) return found;
    if (this.length === this.#maxBytes) return OVER;
    if (before === 0) {
      this.#gathered.append(bytes, from, stop);
      this.bytes = this.#gathered.bytes;
      this.base = 0;
    }
    return SHORT;
  }

  /** Copies the section from the caller's chunk, if it is still there. */
  keep(): void {
    if (this.#gathered.length > 0 || this.length === 0) return;
    this.#gathered.append(this.bytes, this.base, this.base + this.length);
    this.bytes = this.#gathered.bytes;
    this.base = 0;
  }
}

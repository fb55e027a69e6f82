import { Gathered, NOTHING } from "./gathered.ts";
import { SHORT } from "./tokens.ts";

/** What finds the end of a section: `HeadScanner`, and `FieldScanner` for trailers. */
interface Scanner {
  /** See `FieldScanner.scan`. */
  scan(bytes: Uint8Array, base: number, stop: number): number;
}

/** A section is longer than it may be. */
export const OVER = -3;

/**
 * A head or a trailer section, which has to lie in one piece: in the caller's chunk when it came in one,
 * else in a buffer that grows with what came, up to the limit.
 */
export class Section {
  /** Where the section lies, once it is complete. */
  bytes: Uint8Array = NOTHING;
  base = 0;
  /** How many of its bytes have come. */
  length = 0;
  readonly #scanner: Scanner;
  readonly #maxBytes: number;
  readonly #gathered: Gathered = new Gathered();

  constructor(scanner: Scanner, maxBytes: number) {
    this.#scanner = scanner;
    this.#maxBytes = maxBytes;
  }

  /** A new section; the memory of the last one is let go. */
  begin(): void {
    this.length = 0;
    if (this.#gathered.length > 0) this.#gathered.release();
  }

  /** Lets go of the section, and of the caller's chunk. */
  release(): void {
    this.begin();
    this.bytes = NOTHING;
    this.base = 0;
  }

  /**
   * Scans on, at most up to the limit, so that it does not depend on the split what is found first: an
   * error or the limit.
   *
   * @returns The position in `bytes` after the section; `SHORT` when all was taken and more is needed;
   * `BAD` when the scanner says so; `OVER` when it does not end within the limit.
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

  /** Moves the section out of the caller's chunk, if it still lies there. */
  keep(): void {
    if (this.#gathered.length > 0 || this.length === 0) return;
    this.#gathered.append(this.bytes, this.base, this.base + this.length);
    this.bytes = this.#gathered.bytes;
    this.base = 0;
  }
}

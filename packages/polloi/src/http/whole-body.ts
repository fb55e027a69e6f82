/** Memory up to this length is allocated as zeros, which is faster than a call out of JavaScript. */
const MOST_ZEROED = 4096;
/** A body up to this length is allocated when its first bytes arrive. */
const FIRST_BYTES = 131_072;
/** Of a longer body, so many times the bytes that have arrived are allocated. */
const FACTOR = 8;
const EMPTY: Uint8Array<ArrayBuffer> = new Uint8Array(0);

/**
 * The bytes of a body, collected in memory of their own.
 *
 * @remarks
 * A body whose length is known is copied once. A client that announces a long body does not make the server allocate
 * it: only a small multiple of what has arrived is allocated.
 */
export class WholeBody {
  #bytes = EMPTY;
  #length = 0;
  readonly #expected: number;

  /** @param expected - The length of the body in bytes; -1 if it is unknown. */
  constructor(expected: number) {
    this.#expected = expected;
  }

  /** Appends a copy of the bytes. */
  add(bytes: Uint8Array): void {
    const at = this.#length;
    this.#length += bytes.length;
    if (this.#length > this.#bytes.length) this.#grow();
    this.#bytes.set(bytes, at);
  }

  /** Takes the bytes out. They are all of their buffer. */
  take(): Uint8Array<ArrayBuffer> {
    const all = this.#bytes;
    const length = this.#length;
    this.#bytes = EMPTY;
    this.#length = 0;
    if (length === 0) return new Uint8Array(0);
    return all.length === length ? all : all.slice(0, length);
  }

  #grow(): void {
    const needed = this.#length;
    const before = this.#bytes;
    const isFirst = before.length === 0;
    const room =
      this.#expected < 0
        ? needed * (isFirst ? 1 : 2)
        : Math.min(this.#expected, Math.max(FIRST_BYTES, needed * FACTOR));
    // Not less than is needed, whatever was expected.
    this.#bytes = allocate(Math.max(room, needed));
    if (!isFirst) this.#bytes.set(before);
  }
}

/** Memory that is not zeroed if it is long: all of it is written before anything reads it. */
function allocate(length: number): Uint8Array<ArrayBuffer> {
  return length <= MOST_ZEROED
    ? new Uint8Array(length)
    : new Uint8Array(Buffer.allocUnsafeSlow(length).buffer as ArrayBuffer);
}

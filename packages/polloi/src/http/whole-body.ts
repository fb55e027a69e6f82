/** Memory up to this length is allocated as zeros, which is faster than a call out of JavaScript. */
const MOST_ZEROED = 4096;
/** A body up to this length is allocated when its first bytes arrive. */
const FIRST_BYTES = 131_072;
/** Of a longer body, so many times the bytes that have arrived are allocated. */
const FACTOR = 8;
/** A temporary body up to this length is allocated like any other, because it would waste most of what is kept. */
const MOST_SMALL = 16_384;
/** The most pieces of {@link FIRST_BYTES} that are kept for bodies that are decoded at once (2 MiB). */
const MOST_SPARE = 16;
const spare: Uint8Array<ArrayBuffer>[] = [];
const EMPTY: Uint8Array<ArrayBuffer> = new Uint8Array(0);

/**
 * The bytes of a body, collected in memory of their own.
 *
 * @remarks
 * Allocating and collecting memory for each body takes longer than copying it, so a body that is only decoded may be
 * collected in memory that is used again.
 *
 * A body whose length is known is copied once. A client that announces a long body does not make the server allocate
 * it: only a small multiple of what has arrived is allocated.
 */
export class WholeBody {
  #bytes = EMPTY;
  #length = 0;
  readonly #expected: number;
  readonly #isTemporary: boolean;

  /**
   * @param expected - The length of the body in bytes; -1 if it is unknown.
   * @param isTemporary - Whether {@link WholeBody.reuse} is called with the bytes, which nothing else keeps.
   */
  constructor(expected: number, isTemporary = false) {
    this.#expected = expected;
    this.#isTemporary = isTemporary;
  }

  /** Uses the memory of a temporary body for another one. */
  static reuse({ buffer }: Uint8Array<ArrayBuffer>): void {
    if (buffer.byteLength === FIRST_BYTES && spare.length < MOST_SPARE) {
      spare.push(new Uint8Array(buffer));
    }
  }

  /** Appends a copy of the bytes. */
  add(bytes: Uint8Array): void {
    const at = this.#length;
    this.#length += bytes.length;
    if (this.#length > this.#bytes.length) this.#grow();
    this.#bytes.set(bytes, at);
  }

  /** Takes the bytes out. They are all of their buffer, unless they are temporary. */
  take(): Uint8Array<ArrayBuffer> {
    const all = this.#bytes;
    const length = this.#length;
    this.#bytes = EMPTY;
    this.#length = 0;
    if (length === 0) return new Uint8Array(0);
    if (all.length === length) return all;
    return this.#isTemporary ? all.subarray(0, length) : all.slice(0, length);
  }

  #grow(): void {
    const needed = this.#length;
    const before = this.#bytes;
    const isFirst = before.length === 0;
    if (isFirst && this.#isTemporary && needed <= FIRST_BYTES && this.#expected > MOST_SMALL) {
      this.#bytes = spare.pop() ?? allocate(FIRST_BYTES);
      return;
    }
    const room =
      this.#expected < 0
        ? needed * (isFirst ? 1 : 2)
        : Math.min(this.#expected, Math.max(FIRST_BYTES, needed * FACTOR));
    // Not less than is needed, whatever was expected.
    this.#bytes = allocate(Math.max(room, needed));
    if (isFirst) return;
    this.#bytes.set(before);
    if (this.#isTemporary) WholeBody.reuse(before);
  }
}

/** Memory that is not zeroed if it is long: all of it is written before anything reads it. */
function allocate(length: number): Uint8Array<ArrayBuffer> {
  return length <= MOST_ZEROED
    ? new Uint8Array(length)
    : new Uint8Array(Buffer.allocUnsafeSlow(length).buffer as ArrayBuffer);
}

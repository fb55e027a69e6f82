/** Bytes that came where a message was to come, kept until it is known what they are. */
export class DamagedMessage {
  readonly #bytes: Uint8Array;
  /** How many there are. */
  length: number;
  /** How many it takes to tell. */
  wanted: number;

  /** @param most - Never more than so many are wanted. @param start - What has come already. */
  constructor(most: number, wanted: number, start: Uint8Array) {
    this.#bytes = new Uint8Array(most);
    this.#bytes.set(start);
    this.length = start.length;
    this.wanted = wanted;
  }

  /** What there is. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  /** Whether it can be told. */
  get isEnough(): boolean {
    return this.length >= this.wanted;
  }

  /** @returns How many bytes were taken. */
  fill(bytes: Uint8Array, from: number): number {
    const length = Math.min(this.wanted - this.length, bytes.length - from);
    this.#bytes.set(bytes.subarray(from, from + length), this.length);
    this.length += length;
    return length;
  }

  /** The first `count` bytes are told. */
  dropFirst(count: number): void {
    this.#bytes.copyWithin(0, count, this.length);
    this.length -= count;
  }
}

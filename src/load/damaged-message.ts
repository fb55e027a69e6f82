/** What came where a message was to come, put together until there is as much of it. */
export class DamagedMessage {
  readonly bytes: Uint8Array;
  #length: number;

  /** @param start - What has come of it already. */
  constructor(size: number, start: Uint8Array) {
    this.bytes = new Uint8Array(size);
    this.bytes.set(start);
    this.#length = start.length;
  }

  get isFull(): boolean {
    return this.#length === this.bytes.length;
  }

  /** @returns How many bytes were taken. */
  fill(bytes: Uint8Array, from: number): number {
    const length = Math.min(this.bytes.length - this.#length, bytes.length - from);
    this.bytes.set(bytes.subarray(from, from + length), this.#length);
    this.#length += length;
    return length;
  }

  /** What is at `at` turns out to be the beginning of another message. */
  dropFirst(at: number): void {
    this.bytes.copyWithin(0, at);
    this.#length = this.bytes.length - at;
  }
}

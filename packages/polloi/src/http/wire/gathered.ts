/** The initial size: enough for the rest of most heads, so that it grows once or never. */
const FIRST_BYTES = 1024;

/** No bytes. */
export const NOTHING: Uint8Array = new Uint8Array(0);

/** Bytes of several chunks in contiguous memory. Holds no memory while it is empty. */
export class Gathered {
  bytes: Uint8Array = NOTHING;
  length = 0;

  /** Appends a copy of the bytes from one offset to another. */
  append(bytes: Uint8Array, from: number, to: number): void {
    const length = this.length + to - from;
    if (length > this.bytes.length) this.#grow(length);
    // For few bytes a loop is faster than a view and a native call.
    if (to - from <= 32) {
      for (let k = from; k < to; k++) this.bytes[this.length++] = bytes[k] as number;
    } else {
      this.bytes.set(bytes.subarray(from, to), this.length);
      this.length = length;
    }
  }

  /** Removes the bytes and releases their memory. */
  release(): void {
    this.bytes = NOTHING;
    this.length = 0;
  }

  #grow(length: number): void {
    const grown = new Uint8Array(Math.max(length, this.bytes.length * 2, FIRST_BYTES));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }
}

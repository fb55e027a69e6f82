import { rangeError, show } from "../base/misuse.ts";

/**
 * Memory at an address that the kernel can be told: where a ring reads from and writes into.
 *
 * @remarks
 * Made by `Ring.map`, and the ring's: once the ring is closed its bytes are nobody's, and may be used
 * for something else.
 *
 * @example
 * ```ts
 * using ring = new Ring();
 * const memory = ring.map(8192);
 * memory.bytes.set([1, 2, 3]);
 * ring.write(1, memory.part(0, 3));
 * ```
 */
export class Mapped {
  /** The address of the first byte. */
  readonly address: number;
  /** The bytes, to read and write. */
  readonly bytes: Uint8Array;

  /** @internal */
  constructor(address: number, bytes: Uint8Array) {
    this.address = address;
    this.bytes = bytes;
  }

  /**
   * A part of it, which is the same memory.
   *
   * @param offset - The first byte of the part.
   * @param length - How many bytes; by default all that follow.
   * @throws RangeError `ERR_INVALID_LENGTH` when it is not all within.
   */
  part(offset: number, length: number = this.bytes.length - offset): Mapped {
    const end = offset + length;
    const whole = Number.isInteger(offset) && Number.isInteger(length);
    if (!whole || offset < 0 || length < 0 || end > this.bytes.length) {
      throw rangeError(
        "ERR_INVALID_LENGTH",
        `Cannot take ${show(length)} bytes at ${show(offset)}: there are ${this.bytes.length}`,
      );
    }
    return new Mapped(this.address + offset, this.bytes.subarray(offset, end));
  }
}

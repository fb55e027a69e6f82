import { integerOf } from "../base/argument.ts";
import { printAs } from "../base/inspect.ts";

/**
 * Memory at a fixed address, which the operations of a ring read and write.
 *
 * @remarks
 * `Ring.map` makes it, and the ring owns it. Once the ring is closed, the memory may be reused for other purposes.
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
  static {
    printAs(Mapped, ({ address, bytes }) => ({ address, length: bytes.length }));
  }

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
   * Returns a part of it, which shares the memory.
   *
   * @param offset - The first byte of the part.
   * @param length - The number of bytes. Default: all that follow.
   * @throws RangeError `ERR_INVALID_LENGTH` when the part is out of range, TypeError when these are no numbers.
   */
  part(offset: number, length?: number): Mapped {
    const start = integerOf(offset, "an offset", [0, this.bytes.length], "ERR_INVALID_LENGTH");
    const most = this.bytes.length - start;
    const bytes = length === undefined ? most : length;
    integerOf(bytes, "a length in bytes", [0, most], "ERR_INVALID_LENGTH");
    return new Mapped(this.address + start, this.bytes.subarray(start, start + bytes));
  }
}

import { rangeError, show, typeError } from "../base/misuse.ts";

/**
 * `mask` as the unsigned number that it stands for.
 *
 * @remarks
 * JavaScript's `|` gives a signed number, so that `EPOLLIN | EPOLLET` is negative. It is taken as the
 * 32 bits that it is.
 *
 * @param allowed - All bits that the call has.
 * @throws TypeError `ERR_INVALID_EVENTS` when it is not an integer, RangeError `ERR_INVALID_EVENTS`
 * when it has other bits.
 */
export function eventMaskOf(mask: number, allowed: number): number {
  if (!Number.isInteger(mask)) {
    throw typeError(
      "ERR_INVALID_EVENTS",
      `Cannot watch for ${show(mask)}: give an integer of bits`,
    );
  }
  const bits = mask >>> 0;
  if (mask < -0x8000_0000 || mask > 0xffff_ffff || (bits & ~allowed) !== 0) {
    throw rangeError(
      "ERR_INVALID_EVENTS",
      `Cannot watch for ${mask}: the bits that can be asked for are 0x${(allowed >>> 0).toString(16)}`,
    );
  }
  return bits;
}

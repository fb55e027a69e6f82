import { numberError, rangeError, show } from "../base/misuse.ts";

/**
 * Checks a mask of events, and returns it as an unsigned number.
 *
 * @remarks
 * JavaScript's `|` gives a signed number, so `EPOLLIN | EPOLLET` is negative. Both forms are accepted.
 *
 * @param allowed - All bits that the call accepts.
 * @throws TypeError `ERR_INVALID_EVENTS` when it is not a number, RangeError `ERR_INVALID_EVENTS` when it is not an
 * integer or has other bits.
 */
export function eventMaskOf(mask: number, allowed: number): number {
  if (!Number.isInteger(mask)) {
    throw numberError(
      "ERR_INVALID_EVENTS",
      mask,
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

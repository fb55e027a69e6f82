/** The bytes of simulated streams. Each byte depends on the stream and on its position. */

/** The bytes of a stream repeat after this many: a prime, so that no size of a buffer is a multiple of it. */
const PERIOD = 65_521;
/** The most bytes of one view. */
const LONGEST = 1_048_576;
/** The distance between the beginnings of two streams, a prime too. */
const STRIDE = 7919;
/** Up to this length, a loop is faster than a call. */
const LOOPED = 64;

/** The stream and the number of bytes of the file that servers send from. */
export const FILE_STREAM = 9999;
export const FILE_BYTES = 700_000;

const bytes: Uint8Array = pattern();

function pattern(): Uint8Array {
  const made = new Uint8Array(PERIOD + LONGEST);
  let state = 1;
  for (let i = 0; i < PERIOD; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    made[i] = state >>> 24;
  }
  for (let at = PERIOD; at < made.length; at += PERIOD) {
    made.copyWithin(at, 0, Math.min(PERIOD, made.length - at));
  }
  return made;
}

/**
 * Returns a view of `length` bytes of a stream from `position` on, at most {@link LONGEST}. It must not be changed.
 *
 * @param stream - The number of the stream.
 */
export function contentOf(stream: number, position: number, length: number): Uint8Array {
  const at = (stream * STRIDE + position) % PERIOD;
  return bytes.subarray(at, at + length);
}

/** Returns the position of the first of `found` that is not of the stream, or -1. `found` begins at `position`. */
export function differsAt(stream: number, position: number, found: Uint8Array): number {
  const { length } = found;
  const at = (stream * STRIDE + position) % PERIOD;
  if (length > LOOPED) {
    if (length > LONGEST) {
      const half = differsAt(stream, position, found.subarray(0, LONGEST));
      return half >= 0 ? half : differsAt(stream, position + LONGEST, found.subarray(LONGEST));
    }
    if (Buffer.compare(found, bytes.subarray(at, at + length)) === 0) return -1;
  }
  for (let i = 0; i < length; i++) {
    if (found[i] !== bytes[at + i]) return position + i;
  }
  return -1;
}

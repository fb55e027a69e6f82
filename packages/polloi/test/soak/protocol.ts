/** The protocol of the soak test: a header of five bytes selects what the server does. */

/** Echoes everything until the client ends. */
export const MODE_ECHO = 1;
/** Sends this many bytes, then closes, while the client may keep sending. */
export const MODE_SERVE = 2;
/** Resets when this many bytes were received. */
export const MODE_RESET = 3;

/** Stops receiving at once, and never resumes. */
export const MODE_PAUSED = 4;

export const HEADER_BYTES = 5;

/** The header of a connection. */
export function header(mode: number, length: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes[0] = mode;
  bytes.writeUInt32LE(length, 1);
  return bytes;
}

/** The byte at `position` of a stream; that of a stream of another seed differs. */
export function byteAt(seed: number, position: number): number {
  const mixed = Math.imul(position ^ (seed * 0x9e3779b1), 0x85ebca6b);
  return ((mixed ^ (mixed >>> 13)) >>> 7) & 0xff;
}

/** The bytes of a stream from `position` on. */
export function bytesAt(seed: number, position: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) bytes[i] = byteAt(seed, position + i);
  return bytes;
}

/** The first position where `bytes`, which begin at `position`, differ from the stream, or -1. */
export function differsAt(seed: number, position: number, bytes: Uint8Array): number {
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] !== byteAt(seed, position + i)) return position + i;
  }
  return -1;
}

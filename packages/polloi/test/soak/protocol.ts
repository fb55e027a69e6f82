/** What the soak's clients ask of its server, in the first five bytes of a connection. */

/** Sends everything back until the client ends. */
export const MODE_ECHO = 1;
/** Sends so many bytes, then closes, whatever the client goes on sending. */
export const MODE_SERVE = 2;
/** Resets once so many bytes have come. */
export const MODE_RESET = 3;

/** Stops receiving at once, and does not go on. */
export const MODE_DEAF = 4;

export const HEADER_BYTES = 5;

/** What a client asks for, as it is sent. */
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

/** Where `bytes`, which came from `position` on, first differ from the stream; -1 when they do not. */
export function differsAt(seed: number, position: number, bytes: Uint8Array): number {
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] !== byteAt(seed, position + i)) return position + i;
  }
  return -1;
}

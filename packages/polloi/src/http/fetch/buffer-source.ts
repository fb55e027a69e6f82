/** The bytes that a program gives for a body: what Web IDL calls a BufferSource. */

/** Whether a value is memory of this thread only, or a view of such memory. */
export function isOwnBuffer(value: unknown): value is ArrayBufferView<ArrayBuffer> | ArrayBuffer {
  if (ArrayBuffer.isView(value)) return value.buffer instanceof ArrayBuffer;
  return value instanceof ArrayBuffer;
}

/** Whether it is an ArrayBuffer, of whatever realm. */
export function isBuffer(value: unknown): value is ArrayBuffer {
  return Object.prototype.toString.call(value) === "[object ArrayBuffer]";
}

/**
 * The bytes of a view or a buffer, where they lie. There are none when the buffer was detached, or has shrunk so that
 * it does not reach as far: Web IDL has it so, and the constructors of typed arrays throw.
 */
export function bytesIn(
  source: ArrayBufferView<ArrayBuffer> | ArrayBuffer,
): Uint8Array<ArrayBuffer> {
  const length = lengthOf(source);
  if (length === 0) return new Uint8Array(0);
  return ArrayBuffer.isView(source)
    ? new Uint8Array(source.buffer, source.byteOffset, length)
    : new Uint8Array(source);
}

/** A copy of those bytes, since what the program does with its own next is no part of a response. */
export function copyOf(
  source: ArrayBufferView<ArrayBuffer> | ArrayBuffer,
): Uint8Array<ArrayBuffer> {
  return bytesIn(source).slice();
}

/** The length of a DataView whose buffer was detached cannot be read. */
function lengthOf(source: ArrayBufferView | ArrayBuffer): number {
  try {
    return source.byteLength;
  } catch {
    return 0;
  }
}

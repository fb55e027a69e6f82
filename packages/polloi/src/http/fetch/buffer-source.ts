/** Bytes that a program passes as a body: a BufferSource of Web IDL. */

/** Whether a value is an ArrayBuffer or a view of one; memory that is shared between threads is not. */
export function isOwnBuffer(value: unknown): value is ArrayBufferView<ArrayBuffer> | ArrayBuffer {
  if (ArrayBuffer.isView(value)) return value.buffer instanceof ArrayBuffer;
  return value instanceof ArrayBuffer;
}

/** Whether it is an ArrayBuffer of any realm. */
export function isBuffer(value: unknown): value is ArrayBuffer {
  return Object.prototype.toString.call(value) === "[object ArrayBuffer]";
}

/**
 * The bytes of a view or a buffer, without a copy. They are empty if the buffer was detached, or has shrunk below the end
 * of the view: Web IDL requires that, and the constructors of typed arrays throw.
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

/** A copy of those bytes, which the program may change afterwards. */
export function copyOf(
  source: ArrayBufferView<ArrayBuffer> | ArrayBuffer,
): Uint8Array<ArrayBuffer> {
  return bytesIn(source).slice();
}

/** Reading the length of a DataView throws if its buffer was detached. */
function lengthOf(source: ArrayBufferView | ArrayBuffer): number {
  try {
    return source.byteLength;
  } catch {
    return 0;
  }
}

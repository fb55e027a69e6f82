/** The messages to an echo server, and their comparison with what is received. */

/** Size of a message header. Smaller messages have none. */
export const HEADER_BYTES = 16;

const MAGIC = 0x796e616d;
/** Number of different bodies. Consecutive messages of a connection have different ones. */
const SHIFTS = 1024;
/** Up to this size a loop over words is faster than a call. */
const LOOP_BYTES = 256;
/** Larger messages are written as header and body instead of being assembled first. */
const ASSEMBLED_BYTES = 1024;

/** Receives the bytes of messages. */
interface Sink {
  write(bytes: Uint8Array): boolean;
}

/** The content of the messages of a load. */
export interface Payload {
  readonly size: number;
  /** Whether messages have a header that identifies them. */
  readonly hasHeader: boolean;
  /** Writes bytes `from` to `to` of a message. */
  write(sink: Sink, connection: number, sequence: number, from: number, to: number): void;
  /**
   * Whether `length` bytes, at `from` in `bytes`, differ from those at `at` in a message. The range must not exceed
   * the message.
   */
  differs(
    connection: number,
    sequence: number,
    at: number,
    bytes: Uint8Array,
    from: number,
    length: number,
  ): boolean;
  /** The first `length` bytes of a message. */
  start(connection: number, sequence: number, length: number): Uint8Array;
  /** The sequence number in the header at `at`, or -1 if there is no header of this connection. */
  sequenceAt(connection: number, bytes: Uint8Array, at: number): number;
}

/**
 * Messages with a header that identifies them.
 *
 * ```text
 *   | magic | connection | sequence | checksum |  body: bytes of a pattern, from an offset of its own ... |
 * ```
 */
export class NumberedPayload implements Payload {
  readonly size: number;
  readonly hasHeader = true;
  /** The pattern as words and as bytes. */
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  /** The memory of one message, or of its header. */
  readonly #message: Uint8Array;
  readonly #messageWords: Int32Array;
  /** The memory of the last received bytes, as words. */
  #memory: ArrayBufferLike = new ArrayBuffer(0);
  #memoryWords: Int32Array = new Int32Array(0);

  /** @param size - At least {@link HEADER_BYTES}. */
  constructor(size: number) {
    this.size = size;
    const words = new Int32Array(SHIFTS + Math.ceil(size / 4));
    fillPattern(words);
    this.#words = words;
    this.#bytes = new Uint8Array(words.buffer);
    const length = size <= ASSEMBLED_BYTES ? size : HEADER_BYTES;
    this.#messageWords = new Int32Array(Math.ceil(length / 4));
    this.#message = new Uint8Array(this.#messageWords.buffer, 0, length);
  }

  write(sink: Sink, connection: number, sequence: number, from: number, to: number): void {
    const message = this.#header(connection, sequence);
    const { size } = this;
    if (message.length === size) {
      const shift = shiftOf(connection, sequence);
      const target = this.#messageWords;
      for (let i = HEADER_BYTES >> 2; i < target.length; i++) {
        target[i] = this.#words[shift + i] as number;
      }
      sink.write(from === 0 && to === size ? message : message.subarray(from, to));
      return;
    }
    if (from < HEADER_BYTES) sink.write(message.subarray(from, Math.min(to, HEADER_BYTES)));
    if (to <= HEADER_BYTES) return;
    const shift = 4 * shiftOf(connection, sequence);
    sink.write(this.#bytes.subarray(shift + Math.max(from, HEADER_BYTES), shift + to));
  }

  differs(
    connection: number,
    sequence: number,
    at: number,
    bytes: Uint8Array,
    from: number,
    length: number,
  ): boolean {
    let i = from;
    let position = at;
    const end = from + length;
    const shift = shiftOf(connection, sequence);
    if (length <= LOOP_BYTES && ((bytes.byteOffset + from) & 3) === 0 && (at & 3) === 0) {
      const words = this.#wordsOf(bytes.buffer);
      const stop = length >> 2;
      const offset = (bytes.byteOffset + from) >> 2;
      let word = at >> 2;
      let k = 0;
      let difference = 0;
      for (; word < 4 && k < stop; word++, k++) {
        difference |= (words[offset + k] as number) ^ headerWord(word, connection, sequence);
      }
      const pattern = this.#words;
      for (; k < stop; word++, k++) {
        difference |= (words[offset + k] as number) ^ (pattern[shift + word] as number);
      }
      if (difference !== 0) return true;
      i += 4 * stop;
      position += 4 * stop;
    }
    for (; position < HEADER_BYTES && i < end; position++, i++) {
      const word = headerWord(position >> 2, connection, sequence);
      if (bytes[i] !== ((word >>> (8 * (position & 3))) & 0xff)) return true;
    }
    if (i === end) return false;
    const first = 4 * shift + position;
    return !isEqual(this.#bytes.subarray(first, first + end - i), bytes, i, end);
  }

  start(connection: number, sequence: number, length: number): Uint8Array {
    const parts: Uint8Array[] = [];
    this.write({ write: (bytes) => parts.push(bytes) > 0 }, connection, sequence, 0, length);
    return Buffer.concat(parts);
  }

  sequenceAt(connection: number, bytes: Uint8Array, at: number): number {
    if (at + HEADER_BYTES > bytes.length) return -1;
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, HEADER_BYTES);
    if (view.getInt32(0, true) !== MAGIC || view.getInt32(4, true) !== (connection | 0)) return -1;
    const sequence = view.getInt32(8, true);
    return view.getInt32(12, true) === checksum(connection, sequence) ? sequence >>> 0 : -1;
  }

  #header(connection: number, sequence: number): Uint8Array {
    const words = this.#messageWords;
    words[0] = MAGIC;
    words[1] = connection;
    words[2] = sequence;
    words[3] = checksum(connection, sequence);
    return this.#message;
  }

  #wordsOf(memory: ArrayBufferLike): Int32Array {
    if (memory !== this.#memory) {
      this.#memory = memory;
      this.#memoryWords = new Int32Array(memory, 0, memory.byteLength >> 2);
    }
    return this.#memoryWords;
  }
}

/** Messages that all have the same content and no header. */
export class PlainPayload implements Payload {
  readonly size: number;
  readonly hasHeader = false;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes.slice();
    this.size = bytes.length;
  }

  write(sink: Sink, _connection: number, _sequence: number, from: number, to: number): void {
    sink.write(this.#bytes.subarray(from, to));
  }

  differs(
    _connection: number,
    _sequence: number,
    at: number,
    bytes: Uint8Array,
    from: number,
    length: number,
  ): boolean {
    return !isEqual(this.#bytes.subarray(at, at + length), bytes, from, from + length);
  }

  start(_connection: number, _sequence: number, length: number): Uint8Array {
    return this.#bytes.slice(0, length);
  }

  sequenceAt(): number {
    return -1;
  }
}

/** The payload of a load. @param data - The content of every message, or null. */
export function makePayload(size: number, data: Uint8Array | null): Payload {
  if (data !== null) return new PlainPayload(data);
  if (size >= HEADER_BYTES) return new NumberedPayload(size);
  return new PlainPayload(new NumberedPayload(HEADER_BYTES).start(0, 0, size));
}

/** Compares views, because `compare` with positions checks their limits wrongly on Deno. */
function isEqual(wanted: Uint8Array, bytes: Uint8Array, from: number, to: number): boolean {
  return Buffer.compare(wanted, bytes.subarray(from, to)) === 0;
}

function headerWord(word: number, connection: number, sequence: number): number {
  if (word === 0) return MAGIC;
  if (word === 1) return connection;
  return word === 2 ? sequence | 0 : checksum(connection, sequence);
}

/** A word that other bytes are unlikely to have at this offset. */
function checksum(connection: number, sequence: number): number {
  const word = Math.imul(connection ^ 0x5bd1e995, 0x9e3779b1) ^ Math.imul(sequence, 0x85ebca6b);
  return word ^ (word >>> 15);
}

/** The offset of a body in the pattern, in words. It differs between consecutive messages. */
function shiftOf(connection: number, sequence: number): number {
  return (Math.imul(connection, 61) + Math.imul(sequence, 17)) & (SHIFTS - 1);
}

/** Fills in bytes without a short period, so that bytes at a wrong offset do not match. */
function fillPattern(words: Int32Array): void {
  let state = 0x9e3779b9;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
}

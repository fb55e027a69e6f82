/** What is sent to an echo server, and whether it is what came back. */

/** Below this there is no room for a stamp. */
export const STAMP_BYTES = 16;

const MAGIC = 0x796e616d;
/** So many messages in a row of one connection have bytes of their own after the stamp. */
const SHIFTS = 1024;
/** Up to so many bytes a loop over words beats a call. */
const LOOP_BYTES = 256;
/** What is larger is written in two pieces instead of being put together first. */
const WHOLE_BYTES = 1024;

/** Where messages are written to. */
interface Sink {
  write(bytes: Uint8Array): boolean;
}

/** The messages of a load: which bytes they have, and what is wrong with those that came back. */
export interface Payload {
  readonly size: number;
  /** Whether messages say which they are. */
  readonly isStamped: boolean;
  /** Writes bytes `from` to `to` of a message. */
  write(sink: Sink, connection: number, sequence: number, from: number, to: number): void;
  /**
   * Whether `length` bytes, at `from` in `bytes`, differ from those at `at` in a message. They stay within it.
   */
  differs(
    connection: number,
    sequence: number,
    at: number,
    bytes: Uint8Array,
    from: number,
    length: number,
  ): boolean;
  /** The bytes of a message up to `length`. */
  start(connection: number, sequence: number, length: number): Uint8Array;
  /** The sequence number that stands at `at`, as far as it is one of this connection's; else -1. */
  stampAt(connection: number, bytes: Uint8Array, at: number): number;
}

/**
 * Messages that say which they are.
 *
 * ```text
 *   | "many" | connection | sequence | the three mixed |  bytes of a pattern, from a place of its own ... |
 * ```
 */
export class StampedPayload implements Payload {
  readonly size: number;
  readonly isStamped = true;
  /** The pattern as words and as bytes. */
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  /** One message, or the stamp of it. */
  readonly #message: Uint8Array;
  readonly #messageWords: Int32Array;
  /** The memory that bytes last came from, as words. */
  #memory: ArrayBufferLike = new ArrayBuffer(0);
  #memoryWords: Int32Array = new Int32Array(0);

  /** @param size - At least {@link STAMP_BYTES}. */
  constructor(size: number) {
    this.size = size;
    const words = new Int32Array(SHIFTS + Math.ceil(size / 4));
    fillPattern(words);
    this.#words = words;
    this.#bytes = new Uint8Array(words.buffer);
    const whole = size <= WHOLE_BYTES ? size : STAMP_BYTES;
    this.#messageWords = new Int32Array(Math.ceil(whole / 4));
    this.#message = new Uint8Array(this.#messageWords.buffer, 0, whole);
  }

  write(sink: Sink, connection: number, sequence: number, from: number, to: number): void {
    const message = this.#stamp(connection, sequence);
    const { size } = this;
    if (message.length === size) {
      const shift = shiftOf(connection, sequence);
      const target = this.#messageWords;
      for (let i = STAMP_BYTES >> 2; i < target.length; i++) {
        target[i] = this.#words[shift + i] as number;
      }
      sink.write(from === 0 && to === size ? message : message.subarray(from, to));
      return;
    }
    if (from < STAMP_BYTES) sink.write(message.subarray(from, Math.min(to, STAMP_BYTES)));
    if (to <= STAMP_BYTES) return;
    const shift = 4 * shiftOf(connection, sequence);
    sink.write(this.#bytes.subarray(shift + Math.max(from, STAMP_BYTES), shift + to));
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
    let place = at;
    const end = from + length;
    const shift = shiftOf(connection, sequence);
    if (length <= LOOP_BYTES && ((bytes.byteOffset + from) & 3) === 0 && (at & 3) === 0) {
      const words = this.#wordsOf(bytes.buffer);
      const stop = length >> 2;
      const offset = (bytes.byteOffset + from) >> 2;
      let word = at >> 2;
      let k = 0;
      let wrong = 0;
      for (; word < 4 && k < stop; word++, k++) {
        wrong |= (words[offset + k] as number) ^ stampWord(word, connection, sequence);
      }
      const pattern = this.#words;
      for (; k < stop; word++, k++) {
        wrong |= (words[offset + k] as number) ^ (pattern[shift + word] as number);
      }
      if (wrong !== 0) return true;
      i += 4 * stop;
      place += 4 * stop;
    }
    for (; place < STAMP_BYTES && i < end; place++, i++) {
      const word = stampWord(place >> 2, connection, sequence);
      if (bytes[i] !== ((word >>> (8 * (place & 3))) & 0xff)) return true;
    }
    if (i === end) return false;
    const first = 4 * shift + place;
    return !isSame(this.#bytes.subarray(first, first + end - i), bytes, i, end);
  }

  start(connection: number, sequence: number, length: number): Uint8Array {
    const parts: Uint8Array[] = [];
    this.write({ write: (bytes) => parts.push(bytes) > 0 }, connection, sequence, 0, length);
    return Buffer.concat(parts);
  }

  stampAt(connection: number, bytes: Uint8Array, at: number): number {
    if (at + STAMP_BYTES > bytes.length) return -1;
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, STAMP_BYTES);
    if (view.getInt32(0, true) !== MAGIC || view.getInt32(4, true) !== (connection | 0)) return -1;
    const sequence = view.getInt32(8, true);
    return view.getInt32(12, true) === mixed(connection, sequence) ? sequence >>> 0 : -1;
  }

  #stamp(connection: number, sequence: number): Uint8Array {
    const words = this.#messageWords;
    words[0] = MAGIC;
    words[1] = connection;
    words[2] = sequence;
    words[3] = mixed(connection, sequence);
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

/** The same bytes again and again: nothing tells one message from the next. */
export class PlainPayload implements Payload {
  readonly size: number;
  readonly isStamped = false;
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
    return !isSame(this.#bytes.subarray(at, at + length), bytes, from, from + length);
  }

  start(_connection: number, _sequence: number, length: number): Uint8Array {
    return this.#bytes.slice(0, length);
  }

  stampAt(): number {
    return -1;
  }
}

/** The payload that a plan asks for. */
export function payloadOf(size: number, data: Uint8Array | null): Payload {
  if (data !== null) return new PlainPayload(data);
  if (size >= STAMP_BYTES) return new StampedPayload(size);
  return new PlainPayload(new StampedPayload(STAMP_BYTES).start(0, 0, size));
}

/** By views, since `compare` with positions is wrong about their limits on Deno. */
function isSame(wanted: Uint8Array, bytes: Uint8Array, from: number, to: number): boolean {
  return Buffer.compare(wanted, bytes.subarray(from, to)) === 0;
}

function stampWord(word: number, connection: number, sequence: number): number {
  if (word === 0) return MAGIC;
  if (word === 1) return connection;
  return word === 2 ? sequence | 0 : mixed(connection, sequence);
}

/** A word that a stamp of other bytes is unlikely to have. */
function mixed(connection: number, sequence: number): number {
  const word = Math.imul(connection ^ 0x5bd1e995, 0x9e3779b1) ^ Math.imul(sequence, 0x85ebca6b);
  return word ^ (word >>> 15);
}

/** Where in the pattern a message begins, in words: neighbours in the sequence differ. */
function shiftOf(connection: number, sequence: number): number {
  return (Math.imul(connection, 61) + Math.imul(sequence, 17)) & (SHIFTS - 1);
}

/** Bytes without a short period: what comes back at the wrong place must not look right. */
function fillPattern(words: Int32Array): void {
  let state = 0x9e3779b9;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
}

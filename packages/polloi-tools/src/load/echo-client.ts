import type { Connection } from "polloi";
import { Client } from "./client.ts";
import { HEADER_BYTES } from "./payload.ts";

/**
 * A connection to an echo server. Compares every byte that is received.
 *
 * @remarks
 * As long as bytes match, they are compared in place with those of the next message. Only after a mismatch are they
 * collected in a buffer, to determine whether they are another message or a damaged one.
 */
export class EchoClient extends Client {
  /** Sequence number of the next message to arrive, and how many of its bytes have arrived. */
  #expected = 0;
  #offset = 0;
  /** End of the part in flight. */
  #partEnd = 0;
  /** Bytes from the first mismatch on, until they are classified. */
  #unmatched: UnmatchedBytes | null = null;
  /** Send times of messages that have not arrived although later ones have. */
  #missing: Map<number, number> | null = null;
  /** Whether the last message was damaged. Unknown bytes that follow it are counted with it. */
  #afterDamage = false;

  override get missing(): number {
    return this.#missing?.size ?? 0;
  }

  protected override writeNext(connection: Connection<Client>): void {
    const { payload, config } = this.context;
    this.#partEnd = config.parts === 1 ? payload.size : Math.ceil(payload.size / config.parts);
    payload.write(connection, this.index, this.sent, 0, this.#partEnd);
  }

  override received(bytes: Uint8Array): void {
    const { payload, statistics } = this.context;
    const now = this.context.now();
    const { length } = bytes;
    statistics.counts.bytes += length;
    for (let from = 0; from < length; ) {
      if (this.#unmatched !== null) {
        from += this.#unmatched.fill(bytes, from);
        this.#classify(now);
        continue;
      }
      // Nothing is in flight, so the rest is surplus, whatever it contains.
      if (this.#expected === this.sent && this.missing === 0) {
        statistics.counts.surplus += Math.ceil((length - from) / payload.size);
        break;
      }
      const offset = this.#offset;
      const part = Math.min(payload.size - offset, length - from);
      if (payload.differs(this.index, this.#expected, offset, bytes, from, part)) {
        const start = payload.start(this.index, this.#expected, offset);
        this.#unmatched = new UnmatchedBytes(payload.size + HEADER_BYTES, payload.size, start);
        this.#offset = 0;
        continue;
      }
      from += part;
      this.#offset = offset + part;
      if (this.#offset === payload.size) {
        this.#offset = 0;
        this.#afterDamage = false;
        this.context.messageAnswered(this.sentAt(this.#expected++), now);
        this.completed(now);
      } else if (this.#offset === this.#partEnd) {
        this.#writePart(now);
      }
    }
    this.proceed(now);
  }

  override ended(): void {
    this.lose(this.hasAnswer && this.inFlight === 0 ? undefined : "PEER_CLOSED");
  }

  protected override settle(): void {
    // The bytes are a whole message, and only the bytes after it could have shown which one.
    const length = this.#unmatched?.length ?? 0;
    if (length < this.context.payload.size || this.inFlight === 0) return;
    this.#countDamaged(this.#expected, this.context.now());
  }

  protected override reset(): void {
    // Missing messages cannot arrive on another connection, which starts with the next message.
    this.context.statistics.counts.lost += this.missing;
    this.#missing = null;
    this.#expected = this.sent;
    this.#offset = 0;
    this.#unmatched = null;
    this.#afterDamage = false;
  }

  #writePart(now: number): void {
    const { payload, config } = this.context;
    const from = this.#partEnd;
    if (this.connection === null) return;
    this.waitingSince = now;
    this.#partEnd = Math.min(payload.size, from + Math.ceil(payload.size / config.parts));
    payload.write(this.connection, this.index, this.#expected, from, this.#partEnd);
  }

  /** Classifies unmatched bytes, as far as there are enough of them. */
  #classify(now: number): void {
    const { payload, statistics } = this.context;
    for (let next = this.#unmatched; next?.isComplete === true; next = this.#unmatched) {
      if (this.#expected === this.sent && this.missing === 0) {
        if (!this.#afterDamage) statistics.counts.surplus++;
        this.#unmatched = null;
        return;
      }
      const classified = this.#classifyOne(next.bytes, now);
      if (classified === 0) {
        // The next message may start within the bytes that follow.
        next.needed = payload.size + HEADER_BYTES;
        continue;
      }
      next.drop(classified);
      next.needed = payload.size;
      if (next.length === 0) this.#unmatched = null;
    }
  }

  /** @returns How many bytes are classified; 0 when more are needed. */
  #classifyOne(bytes: Uint8Array, now: number): number {
    const { payload, statistics } = this.context;
    const { size } = payload;
    const sequence = payload.sequenceAt(this.index, bytes, 0);
    const known = sequence >= 0 && sequence < this.sent;
    if (known && !payload.differs(this.index, sequence, 0, bytes, 0, size)) {
      this.#afterDamage = false;
      this.#countIntact(sequence, now);
      return size;
    }
    const damaged = known ? sequence : this.#expected;
    const next = this.#findNext(bytes, known ? sequence : -1);
    const mayNeedMore =
      payload.hasHeader && damaged + 1 < this.sent && bytes.length < size + HEADER_BYTES;
    if (next === 0 && mayNeedMore) return 0;
    if (!known && next > 0 && payload.sequenceAt(this.index, bytes, next) === this.#expected) {
      // Bytes before an intact message are surplus, unless they are the rest of a damaged one.
      if (!this.#afterDamage) statistics.counts.surplus++;
    } else {
      this.#countDamaged(damaged, now);
    }
    this.#afterDamage = true;
    return next > 0 ? next : size;
  }

  /** The offset in `bytes` where a message starts that is expected after `sequence`; 0 when there is none. */
  #findNext(bytes: Uint8Array, sequence: number): number {
    const { payload } = this.context;
    for (let at = 1; at <= payload.size && at + HEADER_BYTES <= bytes.length; at++) {
      const found = payload.sequenceAt(this.index, bytes, at);
      if (found > sequence && found >= this.#expected && found < this.sent) return at;
    }
    return 0;
  }

  /** A message arrived intact, although another was expected. */
  #countIntact(sequence: number, now: number): void {
    const { counts } = this.context.statistics;
    if (sequence >= this.#expected) {
      const sentAt = this.sentAt(sequence);
      this.#skipTo(sequence, now);
      this.context.messageAnswered(sentAt, now);
      return;
    }
    const sentAt = this.#missing?.get(sequence);
    if (sentAt === undefined) {
      counts.surplus++;
      return;
    }
    this.#missing?.delete(sequence);
    counts.reordered++;
    this.context.messageAnswered(sentAt, now);
  }

  #countDamaged(sequence: number, now: number): void {
    const { counts } = this.context.statistics;
    if (sequence >= this.sent) {
      counts.surplus++;
      return;
    }
    if (sequence >= this.#expected) this.#skipTo(sequence, now);
    else if (this.#missing?.delete(sequence) !== true) {
      counts.surplus++;
      return;
    }
    counts.corrupted++;
  }

  /** Message `sequence` has arrived. Those before it that have not arrived are missing. */
  #skipTo(sequence: number, now: number): void {
    for (; this.#expected < sequence; this.#expected++) {
      this.#missing ??= new Map();
      this.#missing.set(this.#expected, this.sentAt(this.#expected));
      this.completed(now);
    }
    this.#expected++;
    this.completed(now);
  }
}

/** A buffer for received bytes that do not match, until there are enough to classify them. */
class UnmatchedBytes {
  readonly #buffer: Uint8Array;
  /** Number of bytes in the buffer. */
  length: number;
  /** Number of bytes that are needed to classify them. */
  needed: number;

  /** @param start - The bytes that were received before the first mismatch. */
  constructor(capacity: number, needed: number, start: Uint8Array) {
    this.#buffer = new Uint8Array(capacity);
    this.#buffer.set(start);
    this.length = start.length;
    this.needed = needed;
  }

  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.length);
  }

  get isComplete(): boolean {
    return this.length >= this.needed;
  }

  /** Copies bytes up to the number needed. @returns How many were taken. */
  fill(bytes: Uint8Array, from: number): number {
    const length = Math.min(this.needed - this.length, bytes.length - from);
    this.#buffer.set(bytes.subarray(from, from + length), this.length);
    this.length += length;
    return length;
  }

  /** Drops the first `count` bytes. */
  drop(count: number): void {
    this.#buffer.copyWithin(0, count, this.length);
    this.length -= count;
  }
}

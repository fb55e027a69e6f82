import type { Connection } from "polloi";
import { Client } from "./client.ts";
import { DamagedMessage } from "./damaged-message.ts";
import { STAMP_BYTES } from "./payload.ts";

/**
 * A connection to an echo server: compares every byte that comes back.
 *
 * @remarks
 * As long as all is well, bytes are compared where they lie, with those of the message that is next. Only
 * when one differs is the message put together, to see what it is: another one, or one that was damaged.
 */
export class EchoClient extends Client {
  /** The message that is to come next, and how much of it has come. */
  #expected = 0;
  #at = 0;
  /** Where the part that is out ends. */
  #partEnd = 0;
  #damaged: DamagedMessage | null = null;
  /** Messages that later ones have overtaken, and when they were sent. */
  #overtaken: Map<number, number> | null = null;
  /** What came last was damaged: strange bytes that follow are a part of it. */
  #afterDamage = false;

  override get missing(): number {
    return this.#overtaken?.size ?? 0;
  }

  protected override sendNext(connection: Connection<Client>): void {
    const { payload, plan } = this.crowd;
    this.#partEnd = plan.parts === 1 ? payload.size : Math.ceil(payload.size / plan.parts);
    payload.write(connection, this.index, this.sent, 0, this.#partEnd);
  }

  override received(bytes: Uint8Array): void {
    const { payload, tally } = this.crowd;
    const now = performance.now();
    const { length } = bytes;
    tally.counts.bytes += length;
    for (let from = 0; from < length; ) {
      if (this.#damaged !== null) {
        from += this.#damaged.fill(bytes, from);
        this.#judge(now);
        continue;
      }
      // Nothing is out: what else may be in there does not matter.
      if (this.#expected === this.sent && this.missing === 0) {
        tally.counts.surplus += Math.ceil((length - from) / payload.size);
        break;
      }
      const at = this.#at;
      const part = Math.min(payload.size - at, length - from);
      if (payload.differs(this.index, this.#expected, at, bytes, from, part)) {
        const start = payload.start(this.index, this.#expected, at);
        this.#damaged = new DamagedMessage(payload.size + STAMP_BYTES, payload.size, start);
        this.#at = 0;
        continue;
      }
      from += part;
      this.#at = at + part;
      if (this.#at === payload.size) {
        this.#at = 0;
        this.#afterDamage = false;
        this.#answered(this.sentAt(this.#expected++), now);
        this.landed(now);
      } else if (this.#at === this.#partEnd) {
        this.#sendPart(now);
      }
    }
    this.goOn(now);
  }

  override ended(): void {
    this.lose(this.hasAnswer && this.inFlight === 0 ? undefined : "PEER_CLOSED");
  }

  protected override settle(): void {
    // As much as a message has come, and what it is can only have been told by what did not follow.
    if ((this.#damaged?.length ?? 0) < this.crowd.payload.size || this.inFlight === 0) return;
    this.#broken(this.#expected, performance.now());
  }

  protected override forget(): void {
    // What was overtaken cannot come any more, and the next connection begins with the next message.
    this.crowd.tally.counts.lost += this.missing;
    this.#overtaken = null;
    this.#expected = this.sent;
    this.#at = 0;
    this.#damaged = null;
    this.#afterDamage = false;
  }

  #sendPart(now: number): void {
    const { payload, plan } = this.crowd;
    const from = this.#partEnd;
    if (this.connection === null) return;
    this.waitingSince = now;
    this.#partEnd = Math.min(payload.size, from + Math.ceil(payload.size / plan.parts));
    payload.write(this.connection, this.index, this.#expected, from, this.#partEnd);
  }

  #answered(sentAt: number, now: number): void {
    this.crowd.answered(sentAt, now);
  }

  /** Says what the bytes are that are not those that were to come. */
  #judge(now: number): void {
    const { payload, tally } = this.crowd;
    for (let damaged = this.#damaged; damaged?.isEnough === true; damaged = this.#damaged) {
      if (this.#expected === this.sent && this.missing === 0) {
        if (!this.#afterDamage) tally.counts.surplus++;
        this.#damaged = null;
        return;
      }
      const told = this.#judgeOne(damaged.bytes, now);
      if (told === 0) {
        // Where the next message begins may be in what follows.
        damaged.wanted = payload.size + STAMP_BYTES;
        continue;
      }
      damaged.dropFirst(told);
      damaged.wanted = payload.size;
      if (damaged.length === 0) this.#damaged = null;
    }
  }

  /** @returns How many of the bytes are told; 0 when there are too few of them. */
  #judgeOne(bytes: Uint8Array, now: number): number {
    const { payload, tally } = this.crowd;
    const { size } = payload;
    const stamp = payload.stampAt(this.index, bytes, 0);
    const known = stamp >= 0 && stamp < this.sent;
    if (known && !payload.differs(this.index, stamp, 0, bytes, 0, size)) {
      this.#afterDamage = false;
      this.#whole(stamp, now);
      return size;
    }
    const broken = known ? stamp : this.#expected;
    const next = this.#nextStamp(bytes, known ? stamp : -1);
    const more = payload.isStamped && broken + 1 < this.sent && bytes.length < size + STAMP_BYTES;
    if (next === 0 && more) return 0;
    if (!known && next > 0 && payload.stampAt(this.index, bytes, next) === this.#expected) {
      // Bytes before a message that is there: nobody sent them, unless they are what is left of one.
      if (!this.#afterDamage) tally.counts.surplus++;
    } else {
      this.#broken(broken, now);
    }
    this.#afterDamage = true;
    return next > 0 ? next : size;
  }

  /** Where in `bytes` another message begins that is to come after `sequence`; 0 when none does. */
  #nextStamp(bytes: Uint8Array, sequence: number): number {
    const { payload } = this.crowd;
    for (let at = 1; at <= payload.size && at + STAMP_BYTES <= bytes.length; at++) {
      const stamp = payload.stampAt(this.index, bytes, at);
      if (stamp > sequence && stamp >= this.#expected && stamp < this.sent) return at;
    }
    return 0;
  }

  /** A message came as it was sent, although not when it was to. */
  #whole(sequence: number, now: number): void {
    const { counts } = this.crowd.tally;
    if (sequence >= this.#expected) {
      const sentAt = this.sentAt(sequence);
      this.#overtake(sequence, now);
      this.#answered(sentAt, now);
      return;
    }
    const sentAt = this.#overtaken?.get(sequence);
    if (sentAt === undefined) {
      counts.surplus++;
      return;
    }
    this.#overtaken?.delete(sequence);
    counts.reordered++;
    this.#answered(sentAt, now);
  }

  #broken(sequence: number, now: number): void {
    const { counts } = this.crowd.tally;
    if (sequence >= this.sent) {
      counts.surplus++;
      return;
    }
    if (sequence >= this.#expected) this.#overtake(sequence, now);
    else if (this.#overtaken?.delete(sequence) !== true) {
      counts.surplus++;
      return;
    }
    counts.corrupted++;
  }

  /** Takes note of those before `sequence` that have not come, and of it as landed. */
  #overtake(sequence: number, now: number): void {
    for (; this.#expected < sequence; this.#expected++) {
      this.#overtaken ??= new Map();
      this.#overtaken.set(this.#expected, this.sentAt(this.#expected));
      this.landed(now);
    }
    this.#expected++;
    this.landed(now);
  }
}

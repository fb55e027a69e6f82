import type { BytePool } from "./byte-pool.ts";
import { ByteQueue } from "./byte-queue.ts";

/**
 * What a program has sent on a TCP connection and the other end has not acknowledged.
 *
 * Source: net/ipv4/tcp.c, tcp_sendmsg_locked and tcp_stream_memory_free; include/net/sock.h, sk_stream_is_writeable.
 */
export class TcpSendQueue {
  readonly #unsent = new ByteQueue();
  /** Bytes that were sent and are not acknowledged. */
  inFlight = 0;
  /** The sequence number of the next byte to send: snd_nxt. */
  sent = 0;
  /** Whether a segment that was not full is on its way. Nagle's algorithm waits for it. */
  isSmallInFlight = false;
  /** The sequence number of the last urgent byte, or -1. */
  #urgentSequence = -1;

  /** The number of bytes that are not sent. */
  get unsent(): number {
    return this.#unsent.length;
  }

  /** The number of bytes that are not acknowledged. */
  get length(): number {
    return this.inFlight + this.#unsent.length;
  }

  /** Adds bytes, which nobody may change from here on. */
  push(bytes: Uint8Array): void {
    this.#unsent.push(bytes);
  }

  /** Makes the last byte urgent. */
  markUrgent(): void {
    this.#urgentSequence = this.sent + this.#unsent.length - 1;
  }

  /**
   * Takes the next segment of at most `limit` bytes, which is then in flight. What several calls have sent is one
   * segment. Source: net/ipv4/tcp.c, tcp_sendmsg_locked, which adds to the last buffer.
   *
   * @param pool - Where there is memory for a segment of several pieces.
   */
  take(limit: number, pool: BytePool): Uint8Array {
    const wanted = Math.min(limit, this.#unsent.length);
    let bytes = this.#unsent.shift(wanted);
    if (bytes.length < wanted) {
      const joined = pool.allocate(wanted);
      joined.set(bytes);
      for (let at = bytes.length; at < wanted; ) {
        const next = this.#unsent.shift(wanted - at);
        joined.set(next, at);
        at += next.length;
      }
      bytes = joined;
    }
    this.sent += bytes.length;
    this.inFlight += bytes.length;
    return bytes;
  }

  /** The sequence number of an urgent byte that is still to be announced with the segment before {@link sent}, or -1. */
  takeUrgent(start: number): number {
    const urgent = this.#urgentSequence;
    if (urgent < start) return -1;
    if (urgent < this.sent) this.#urgentSequence = -1;
    return urgent;
  }

  acknowledge(count: number): void {
    this.inFlight -= count;
    if (this.inFlight <= 0) this.isSmallInFlight = false;
  }

  /** Whether a send may add bytes. */
  hasRoom(buffer: number, notSentLowAt: number): boolean {
    return this.length < buffer && (notSentLowAt === 0 || this.unsent < notSentLowAt);
  }

  /** Whether POLLOUT holds: a third of the buffer is free. */
  isWriteable(buffer: number, notSentLowAt: number): boolean {
    const { length } = this;
    return (
      buffer - length >= length >> 1 &&
      length < buffer &&
      (notSentLowAt === 0 || this.unsent * 2 < notSentLowAt)
    );
  }

  clear(): void {
    this.#unsent.clear();
    this.inFlight = 0;
    this.isSmallInFlight = false;
  }
}

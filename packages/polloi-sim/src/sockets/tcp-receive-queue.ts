/**
 * What a TCP connection has received and the program has not read, with its urgent byte and its window.
 *
 * Source: net/ipv4/tcp.c, tcp_recvmsg_locked and tcp_recv_urg; net/ipv4/tcp_input.c, tcp_check_urg and tcp_urg;
 * net/ipv4/tcp_output.c, __tcp_select_window.
 */
import { ERRNO } from "polloi/internal/pure";
import { ByteQueue } from "./byte-queue.ts";

/** The longest segment on loopback. Source: net/ipv4/tcp_output.c, tcp_bound_to_half_wnd of the first window */
export const SEGMENT_BYTES = 32_768;

const URGENT_NONE = 0;
/** The urgent byte is announced and has not arrived. */
const URGENT_ANNOUNCED = 1;
const URGENT_VALID = 2;
const URGENT_READ = 3;

export class TcpReceiveQueue {
  readonly #bytes = new ByteQueue();
  /** The sequence number of the next byte to arrive: rcv_nxt. */
  received = 0;
  /** The sequence number of the next byte to read: copied_seq. */
  #copied = 0;
  #urgent: number = URGENT_NONE;
  #urgentSequence = 0;
  #urgentByte = 0;
  /** The most bytes that may wait here. */
  capacity: number;
  /** The sequence number up to which the other end may send. It never goes back. */
  #windowEnd: number;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.#windowEnd = capacity;
  }

  /** The number of bytes that wait. */
  get length(): number {
    return this.#bytes.length;
  }

  /** How many bytes the other end may still send, those on their way included. */
  get window(): number {
    return this.#windowEnd - this.received;
  }

  /** Adapts the window to another size of the buffer. */
  resize(capacity: number): void {
    this.capacity = capacity;
    this.#windowEnd = Math.max(this.#windowEnd, this.#copied + capacity);
  }

  /**
   * Takes bytes that arrive.
   *
   * @param urgentSequence - The sequence number of an urgent byte in or behind them, or -1.
   * @param isInline - SO_OOBINLINE
   */
  arrives(bytes: Uint8Array, urgentSequence: number, isInline: boolean): void {
    if (urgentSequence >= 0 || this.#urgent === URGENT_ANNOUNCED) {
      this.notice(bytes, urgentSequence, isInline);
    }
    this.received += bytes.length;
    this.#bytes.push(bytes);
    this.#windowEnd = Math.max(this.#windowEnd, this.received + this.#selectWindow());
  }

  /** Notices the urgent byte in or behind bytes that arrive, even when they are not received. */
  notice(bytes: Uint8Array, urgentSequence: number, isInline: boolean): void {
    if (urgentSequence >= 0) this.#announce(urgentSequence, isInline);
    const at = this.#urgentSequence - this.received;
    if (this.#urgent !== URGENT_ANNOUNCED || at < 0 || at >= bytes.length) return;
    this.#urgent = URGENT_VALID;
    this.#urgentByte = bytes[at] as number;
  }

  #announce(sequence: number, isInline: boolean): void {
    if (sequence < this.#copied) return;
    if (this.#urgent !== URGENT_NONE && sequence <= this.#urgentSequence) return;
    // An earlier urgent byte that is next and was not read as such is dropped.
    if (
      this.#urgent !== URGENT_NONE &&
      this.#urgentSequence === this.#copied &&
      !isInline &&
      this.length > 0
    ) {
      this.#discard(1);
    }
    this.#urgent = URGENT_ANNOUNCED;
    this.#urgentSequence = sequence;
  }

  /** Whether there is an urgent byte that MSG_OOB can receive: POLLPRI. */
  get hasUrgent(): boolean {
    return this.#urgent === URGENT_VALID;
  }

  /** Whether an urgent byte was announced and has not been passed. */
  get isUrgentMode(): boolean {
    return this.#urgent !== URGENT_NONE;
  }

  /** Whether the next byte is the urgent one: SIOCATMARK. */
  get isAtMark(): boolean {
    return this.#urgent !== URGENT_NONE && this.#urgentSequence === this.#copied;
  }

  /** The bytes before the urgent one, or all: FIONREAD. Source: net/ipv4/tcp.c, tcp_inq */
  unread(isInline: boolean): number {
    const at = this.#urgentSequence - this.#copied;
    const isAhead = this.#urgent !== URGENT_NONE && at >= 0 && at < this.length;
    return isAhead && !isInline ? at : this.length;
  }

  /** Whether at least `count` bytes wait, without an urgent byte that a receive would skip. */
  has(count: number, isInline: boolean): boolean {
    return this.length > 0 && this.length >= (this.isAtMark && !isInline ? count + 1 : count);
  }

  /**
   * Reads bytes, up to the urgent one.
   *
   * @param target - Its length is the most bytes; they are counted and not copied when `isDropped` is set (MSG_TRUNC).
   * @returns The number of bytes; 0 when there are none.
   */
  read(
    target: Uint8Array,
    how: { readonly isPeek: boolean; readonly isDropped: boolean; readonly isInline: boolean },
  ): number {
    let skipped = 0;
    let limit = this.length;
    if (this.#urgent !== URGENT_NONE && target.length > 0) {
      const at = this.#urgentSequence - this.#copied;
      if (at > 0) limit = Math.min(limit, at);
      else if (at === 0 && !how.isInline && limit > 0) skipped = 1;
    }
    const count = Math.min(target.length, limit - skipped);
    if (count > 0 && !how.isDropped) this.#bytes.peek(target.subarray(0, count), skipped);
    if (!how.isPeek) this.#discard(skipped + count);
    return count;
  }

  /** recv(2) with MSG_OOB. @returns The byte; `-EINVAL` when there is none; `-EAGAIN` when it has not arrived. */
  readUrgent(isPeek: boolean, isInline: boolean): number {
    if (isInline || this.#urgent === URGENT_NONE || this.#urgent === URGENT_READ) {
      return -ERRNO.EINVAL;
    }
    if (this.#urgent === URGENT_ANNOUNCED) return -ERRNO.EAGAIN;
    if (!isPeek) this.#urgent = URGENT_READ;
    return this.#urgentByte;
  }

  #discard(count: number): void {
    if (count === 0) return;
    this.#bytes.discard(count);
    this.#copied += count;
    if (this.#urgent !== URGENT_NONE && this.#copied > this.#urgentSequence) {
      this.#urgent = URGENT_NONE;
    }
  }

  /**
   * Opens the window after a read, if that is worth a packet.
   *
   * @returns Whether it was opened. Source: net/ipv4/tcp.c, __tcp_cleanup_rbuf
   */
  openWindow(): boolean {
    const now = this.window;
    if (2 * now > this.capacity) return false;
    const window = this.#selectWindow();
    if (window === 0 || window < 2 * now) return false;
    this.#windowEnd = this.received + window;
    return true;
  }

  #selectWindow(): number {
    const { capacity } = this;
    const free = capacity - this.length;
    if (
      free < capacity >> 1 &&
      (free < capacity >> 4 || free < Math.min(SEGMENT_BYTES, capacity))
    ) {
      return 0;
    }
    return free;
  }

  clear(): void {
    this.#discard(this.length);
    this.#urgent = URGENT_NONE;
  }
}

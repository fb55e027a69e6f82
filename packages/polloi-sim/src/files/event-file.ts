import { ERRNO, POLLERR, POLLIN, POLLOUT } from "polloi/internal/pure";
import { OpenFile } from "../process/open-file.ts";

const COUNTER_BYTES = 8;
const MAX_WORD = 0xffff_ffff;

/**
 * The counter of an eventfd: 64 bits, of which 2 ** 64 - 1 is never reached by a write.
 *
 * @source eventfd(2); fs/eventfd.c
 */
export class EventFile extends OpenFile {
  override readonly kind = "anon_inode:[eventfd]";
  /** The depth of wake-ups of eventfds. */
  static #depth = 0;
  readonly #isSemaphore: boolean;
  /** The lower and the upper 32 bits. */
  #low: number;
  #high = 0;

  constructor(value: number, isSemaphore: boolean, statusFlags: number) {
    super();
    this.#low = value >>> 0;
    this.#isSemaphore = isSemaphore;
    this.statusFlags = statusFlags;
  }

  /**
   * Whether an eventfd wakes its waiters at the moment. The kernel signals no eventfd then, because that could recurse.
   * Source: fs/eventfd.c, eventfd_signal_allowed.
   */
  static get isWaking(): boolean {
    return EventFile.#depth > 0;
  }

  poll(): number {
    let mask = 0;
    if (this.#low !== 0 || this.#high !== 0) mask |= POLLIN;
    if (this.#high < MAX_WORD || this.#low < MAX_WORD - 1) mask |= POLLOUT;
    if (this.#high === MAX_WORD && this.#low === MAX_WORD) mask |= POLLERR;
    return mask;
  }

  override read(target: Uint8Array): number {
    if (target.length < COUNTER_BYTES) return -ERRNO.EINVAL;
    if (this.#low === 0 && this.#high === 0) return -ERRNO.EAGAIN;
    const view = viewOf(target);
    if (this.#isSemaphore) {
      view.setUint32(0, 1, true);
      view.setUint32(4, 0, true);
      if (this.#low === 0) this.#high--;
      this.#low = (this.#low - 1) >>> 0;
    } else {
      view.setUint32(0, this.#low, true);
      view.setUint32(4, this.#high, true);
      this.#low = 0;
      this.#high = 0;
    }
    this.#wake(POLLOUT);
    return COUNTER_BYTES;
  }

  override write(source: Uint8Array): number {
    if (source.length !== COUNTER_BYTES) return -ERRNO.EINVAL;
    const view = viewOf(source);
    const [low, high] = [view.getUint32(0, true), view.getUint32(4, true)];
    if (low === MAX_WORD && high === MAX_WORD) return -ERRNO.EINVAL;
    if (!this.add(low, high)) return -ERRNO.EAGAIN;
    return COUNTER_BYTES;
  }

  /**
   * Adds to the counter, and wakes those that wait for it.
   *
   * @param low - The lower 32 bits of a number.
   * @param high - The upper 32 bits.
   * @returns Whether there was room for it.
   */
  add(low: number, high = 0): boolean {
    const lowSum = this.#low + low;
    const highSum = this.#high + high + (lowSum > MAX_WORD ? 1 : 0);
    const newLow = lowSum >>> 0;
    if (highSum > MAX_WORD || (highSum === MAX_WORD && newLow === MAX_WORD)) return false;
    this.#low = newLow;
    this.#high = highSum;
    // A write of 0 wakes as well.
    this.#wake(POLLIN);
    return true;
  }

  /**
   * Adds 1, as the kernel does. A full counter stays as it is.
   *
   * @param mask - What the wake-up is about, besides POLLIN. Source: fs/eventfd.c, eventfd_signal_mask.
   */
  signal(mask: number): void {
    if (this.#low < MAX_WORD) this.#low++;
    else if (this.#high < MAX_WORD) {
      this.#low = 0;
      this.#high++;
    }
    this.#wake(POLLIN | mask);
  }

  #wake(mask: number): void {
    EventFile.#depth++;
    try {
      this.waiters.wake(mask);
    } finally {
      EventFile.#depth--;
    }
  }

  protected released(): void {}
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, COUNTER_BYTES);
}

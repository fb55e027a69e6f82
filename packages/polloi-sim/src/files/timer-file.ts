import { ERRNO, POLLIN } from "polloi/internal/pure";
import type { Scheduled, World } from "../base/world.ts";
import { OpenFile } from "../process/open-file.ts";

/** The expirations that a read returns: 64 bits. */
const COUNT_BYTES = 8;
const NS_PER_MS = 1e6;
/** A late timer is at most this late, in milliseconds. */
const MAX_DELAY_MS = 4;

/** A setting of a timer, in nanoseconds. */
export interface TimerSetting {
  /** The time to the first expiration; 0 disarms the timer. */
  readonly value: number;
  /** The time between further expirations; 0 for none. */
  readonly interval: number;
}

/**
 * A timerfd.
 *
 * @remarks
 * Only the first expiration wakes; those that follow before it is read are counted when it is. Source:
 * timerfd_create(2); fs/timerfd.c, timerfd_read_iter and do_timerfd_settime.
 */
export class TimerFile extends OpenFile {
  override readonly kind = "anon_inode:[timerfd]";
  readonly #world: World;
  #scheduled: Scheduled | undefined;
  /** The time of the next expiration, in nanoseconds of the world. */
  #expires = 0;
  #interval = 0;
  /** Expirations that were counted and not read. */
  #ticks = 0;
  /** Whether the timer has expired and was not started again. */
  #hasExpired = false;

  constructor(world: World, statusFlags: number) {
    super();
    this.#world = world;
    this.statusFlags = statusFlags;
  }

  poll(): number {
    return this.#ticks > 0 ? POLLIN : 0;
  }

  /**
   * timerfd_settime(2).
   *
   * @param isAbsolute - Whether the value is a time of the clock. 0 disarms the timer nevertheless.
   * @returns The previous setting.
   */
  set(setting: TimerSetting, isAbsolute: boolean): TimerSetting {
    if (this.#hasExpired && this.#interval > 0) this.#forward();
    const left = Math.max(this.#expires - this.#nowNs(), 0);
    const previous = { value: left, interval: this.#interval };
    this.#scheduled?.cancel();
    this.#scheduled = undefined;
    this.#hasExpired = false;
    this.#ticks = 0;
    this.#interval = setting.interval;
    this.#expires = setting.value;
    if (setting.value !== 0) {
      if (!isAbsolute) this.#expires += this.#nowNs();
      this.#start();
    }
    return previous;
  }

  override read(target: Uint8Array): number {
    if (target.length < COUNT_BYTES) return -ERRNO.EINVAL;
    if (this.#ticks === 0) return -ERRNO.EAGAIN;
    let ticks = this.#ticks;
    if (this.#hasExpired && this.#interval > 0) {
      ticks += this.#forward() - 1;
      this.#start();
    }
    this.#hasExpired = false;
    this.#ticks = 0;
    const view = new DataView(target.buffer, target.byteOffset, COUNT_BYTES);
    view.setUint32(0, ticks, true);
    view.setUint32(4, Math.floor(ticks / 0x1_0000_0000), true);
    return COUNT_BYTES;
  }

  protected released(): void {
    this.#scheduled?.cancel();
  }

  #start(): void {
    const { choices, faults } = this.#world;
    const delayMs = faults.happens("delay") ? choices.between(1, MAX_DELAY_MS) : 0;
    const leftMs = Math.max(this.#expires - this.#nowNs(), 0) / NS_PER_MS;
    this.#scheduled = this.#world.schedule(leftMs + delayMs, () => {
      this.#scheduled = undefined;
      this.#hasExpired = true;
      this.#ticks++;
      this.waiters.wake(POLLIN);
    });
  }

  /** Moves the next expiration into the future. @returns The number of intervals. Source: hrtimer_forward. */
  #forward(): number {
    const late = this.#nowNs() - this.#expires;
    const intervals = late < 0 ? 0 : Math.floor(late / this.#interval) + 1;
    this.#expires += intervals * this.#interval;
    return intervals;
  }

  #nowNs(): number {
    // Times of the world have fractions of less than a nanosecond, which are rounded down.
    return Math.floor(this.#world.now() * NS_PER_MS + 0.01);
  }
}

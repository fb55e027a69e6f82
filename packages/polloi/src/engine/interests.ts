import { ERRNO } from "../base/errno.ts";
import { check } from "../base/sys-error.ts";
import { EPOLLEXCLUSIVE, POLLIN } from "../select/constants.ts";
import type { Poller } from "../selectors/poller.ts";
import type { Kernel } from "../sys/kernel.ts";
import { Mirror } from "./mirror.ts";
import { FLAG_PARKED, KIND_FREE, type Slots } from "./slots.ts";

/** Applies the interests of slots to the poller, and to its mirror where another event loop needs one. */
export class Interests {
  readonly #kernel: Kernel;
  readonly #poller: Poller;
  readonly #slots: Slots;
  #mirror: Mirror | undefined;

  constructor(kernel: Kernel, poller: Poller, slots: Slots) {
    this.#kernel = kernel;
    this.#poller = poller;
    this.#slots = slots;
  }

  /**
   * The descriptor for another event loop to watch: that of epoll, or that of the mirror.
   *
   * @throws SysError `EMFILE`, `ENFILE`, `ENOMEM`, `ENOSPC`. The next call tries again.
   */
  fileno(): number {
    if (this.#poller.fileno() >= 0) return this.#poller.fileno();
    this.#mirror ??= this.#mirrored();
    return this.#mirror.fileno();
  }

  /** Starts to use `slot`, with `interest`. @returns 0 or more, or `-errno`. */
  add(slot: number, fd: number, kind: number, interest: number): number {
    const result = this.#ask(slot, fd, interest);
    if (result >= 0) this.#slots.take(slot, kind, fd, interest);
    return result;
  }

  /** @returns 0 or more, or `-errno` with the interest unchanged. */
  modify(slot: number, interest: number): number {
    const { fds, interests } = this.#slots;
    const before = interests[slot] as number;
    if (before === interest) return 0;
    const fd = fds[slot] as number;
    const result = this.#poller.modify(fd, interest, slot);
    if (result < 0) return result;
    const mirrored = this.#mirror?.set(fd, interest) ?? 0;
    if (mirrored < 0) {
      this.#poller.modify(fd, before, slot);
      return mirrored;
    }
    interests[slot] = interest;
    return result;
  }

  /** Removes the slot. Its descriptor must still be open: otherwise a duplicate elsewhere would stay in the epoll set. */
  remove(slot: number): void {
    if (this.#slots.has(slot, FLAG_PARKED)) return;
    const fd = this.#slots.fds[slot] as number;
    this.#poller.remove(fd);
    this.#mirror?.remove(fd);
  }

  /** Removes a slot that the poller would report at every wait: a stream that hung up, a paused listener. */
  park(slot: number): void {
    this.remove(slot);
    this.#slots.raise(slot, FLAG_PARKED);
  }

  unpark(slot: number): number {
    const slots = this.#slots;
    const fd = slots.fds[slot] as number;
    const interest = POLLIN | ((slots.interests[slot] as number) & EPOLLEXCLUSIVE);
    const result = this.#ask(slot, fd, interest);
    if (result < 0) return result;
    slots.interests[slot] = interest;
    slots.lower(slot, FLAG_PARKED);
    return result;
  }

  close(): void {
    this.#poller.close();
    this.#mirror?.close();
  }

  /** Adds a slot to the poller and its mirror. @returns 0 or more, or `-errno` with nothing added. */
  #ask(slot: number, fd: number, interest: number): number {
    const result = this.#poller.add(fd, interest, slot);
    if (result < 0) return result;
    const mirrored = this.#mirror?.set(fd, interest) ?? 0;
    if (mirrored >= 0) return result;
    this.#poller.remove(fd);
    return mirrored;
  }

  /** Makes a mirror of all present interests. */
  #mirrored(): Mirror {
    const mirror = new Mirror(this.#kernel, this.#poller.capabilities.hangup);
    try {
      const { kinds, fds, interests } = this.#slots;
      for (let slot = 0; slot < kinds.length; slot++) {
        if (kinds[slot] === KIND_FREE || this.#slots.has(slot, FLAG_PARKED)) continue;
        const fd = fds[slot] as number;
        const result = mirror.set(fd, interests[slot] as number);
        // The owner may have closed a descriptor. The poller reports that; the mirror has nothing to watch.
        if (result !== -ERRNO.EBADF) check(result, "epoll_ctl", { fd });
      }
    } catch (error) {
      mirror.close();
      throw error;
    }
    return mirror;
  }
}

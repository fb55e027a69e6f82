import { ERRNO } from "../base/errno.ts";
import { check } from "../base/sys-error.ts";
import { EPOLLEXCLUSIVE, POLLIN } from "../select/constants.ts";
import type { Poller } from "../selectors/poller.ts";
import type { Kernel } from "../sys/kernel.ts";
import { Mirror } from "./mirror.ts";
import { FLAG_PARKED, KIND_FREE, type Slots } from "./slots.ts";

/** What the poller is asked for, slot by slot, and the mirror of it where another loop needs one. */
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
   * Epoll has a descriptor that another loop can watch; select and poll have none.
   *
   * @throws SysError `EMFILE`, `ENFILE`, `ENOMEM`, `ENOSPC`. The next call tries again, from the start.
   */
  fileno(): number {
    if (this.#poller.fileno() >= 0) return this.#poller.fileno();
    this.#mirror ??= this.#mirrored();
    return this.#mirror.fileno();
  }

  /** Puts `slot` to use and asks for `interest`. @returns 0 or more, or `-errno`. */
  add(slot: number, fd: number, kind: number, interest: number): number {
    const result = this.#ask(slot, fd, interest);
    if (result >= 0) this.#slots.take(slot, kind, fd, interest);
    return result;
  }

  /** @returns 0 or more, or `-errno`; then what was asked before still is. */
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

  /** Asks for nothing more. The descriptor must still be open: a dup of it elsewhere would stay in an epoll set for ever. */
  remove(slot: number): void {
    if (this.#slots.has(slot, FLAG_PARKED)) return;
    const fd = this.#slots.fds[slot] as number;
    this.#poller.remove(fd);
    this.#mirror?.remove(fd);
  }

  /** Takes out of the poller what it would report at every wait: a hung-up stream, a listener that is not to accept. */
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

  /** Asks for what was not asked for yet. @returns 0 or more, or `-errno`; then it still is not. */
  #ask(slot: number, fd: number, interest: number): number {
    const result = this.#poller.add(fd, interest, slot);
    if (result < 0) return result;
    const mirrored = this.#mirror?.set(fd, interest) ?? 0;
    if (mirrored >= 0) return result;
    this.#poller.remove(fd);
    return mirrored;
  }

  /** A mirror of all that is asked for. */
  #mirrored(): Mirror {
    const mirror = new Mirror(this.#kernel, this.#poller.capabilities.hangup);
    try {
      const { kinds, fds, interests } = this.#slots;
      for (let slot = 0; slot < kinds.length; slot++) {
        if (kinds[slot] === KIND_FREE || this.#slots.has(slot, FLAG_PARKED)) continue;
        const fd = fds[slot] as number;
        const result = mirror.set(fd, interests[slot] as number);
        // The poller reports a descriptor that its owner has closed meanwhile; the mirror has nothing to watch.
        if (result !== -ERRNO.EBADF) check(result, "epoll_ctl", { fd });
      }
    } catch (error) {
      mirror.close();
      throw error;
    }
    return mirror;
  }
}

import { ERRNO } from "../base/errno.ts";
import { MSG_DONTWAIT, MSG_MORE, MSG_NOSIGNAL, MSG_WAITALL } from "../socket/constants.ts";
import type { ProvidedBuffers } from "../uring/provided-buffers.ts";
import { type Completions, IN_FLIGHT, SEND_BEFORE_FILE, SEND_LENT, SEND_MORE } from "./engine.ts";
import type { UringOperations } from "./uring-operations.ts";
import { FLAG_LENT, FLAG_ROOM, OP_SEND, type UringSlots } from "./uring-slots.ts";

/** Results of a send that did not go and may go later. */
const RESENT: readonly number[] = [0, -ERRNO.EAGAIN, -ERRNO.EINTR, -ERRNO.ECANCELED];

/**
 * The sends of the io_uring engine.
 *
 * @remarks
 * Bytes of the owner's wait in the kernel until they have all gone. Lent ones do not wait: a buffer that
 * stood behind a peer who does not read would be missing to all others.
 */
export class UringSends {
  readonly #slots: UringSlots;
  readonly #buffers: ProvidedBuffers;
  readonly #operations: UringOperations;
  readonly #completions: Completions;
  /** Buffers of lent sends whose slot was closed, by tag and slot. */
  readonly #orphans: Map<string, { readonly buffer: number; sends: number }> = new Map();

  constructor(
    slots: UringSlots,
    buffers: ProvidedBuffers,
    operations: UringOperations,
    completions: Completions,
  ) {
    this.#slots = slots;
    this.#buffers = buffers;
    this.#operations = operations;
    this.#completions = completions;
  }

  send(slot: number, address: number, length: number, flags: number): number {
    const slots = this.#slots;
    const linked = (flags & SEND_MORE) !== 0;
    const more = linked || (flags & SEND_BEFORE_FILE) !== 0;
    let messageFlags = more ? MSG_NOSIGNAL | MSG_MORE : MSG_NOSIGNAL;
    if ((flags & SEND_LENT) !== 0) {
      const { memory } = this.#buffers;
      const offset = address - memory.address;
      // It came late and is gone when the engine settles.
      if (offset < 0 || offset >= memory.byteLength) return 0;
      this.#buffers.hold(this.#buffers.numberAt(offset));
      // All or as much as goes at once: without "all", what is linked behind a short one would go too.
      messageFlags |= MSG_DONTWAIT | MSG_WAITALL;
      slots.raise(slot, FLAG_LENT);
      slots.sendAddresses[slot] = address;
      slots.lentLengths[slot] = length;
    } else {
      messageFlags |= MSG_WAITALL;
    }
    slots.sendLengths[slot] = (slots.sendLengths[slot] as number) + length;
    this.#operations.send(slot, address, length, { messageFlags, linked });
    return IN_FLIGHT;
  }

  /** A send of `slot` came to its end. @returns How many things were told. */
  sent(slot: number, tag: number, result: number): number {
    const slots = this.#slots;
    if (!slots.isCurrent(slot, tag)) {
      this.#orphanSent(slot, tag);
      return 0;
    }
    const sends = (slots.sends[slot] as number) - 1;
    slots.sends[slot] = sends;
    // The stream has failed. What was linked behind is not told as returned, or an owner might send it.
    if (slots.sendLengths[slot] === 0) return 0;
    if (result > 0) {
      const left = (slots.sendLengths[slot] as number) - result;
      slots.sendLengths[slot] = left;
      // The first of several is the lent one. Those behind it may wait for long, and need no buffer.
      if (result === slots.lentLengths[slot]) this.#dropLent(slot);
      this.#completions.sent(slot, result);
      if (left === 0 || sends > 0) return 1;
    } else if (!RESENT.includes(result)) {
      // Nobody sends from there again: what was linked behind it is cancelled, and is not lent.
      slots.sendLengths[slot] = 0;
      this.#dropLent(slot);
      this.#completions.failed(slot, -result, "send");
      return 1;
    }
    // What goes short ends those that follow it, and the last of them tells of it.
    if (sends === 0 && slots.isCurrent(slot, tag)) {
      slots.sendLengths[slot] = 0;
      // The owner copies what it has left of the lent bytes, so their buffer stays until it has.
      const lent = this.#takeLent(slot);
      this.#completions.returned(slot);
      if (lent >= 0) this.#buffers.drop(lent);
    }
    return 1;
  }

  /** There is room for more of a file, or an error that the next try tells. @returns As `sent`. */
  room(slot: number, tag: number): number {
    if (!this.#slots.isCurrent(slot, tag)) return 0;
    this.#slots.lower(slot, FLAG_ROOM);
    this.#completions.returned(slot);
    return 1;
  }

  /** A slot is closed. */
  end(slot: number): void {
    const slots = this.#slots;
    const sends = slots.sends[slot] as number;
    const lent = this.#takeLent(slot);
    if (sends === 0) {
      if (lent >= 0) this.#buffers.drop(lent);
      return;
    }
    if (lent >= 0)
      this.#orphans.set(`${slots.tag(slot, OP_SEND)}:${slot}`, { buffer: lent, sends });
    // Memory that is not lent is the owner's again when this returns.
    this.#operations.cancelNow(slot, OP_SEND, sends);
  }

  /** How many closed slots have a buffer whose send has not come to its end. */
  get orphans(): number {
    return this.#orphans.size;
  }

  #orphanSent(slot: number, tag: number): void {
    const orphan = this.#orphans.get(`${tag}:${slot}`);
    if (orphan === undefined || --orphan.sends > 0) return;
    this.#buffers.drop(orphan.buffer);
    this.#orphans.delete(`${tag}:${slot}`);
  }

  /** Gives the buffer of the slot's lent send back, if it has one. */
  #dropLent(slot: number): void {
    const lent = this.#takeLent(slot);
    if (lent >= 0) this.#buffers.drop(lent);
  }

  /** Ends the slot's claim to the buffer of its lent send. @returns The buffer, which is to be dropped, or -1. */
  #takeLent(slot: number): number {
    const slots = this.#slots;
    if (!slots.has(slot, FLAG_LENT)) return -1;
    slots.lower(slot, FLAG_LENT);
    const address = slots.sendAddresses[slot] as number;
    return this.#buffers.numberAt(address - this.#buffers.memory.address);
  }
}

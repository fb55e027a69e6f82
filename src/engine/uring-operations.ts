import { maskOf } from "../selectors/pollers/poll-mask.ts";
import { SOCK_CLOEXEC, SOCK_NONBLOCK } from "../socket/constants.ts";
import { IORING_OP, IOSQE_IO_LINK } from "../uring/constants.ts";
import type { Ring } from "../uring/ring.ts";
import { KIND_LISTENER } from "./slots.ts";
import {
  FLAG_ARMED,
  FLAG_POLLED,
  FLAG_STARVED,
  FLAG_WANTED,
  OP_ACCEPT,
  OP_NONE,
  OP_POLL,
  OP_RECEIVE,
  OP_SEND,
  type UringSlots,
} from "./uring-slots.ts";

/** How many sends of one slot are linked, one after another. */
export const MAX_SENDS = 16;
const LINK = IOSQE_IO_LINK << 8;

/** The only group of buffers. */
export const GROUP = 0;

/** What the io_uring engine asks of the kernel, slot by slot. */
export class UringOperations {
  readonly #ring: Ring;
  readonly #slots: UringSlots;
  readonly #onFirst: () => void;

  /** @param onFirst - Called for what is asked when nothing else is yet to be submitted. */
  constructor(ring: Ring, slots: UringSlots, onFirst: () => void) {
    this.#ring = ring;
    this.#slots = slots;
    this.#onFirst = onFirst;
  }

  /** Accepts or receives, if the owner wants it, until the completion that lacks IORING_CQE_F_MORE. */
  arm(slot: number): void {
    const slots = this.#slots;
    const { submissions } = this.#ring;
    const flags = slots.flags[slot] as number;
    if ((flags & (FLAG_WANTED | FLAG_ARMED | FLAG_STARVED)) !== FLAG_WANTED) return;
    slots.raise(slot, FLAG_ARMED);
    const fd = slots.fds[slot] as number;
    if (slots.kinds[slot] === KIND_LISTENER) {
      const type = SOCK_NONBLOCK | SOCK_CLOEXEC;
      submissions.acceptMultishot(fd, type, slot, slots.tag(slot, OP_ACCEPT));
    } else {
      submissions.receiveMultishot(fd, GROUP, slot, slots.tag(slot, OP_RECEIVE));
    }
    this.#pushed(slot);
  }

  /** Asks once for what the slot is interested in, and for errors and hang-ups in any case. */
  poll(slot: number): void {
    const slots = this.#slots;
    if (slots.has(slot, FLAG_POLLED)) return;
    slots.raise(slot, FLAG_POLLED);
    const mask = maskOf(slots.interests[slot] as number);
    this.#ring.submissions.poll(slots.fds[slot] as number, mask, slot, slots.tag(slot, OP_POLL));
    this.#pushed(slot);
  }

  /**
   * Sends from memory, behind what the slot sends already.
   *
   * @param linked - Another send of this slot follows at once, which is not to begin before this one has
   * gone whole.
   */
  send(
    slot: number,
    address: number,
    length: number,
    { messageFlags, linked }: { readonly messageFlags: number; readonly linked: boolean },
  ): void {
    const slots = this.#slots;
    const { submissions } = this.#ring;
    const sends = slots.sends[slot] as number;
    // Links do not reach from what the kernel took in one call to what it takes in the next.
    if (linked && sends === 0 && submissions.room < MAX_SENDS) this.#ring.submit();
    const operation = linked ? IORING_OP.SEND | LINK : IORING_OP.SEND;
    const tag = slots.tag(slot, OP_SEND);
    const fd = slots.fds[slot] as number;
    submissions.push(operation, fd, 0, address, length, messageFlags, slot, tag);
    slots.sends[slot] = sends + 1;
    this.#pushed(slot);
  }

  cancel(slot: number, op: number): void {
    this.#ring.submissions.cancel(slot, this.#slots.tag(slot, op), 0, OP_NONE);
    if (this.#ring.submissions.pending === 1) this.#onFirst();
  }

  /** Cancels so that the kernel touches no memory for it any more when this returns. */
  cancelNow(slot: number, op: number): void {
    this.cancel(slot, op);
    this.#ring.enter(0, 0);
  }

  /**
   * Has the kernel take everything that names the slot's descriptor: as long as it has not, the number
   * must not become another's.
   */
  detach(slot: number): void {
    const number = this.#slots.submissions[slot] as number;
    if (!this.#ring.submissions.isTaken(number)) this.#ring.enter(0, 0);
  }

  #pushed(slot: number): void {
    const { submissions } = this.#ring;
    this.#slots.submissions[slot] = submissions.pushed;
    if (submissions.pending === 1) this.#onFirst();
  }
}

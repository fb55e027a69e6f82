import { ERRNO } from "../base/errno.ts";
import { POLLOUT } from "../select/constants.ts";
import { SOCK_CLOEXEC, SOCK_NONBLOCK } from "../socket/constants.ts";
import {
  IORING_CQE_F_MORE,
  IORING_OP,
  IORING_SQ_TASKRUN,
  IOSQE_IO_LINK,
} from "../uring/constants.ts";
import type { RawRing } from "../uring/raw-ring.ts";
import { KIND_LISTENER } from "./slots.ts";
import {
  FLAG_ARMED,
  FLAG_POLLED,
  FLAG_ROOM,
  FLAG_STARVED,
  FLAG_WANTED,
  OP_ACCEPT,
  OP_NONE,
  OP_POLL,
  OP_RECEIVE,
  OP_ROOM,
  OP_SEND,
  type UringSlots,
} from "./uring-slots.ts";

/** How many sends of one slot are linked, one after another. */
export const MAX_SENDS = 16;
const LINK = IOSQE_IO_LINK << 8;

/** Far more than it takes, even where thousands of others have something to be tried. */
const MAX_CANCELS = 4096;

/**
 * After how many bytes a multishot receive ends. The kernel counts before each receive, not within it, so a stream may
 * be sent one byte less than this and a buffer of as much, after its owner has paused it.
 */
const RECEIVE_LIMIT = 65_536;

/** The only group of buffers. */
export const GROUP = 0;

/** What the io_uring engine asks of the kernel, slot by slot. */
export class UringOperations {
  readonly #ring: RawRing;
  readonly #slots: UringSlots;
  readonly #onFirst: () => void;
  #limitsReceives = false;

  /** @param onFirst - Called for what is asked when nothing else is yet to be submitted. */
  constructor(ring: RawRing, slots: UringSlots, onFirst: () => void) {
    this.#ring = ring;
    this.#slots = slots;
    this.#onFirst = onFirst;
  }

  /**
   * Looks whether the kernel limits what a multishot receive takes. To be called before anything is asked for.
   *
   * @remarks
   * Without a limit it would take megabytes for a stream before its owner can pause it. So where there is none,
   * before Linux 6.17, each receive is asked for by itself.
   */
  tryLimits(): void {
    const { submissions, completions } = this.#ring;
    // A kernel that knows no limits refuses them before it looks at the descriptor.
    submissions.receiveMultishot(-1, GROUP, 0, OP_NONE, RECEIVE_LIMIT);
    this.#ring.enter(0, 0);
    for (; completions.length > 0; completions.skip()) {
      this.#limitsReceives = completions.result(completions.next()) !== -ERRNO.EINVAL;
    }
    completions.publish();
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
    } else if (this.#limitsReceives) {
      submissions.receiveMultishot(fd, GROUP, slot, slots.tag(slot, OP_RECEIVE), RECEIVE_LIMIT);
    } else {
      submissions.receive(fd, GROUP, slot, slots.tag(slot, OP_RECEIVE));
    }
    this.#pushed(slot);
  }

  /** Asks once for what the slot is interested in, and for errors and hang-ups in any case. */
  poll(slot: number): void {
    const slots = this.#slots;
    if (slots.has(slot, FLAG_POLLED)) return;
    slots.raise(slot, FLAG_POLLED);
    const mask = slots.interests[slot] as number;
    this.#ring.submissions.poll(slots.fds[slot] as number, mask, slot, slots.tag(slot, OP_POLL));
    this.#pushed(slot);
  }

  /** Asks once for room in the socket. */
  pollRoom(slot: number): void {
    const slots = this.#slots;
    slots.raise(slot, FLAG_ROOM);
    const mask = POLLOUT;
    this.#ring.submissions.poll(slots.fds[slot] as number, mask, slot, slots.tag(slot, OP_ROOM));
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

  /**
   * Cancels so that the kernel does nothing of it any more when this returns, and touches no memory for it.
   *
   * @remarks
   * What a cancellation looks for waits for its descriptor. It misses what has been waiting, and is about
   * to be tried again: the next in a chain of sends above all. That then waits once more. So it is
   * repeated, until all have their completions, or until it was sent out when nothing was to be tried.
   *
   * @param count - How many operations have this tag.
   */
  cancelNow(slot: number, op: number, count: number): void {
    const { submissions } = this.#ring;
    for (let tries = 0; tries < MAX_CANCELS; tries++) {
      const quiet = submissions.pending === 0 && (submissions.flags & IORING_SQ_TASKRUN) === 0;
      this.cancel(slot, op);
      // A ring that refuses for good does nothing any more, and its next turn fails.
      if (this.#ring.enter(0, 0) < 0) return;
      if (quiet || this.#ended(slot, this.#slots.tag(slot, op)) >= count) return;
    }
  }

  /** How many operations with this tag have come to their end, which nobody has read of. */
  #ended(slot: number, tag: number): number {
    const { completions } = this.#ring;
    let ended = 0;
    for (let i = completions.length - 1; i >= 0; i--) {
      const at = completions.peek(i);
      const isLast = (completions.flags(at) & IORING_CQE_F_MORE) === 0;
      if (isLast && completions.tagLow(at) === slot && completions.tagHigh(at) === tag) ended++;
    }
    return ended;
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

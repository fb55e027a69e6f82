import { ERRNO } from "../base/errno.ts";
import type { Libc } from "../sys/libc.ts";
import { IORING_CQE_F_MORE } from "../uring/constants.ts";
import type { RawRing } from "../uring/raw-ring.ts";
import { isOfConnection, MAX_FAILED_CONNECTIONS } from "./calls.ts";
import type { Completions } from "./engine.ts";
import type { Late } from "./late.ts";
import type { UringOperations } from "./uring-operations.ts";
import { FLAG_ARMED, FLAG_WANTED, OP_ACCEPT, OP_NONE, type UringSlots } from "./uring-slots.ts";

/** What the io_uring engine has accepted. */
export class UringAccepts {
  readonly #libc: Libc;
  readonly #ring: RawRing;
  readonly #slots: UringSlots;
  readonly #operations: UringOperations;
  readonly #completions: Completions;
  readonly #late: Late;
  /** Connections in a row that failed before they were accepted. */
  #failed = 0;

  constructor(
    libc: Libc,
    ring: RawRing,
    slots: UringSlots,
    operations: UringOperations,
    { completions, late }: { readonly completions: Completions; readonly late: Late },
  ) {
    this.#libc = libc;
    this.#ring = ring;
    this.#slots = slots;
    this.#operations = operations;
    this.#completions = completions;
    this.#late = late;
  }

  /** An accept of `slot` told of a connection, or ended. @returns How many things were told. */
  accepted(slot: number, tag: number, result: number, flags: number): number {
    const slots = this.#slots;
    if (!slots.isCurrent(slot, tag)) {
      if (result >= 0) this.#libc.close(result);
      return 0;
    }
    if ((flags & IORING_CQE_F_MORE) === 0) slots.lower(slot, FLAG_ARMED);
    if (result >= 0) {
      this.#failed = 0;
      if (!slots.has(slot, FLAG_WANTED) || this.#late.has(slot)) {
        this.#late.putFd(slot, result);
        return 0;
      }
      this.#completions.accepted(slot, result);
    } else if (
      result !== -ERRNO.ECANCELED &&
      result !== -ERRNO.EAGAIN &&
      !this.#isOfConnection(-result)
    ) {
      this.#completions.acceptFailed(slot, -result);
    }
    if (slots.isCurrent(slot, tag)) this.#operations.arm(slot);
    return result === -ERRNO.ECANCELED ? 0 : 1;
  }

  /** Whether accepting may go on at once. */
  #isOfConnection(errno: number): boolean {
    if (!isOfConnection(errno)) return false;
    this.#failed = (this.#failed + 1) % MAX_FAILED_CONNECTIONS;
    return this.#failed !== 0;
  }

  /** A listener is closed: tells of the connections that the kernel had accepted already. */
  end(slot: number): void {
    const { completions } = this.#ring;
    const slots = this.#slots;
    // At once: until then the port stays taken.
    if (slots.has(slot, FLAG_ARMED)) this.#operations.cancelNow(slot, OP_ACCEPT, 1);
    const fds = this.#late.of(slot)?.fds.splice(0) ?? [];
    for (let i = 0; i < completions.length; i++) {
      const at = completions.peek(i);
      const mine = completions.tagLow(at) === slot;
      if (!mine || completions.tagHigh(at) !== slots.tag(slot, OP_ACCEPT)) continue;
      if (completions.result(at) >= 0) fds.push(completions.result(at));
      completions.retag(at, OP_NONE);
    }
    for (const fd of fds) this.#completions.accepted(slot, fd);
  }
}

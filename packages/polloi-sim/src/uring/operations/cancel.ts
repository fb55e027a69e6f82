import { ERRNO, IORING_ASYNC_CANCEL_FD } from "polloi/internal/pure";
import { type Cancellation, checkCancelFlags } from "../cancel.ts";
import { gap } from "../gap.ts";
import { type Entry, Request, type RequestRing, type Traits } from "../request.ts";
import type { Timeouts } from "../timeouts.ts";

const TRAITS: Traits = {};

/** IORING_OP_ASYNC_CANCEL. Source: io_uring/cancel.c, io_async_cancel. */
export class CancelRequest extends Request {
  readonly #cancellation: Cancellation;
  #flags = 0;
  #tag = { tagLow: 0, tagHigh: 0 };
  #target = 0;

  constructor(ring: RequestRing, cancellation: Cancellation, entry: Entry) {
    super(ring, TRAITS, entry);
    this.#cancellation = cancellation;
  }

  override prepare(entry: Entry): number {
    if (entry.offset !== 0 || entry.limit !== 0) return -ERRNO.EINVAL;
    this.#flags = entry.operationFlags;
    this.#target = entry.length;
    this.#tag = { tagLow: entry.word(4), tagHigh: entry.word(5) };
    return checkCancelFlags(this.#flags, this.#target);
  }

  issue(): number {
    if ((this.#flags & IORING_ASYNC_CANCEL_FD) !== 0) {
      this.file = this.ring.process.descriptors.get(this.fd)?.hold();
      if (this.file === undefined) return this.completeWith(-ERRNO.EBADF);
    }
    const criteria = {
      flags: this.#flags,
      ...this.#tag,
      file: this.file,
      operation: this.#target,
      sequence: this.#cancellation.nextSequence(),
    };
    return this.completeWith(this.#cancellation.cancel(criteria));
  }
}

/** IORING_OP_TIMEOUT_REMOVE. Source: io_uring/timeout.c, io_timeout_remove. */
export class TimeoutRemoveRequest extends Request {
  readonly #timeouts: Timeouts;
  #tag = { tagLow: 0, tagHigh: 0 };

  constructor(ring: RequestRing, timeouts: Timeouts, entry: Entry) {
    super(ring, TRAITS, entry);
    this.#timeouts = timeouts;
  }

  override prepare(entry: Entry): number {
    if (entry.group !== 0 || entry.length !== 0 || entry.limit !== 0) return -ERRNO.EINVAL;
    if (entry.operationFlags !== 0) gap("update of a timeout");
    this.#tag = { tagLow: entry.word(4), tagHigh: entry.word(5) };
    return 0;
  }

  issue(): number {
    const criteria = { flags: 0, ...this.#tag, file: undefined, operation: 0, sequence: 0 };
    return this.completeWith(this.#timeouts.cancelOne(criteria));
  }
}

import { ERRNO, IORING_OP, IORING_POLL_ADD_MULTI } from "polloi/internal/pure";
import { IORING_POLL_UPDATE_EVENTS, IORING_POLL_UPDATE_USER_DATA } from "../abi.ts";
import { hasTag } from "../cancel.ts";
import type { Polls } from "../polls.ts";
import { type Entry, ISSUED, Request, type RequestRing, type Traits } from "../request.ts";

const POLL: Traits = { needsFile: true };
const REMOVE: Traits = {};
/** The bits of an event mask that an update replaces. */
const UPDATED = 0xffff;

/** IORING_OP_POLL_ADD. Source: io_uring/poll.c, io_poll_add_prep and io_poll_add. */
export class PollRequest extends Request {
  /** The POLL* bits that it was made for. */
  mask = 0;
  repeats = false;
  readonly #polls: Polls;

  constructor(ring: RequestRing, polls: Polls, entry: Entry) {
    super(ring, POLL, entry);
    this.#polls = polls;
  }

  override prepare(entry: Entry): number {
    if (entry.group !== 0 || entry.offset !== 0 || entry.address !== 0) return -ERRNO.EINVAL;
    if ((entry.length & ~IORING_POLL_ADD_MULTI) !== 0) return -ERRNO.EINVAL;
    this.repeats = entry.length !== 0;
    if (this.repeats && this.skipsCompletion) return -ERRNO.EINVAL;
    this.mask = entry.operationFlags;
    return 0;
  }

  issue(): number {
    const mask = this.#polls.arm(this, this.mask, !this.repeats);
    if (mask === 0) return ISSUED.pending;
    if (mask < 0) return mask;
    this.setResult(mask, 0);
    return ISSUED.complete;
  }
}

/** IORING_OP_POLL_REMOVE, which also changes polls. Source: io_uring/poll.c, io_poll_remove. */
export class PollRemoveRequest extends Request {
  readonly #polls: Polls;
  readonly #end: (request: Request) => void;
  #target = { tagLow: 0, tagHigh: 0 };
  #newTag = { tagLow: 0, tagHigh: 0 };
  #updates = 0;
  #mask = 0;

  /** @param end - Completes a request as work of the ring's thread. */
  constructor(
    ring: RequestRing,
    parts: { readonly polls: Polls; readonly end: (request: Request) => void },
    entry: Entry,
  ) {
    super(ring, REMOVE, entry);
    this.#polls = parts.polls;
    this.#end = parts.end;
  }

  override prepare(entry: Entry): number {
    if (entry.group !== 0 || entry.limit !== 0) return -ERRNO.EINVAL;
    const flags = entry.length;
    const updates = IORING_POLL_UPDATE_EVENTS | IORING_POLL_UPDATE_USER_DATA;
    if ((flags & ~(updates | IORING_POLL_ADD_MULTI)) !== 0) return -ERRNO.EINVAL;
    if (flags === IORING_POLL_ADD_MULTI) return -ERRNO.EINVAL;
    this.#target = { tagLow: entry.word(4), tagHigh: entry.word(5) };
    this.#newTag = { tagLow: entry.word(2), tagHigh: entry.word(3) };
    this.#updates = flags & updates;
    if ((flags & IORING_POLL_UPDATE_USER_DATA) === 0 && entry.offset !== 0) return -ERRNO.EINVAL;
    if ((flags & IORING_POLL_UPDATE_EVENTS) === 0 && entry.operationFlags !== 0) {
      return -ERRNO.EINVAL;
    }
    this.#mask = entry.operationFlags;
    return 0;
  }

  issue(): number {
    const found = this.#polls.find(
      (each) => each.operation === IORING_OP.POLL_ADD && hasTag(each, this.#target),
    );
    if (found === undefined) return -ERRNO.ENOENT;
    if (!this.#polls.disarm(found)) return -ERRNO.EALREADY;
    const poll = found as PollRequest;
    if (this.#updates !== 0) {
      if ((this.#updates & IORING_POLL_UPDATE_EVENTS) !== 0) {
        poll.mask = (poll.mask & ~UPDATED) | (this.#mask & UPDATED);
      }
      if ((this.#updates & IORING_POLL_UPDATE_USER_DATA) !== 0) {
        poll.tagLow = this.#newTag.tagLow;
        poll.tagHigh = this.#newTag.tagHigh;
      }
      const issued = poll.issue();
      if (issued < 0 && issued !== ISSUED.pending) poll.completeWith(-ERRNO.ECANCELED);
      if (issued !== ISSUED.pending) this.#end(poll);
    } else {
      poll.completeWith(-ERRNO.ECANCELED);
      this.#end(poll);
    }
    return this.completeWith(0);
  }
}

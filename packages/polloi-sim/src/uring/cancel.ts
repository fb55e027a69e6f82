import {
  ERRNO,
  IORING_ASYNC_CANCEL_ALL,
  IORING_ASYNC_CANCEL_ANY,
  IORING_ASYNC_CANCEL_FD,
} from "polloi/internal/pure";
import type { OpenFile } from "../process/open-file.ts";
import {
  CANCEL_FLAGS,
  IORING_ASYNC_CANCEL_FD_FIXED,
  IORING_ASYNC_CANCEL_OP,
  IORING_ASYNC_CANCEL_USERDATA,
  OPERATIONS,
} from "./abi.ts";
import { gap } from "./gap.ts";
import type { Request } from "./request.ts";

/** What a cancellation looks for. Source: struct io_cancel_data in io_uring/cancel.h. */
export interface Criteria {
  /** IORING_ASYNC_CANCEL_* bits. */
  readonly flags: number;
  readonly tagLow: number;
  readonly tagHigh: number;
  readonly file: OpenFile | undefined;
  readonly operation: number;
  /** The number of the cancellation, which finds a request once if it looks for all. */
  readonly sequence: number;
}

/** A list of requests that can be cancelled. */
export interface Cancellable {
  /** Cancels one request that matches. @returns 0, `-ENOENT`, or `-EALREADY` when it cannot be stopped. */
  cancelOne(criteria: Criteria): number;
}

/** Whether a request is one that the cancellation looks for. Source: io_uring/cancel.c, io_cancel_req_match. */
export function matches(request: Request, criteria: Criteria): boolean {
  const { flags } = criteria;
  if ((flags & IORING_ASYNC_CANCEL_ANY) === 0) {
    const byFile = (flags & IORING_ASYNC_CANCEL_FD) !== 0;
    const byOperation = (flags & IORING_ASYNC_CANCEL_OP) !== 0;
    const byTag = (flags & IORING_ASYNC_CANCEL_USERDATA) !== 0 || !(byFile || byOperation);
    if (byFile && request.file !== criteria.file) return false;
    if (byOperation && request.operation !== criteria.operation) return false;
    if (byTag && !hasTag(request, criteria)) return false;
    if ((flags & IORING_ASYNC_CANCEL_ALL) === 0) return true;
  }
  if (request.cancelSequence === criteria.sequence) return false;
  request.cancelSequence = criteria.sequence;
  return true;
}

/** Whether a request has this tag. */
export function hasTag(
  request: Request,
  { tagLow, tagHigh }: { readonly tagLow: number; readonly tagHigh: number },
): boolean {
  return request.tagLow === tagLow && request.tagHigh === tagHigh;
}

/** Checks the flags of a cancellation. @returns 0, or `-errno`. Source: io_uring/cancel.c, io_async_cancel_prep. */
export function checkCancelFlags(flags: number, operation: number): number {
  if ((flags & ~CANCEL_FLAGS) !== 0) return -ERRNO.EINVAL;
  if ((flags & IORING_ASYNC_CANCEL_FD_FIXED) !== 0) gap("registered files");
  const isAny = (flags & IORING_ASYNC_CANCEL_ANY) !== 0;
  if ((flags & IORING_ASYNC_CANCEL_FD) !== 0 && isAny) return -ERRNO.EINVAL;
  if ((flags & IORING_ASYNC_CANCEL_OP) !== 0 && (isAny || operation >= OPERATIONS)) {
    return -ERRNO.EINVAL;
  }
  return 0;
}

/** Cancels what is in flight in a ring. Source: io_uring/cancel.c, io_try_cancel and __io_async_cancel. */
export class Cancellation {
  readonly #workers: Cancellable;
  readonly #polls: Cancellable;
  readonly #timeouts: Cancellable;
  #sequence = 0;

  constructor(lists: {
    readonly workers: Cancellable;
    readonly polls: Cancellable;
    readonly timeouts: Cancellable;
  }) {
    this.#workers = lists.workers;
    this.#polls = lists.polls;
    this.#timeouts = lists.timeouts;
  }

  /** The number of a new cancellation. */
  nextSequence(): number {
    this.#sequence = (this.#sequence + 1) >>> 0;
    return this.#sequence;
  }

  /** @returns With ALL or ANY, how many requests were found; otherwise 0, `-ENOENT` or `-EALREADY`. */
  cancel(criteria: Criteria): number {
    const forAll = (criteria.flags & (IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY)) !== 0;
    let count = 0;
    for (;;) {
      const result = this.cancelOne(criteria);
      if (result === -ERRNO.ENOENT) break;
      if (!forAll) return result;
      count++;
    }
    // A request that a worker performs was only found there.
    const result = this.#workers.cancelOne(criteria);
    if (!forAll) return result;
    return result === -ERRNO.ENOENT ? count : count + 1;
  }

  cancelOne(criteria: Criteria): number {
    if (this.#workers.cancelOne(criteria) === 0) return 0;
    const polled = this.#polls.cancelOne(criteria);
    if (polled !== -ERRNO.ENOENT) return polled;
    if ((criteria.flags & IORING_ASYNC_CANCEL_FD) !== 0) return -ERRNO.ENOENT;
    return this.#timeouts.cancelOne(criteria);
  }
}

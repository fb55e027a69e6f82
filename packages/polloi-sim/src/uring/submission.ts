import {
  ERRNO,
  IOSQE_ASYNC,
  IOSQE_BUFFER_SELECT,
  IOSQE_IO_HARDLINK,
  IOSQE_IO_LINK,
} from "polloi/internal/pure";
import { IOSQE_FIXED_FILE, IOSQE_FLAGS, IOSQE_IO_DRAIN } from "./abi.ts";
import { gap } from "./gap.ts";
import { makeRequest, type SubmissionContext } from "./operations/table.ts";
import { Entry, type Request } from "./request.ts";
import type { RingFile } from "./ring-file.ts";

/**
 * Takes submissions of a ring, and issues them.
 *
 * @remarks
 * The requests of a chain are collected, and the first of them is issued when the chain is complete.
 *
 * Source: io_uring/io_uring.c, io_submit_sqes and io_submit_sqe.
 */
export class Submission {
  readonly #ring: RingFile;
  readonly #context: SubmissionContext;
  readonly #entry: Entry;
  /** The chain that is being collected. */
  #first: Request | undefined;
  #last: Request | undefined;

  constructor(ring: RingFile, calls: Omit<SubmissionContext, "lastOfChain">) {
    this.#ring = ring;
    const { open, socket } = calls;
    this.#context = { open, socket, lastOfChain: this.#lastOfChain };
    this.#entry = new Entry(ring.rings.submissions);
  }

  /** Takes at most `most` submissions. @returns How many, or `-errno`. */
  submit(most: number): number {
    const { rings, submitsAll, completions, process } = this.#ring;
    const count = Math.min(most, rings.submitted);
    if (count === 0) return 0;
    const { faults, choices } = process.world;
    // Without memory for requests, the kernel takes fewer, or none.
    const limit = faults.happens("again") ? choices.below(count) : count;
    if (limit === 0) return -ERRNO.EAGAIN;
    let taken = 0;
    while (taken < limit) {
      const at = rings.take();
      if (at < 0) break;
      taken++;
      this.#entry.at = at;
      if (this.#submitOne() < 0 && !submitsAll) break;
    }
    if (this.#first !== undefined) this.#issueFailed(this.#first);
    this.#first = undefined;
    this.#last = undefined;
    completions.flush();
    rings.commitSubmissions();
    return taken;
  }

  #submitOne(): number {
    const request = makeRequest(this.#ring, this.#entry, this.#context);
    const result = this.#prepare(request);
    if (result < 0) return this.#failed(request, result);
    if (this.#first !== undefined) {
      this.#append(request);
      if (request.isLinked) return 0;
      const first = this.#first;
      this.#first = undefined;
      this.#last = undefined;
      // The flags of the last request of a chain decide, as in the kernel.
      if (request.isAsync || first.isFailed) this.#issueFailed(first);
      else this.#issue(first);
    } else if (request.isLinked) {
      this.#append(request);
    } else {
      this.#issue(request);
    }
    return 0;
  }

  readonly #lastOfChain = (): Request | undefined =>
    this.#first === undefined ? undefined : this.#last;

  /** Source: io_init_req. */
  #prepare(request: Request): number {
    const { flags, traits } = request;
    if ((flags & ~IOSQE_FLAGS) !== 0) return -ERRNO.EINVAL;
    if ((flags & IOSQE_BUFFER_SELECT) !== 0 && traits.selectsBuffers !== true) {
      return -ERRNO.EOPNOTSUPP;
    }
    if ((flags & IOSQE_IO_DRAIN) !== 0) gap("IOSQE_IO_DRAIN");
    if (traits.usesPriority !== true && this.#entry.priority !== 0) return -ERRNO.EINVAL;
    if ((flags & IOSQE_FIXED_FILE) !== 0) gap("registered files");
    if (this.#entry.personality !== 0) return -ERRNO.EINVAL;
    request.isAsync = (flags & IOSQE_ASYNC) !== 0;
    return request.prepare(this.#entry);
  }

  /** Source: io_submit_fail_init. */
  #failed(request: Request, result: number): number {
    request.setFailed();
    request.setResult(result, 0);
    const first = this.#first;
    if (first !== undefined && !first.isFailed) {
      first.setFailed();
      first.setResult(-ERRNO.ECANCELED, 0);
    }
    if (request.isLinked) {
      this.#append(request);
      return 0;
    }
    if (first !== undefined) this.#append(request);
    this.#issueFailed(first ?? request);
    this.#first = undefined;
    this.#last = undefined;
    return result;
  }

  #append(request: Request): void {
    if (this.#last !== undefined && this.#first !== undefined) this.#last.link = request;
    else this.#first = request;
    this.#last = request;
  }

  #issue(request: Request): void {
    if (request.isAsync) this.#ring.workers.add(request);
    else this.#ring.submit(request);
  }

  /** Source: io_queue_sqe_fallback. */
  #issueFailed(request: Request): void {
    if (!request.isFailed) {
      this.#ring.workers.add(request);
      return;
    }
    request.flags = (request.flags & ~IOSQE_IO_HARDLINK) | IOSQE_IO_LINK;
    this.#ring.fail(request, request.result);
  }
}

import { ERRNO, IOSQE_CQE_SKIP_SUCCESS, IOSQE_IO_HARDLINK } from "polloi/internal/pure";
import type { Completions } from "./completions.ts";
import type { Request } from "./request.ts";
import type { TaskWork } from "./task-work.ts";
import { LinkTimeoutRequest, type Timeouts } from "./timeouts.ts";

/**
 * What follows when a request of a chain ends.
 *
 * Source: io_uring/io_uring.c, io_req_find_next; io_uring/timeout.c, io_disarm_next and io_fail_links.
 */
export class Links {
  readonly #work: TaskWork;
  readonly #completions: Completions;
  readonly #timeouts: Timeouts;

  constructor(work: TaskWork, completions: Completions, timeouts: Timeouts) {
    this.#work = work;
    this.#completions = completions;
    this.#timeouts = timeouts;
  }

  /** A request has ended. @returns The next request of its chain, which can be issued. */
  next(request: Request): Request | undefined {
    if (request.timeoutState !== "none") this.#stopLimit(request);
    if (request.isFailed && (request.flags & IOSQE_IO_HARDLINK) === 0) this.#fail(request);
    const { link } = request;
    request.link = undefined;
    return link;
  }

  #stopLimit(request: Request): void {
    const wasStarted = request.timeoutState === "started";
    request.timeoutState = "none";
    const limit = request.link;
    if (!(limit instanceof LinkTimeoutRequest)) return;
    request.link = limit.link;
    limit.link = undefined;
    if (wasStarted && !this.#timeouts.stopLimit(limit)) return;
    limit.setResult(-ERRNO.ECANCELED, 0);
    this.#work.add(limit, this.#complete);
  }

  /** Cancels all requests behind one that has failed. */
  #fail(request: Request): void {
    const first = request.link;
    if (first === undefined) return;
    for (let link: Request | undefined = first; link !== undefined; link = link.link) {
      if (request.skipsLinks) link.flags |= IOSQE_CQE_SKIP_SUCCESS;
      else link.flags &= ~IOSQE_CQE_SKIP_SUCCESS;
    }
    request.link = undefined;
    this.#work.add(first, this.#cancelChain);
  }

  readonly #complete = (request: Request): void => this.#completions.complete(request);

  /** Source: io_req_tw_fail_links. */
  readonly #cancelChain = (first: Request): void => {
    let request: Request | undefined = first;
    while (request !== undefined) {
      const { link }: Request = request;
      request.link = undefined;
      request.setResult(request.isFailed ? request.result : -ERRNO.ECANCELED, 0);
      this.#completions.complete(request);
      request = link;
    }
  };
}

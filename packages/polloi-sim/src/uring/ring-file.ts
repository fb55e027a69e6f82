import {
  ERRNO,
  IORING_OFF_SQ_RING,
  IORING_OFF_SQES,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
} from "polloi/internal/pure";
import { OpenFile } from "../process/open-file.ts";
import type { Process } from "../process/process.ts";
import { IORING_OFF_CQ_RING, POLL_URING_WAKE } from "./abi.ts";
import type { BufferGroup } from "./buffer-group.ts";
import { type Cancellable, Cancellation, type Criteria, matches } from "./cancel.ts";
import { Completions } from "./completions.ts";
import { Links } from "./links.ts";
import { Polls } from "./polls.ts";
import { ISSUE, ISSUED, type Request, type RequestRing } from "./request.ts";
import { RingEventfd } from "./ring-eventfd.ts";
import type { SharedRings } from "./shared-rings.ts";
import { TaskWork } from "./task-work.ts";
import { LinkTimeoutRequest, Timeouts } from "./timeouts.ts";
import { Workers } from "./workers.ts";

/**
 * An io_uring: its queues, and what is in flight.
 *
 * @remarks
 * It belongs to the thread that made it, and nothing completes outside of io_uring_enter (IORING_SETUP_SINGLE_ISSUER,
 * IORING_SETUP_DEFER_TASKRUN).
 *
 * ```text
 *   submission --> issue --+--> complete --> flush --> queue of completions
 *                          |       ^           |
 *                file is   |       |           +--> next request of the chain --> work
 *                not ready +--> Polls, Workers, Timeouts --> work (TaskWork) --> issue again, or complete
 * ```
 *
 * Source: struct io_ring_ctx; io_uring/io_uring.c.
 */
export class RingFile extends OpenFile implements RequestRing {
  override readonly kind = "anon_inode:[io_uring]";
  /** Files of requests that have ended. */
  readonly #unused: OpenFile[] = [];
  readonly process: Process;
  readonly rings: SharedRings;
  readonly submitsAll: boolean;
  readonly work: TaskWork;
  readonly completions: Completions;
  readonly polls: Polls;
  readonly workers: Workers;
  readonly timeouts: Timeouts;
  readonly cancellation: Cancellation;
  readonly eventfd: RingEventfd;
  /** The groups of buffers that the program provides. */
  readonly groups: Map<number, BufferGroup> = new Map();
  readonly #links: Links;
  /** Whether those who poll its file are woken: from the end of the call that was the first to poll it. */
  #wakesPolls: "no" | "soon" | "yes" = "no";

  constructor(process: Process, rings: SharedRings, submitsAll: boolean) {
    super();
    const { world } = process;
    this.process = process;
    this.rings = rings;
    this.submitsAll = submitsAll;
    this.eventfd = new RingEventfd(world, rings);
    this.work = new TaskWork(rings, world, {
      signal: () => this.eventfd.signalWork(),
      flush: () => this.completions.flush(),
    });
    this.completions = new Completions(rings, world.faults, {
      committed: () => this.#committed(),
      freed: (request) => this.#freed(request),
    });
    this.polls = new Polls(world, rings.cqEntries, {
      work: this.work,
      completions: this.completions,
      hooks: {
        submit: (request) => this.submit(request),
        fail: (request, result) => this.fail(request, result),
      },
    });
    this.workers = new Workers(world, {
      assignFile: (request) => this.#assignFile(request),
      issue: (request, mode) => this.#issue(request, mode),
      arm: (request) => this.#arm(request) === 0,
      complete: (request) => this.work.add(request, this.complete),
      fail: (request, result) => this.#failLater(request, result),
    });
    this.timeouts = new Timeouts(world, {
      rings,
      work: this.work,
      completions: this.completions,
    });
    this.cancellation = new Cancellation({
      workers: this.workers,
      polls: this.#pollCancellation(),
      timeouts: this.timeouts,
    });
    this.timeouts.onExpiry((criteria) => this.cancellation.cancelOne(criteria));
    this.#links = new Links(this.work, this.completions, this.timeouts);
  }

  // The file

  /**
   * Those who poll are woken by completions, and not by work. The first poll wakes once, some time later.
   *
   * Source: io_uring_poll, io_activate_pollwq.
   */
  poll(): number {
    if (this.#wakesPolls === "no") {
      this.#wakesPolls = "soon";
      this.process.world.schedule(0, () => {
        this.#wakesPolls = "yes";
        this.waiters.wakeAll();
      });
    }
    let mask = this.rings.isFull ? 0 : POLLOUT | POLLWRNORM;
    if (this.rings.unread > 0 || this.hasWork) mask |= POLLIN | POLLRDNORM;
    return mask;
  }

  /** Source: io_uring/memmap.c, io_uring_mmap. */
  override mapped(offset: number, byteLength: number): ArrayBuffer | number {
    if (this.process.world.faults.happens("noMemory")) return -ERRNO.ENOMEM;
    const isRings = offset === IORING_OFF_SQ_RING || offset === IORING_OFF_CQ_RING;
    if (!isRings && offset !== IORING_OFF_SQES) return -ERRNO.EINVAL;
    const memory = isRings ? this.rings.rings : this.rings.entries;
    return byteLength > memory.byteLength ? -ERRNO.EINVAL : memory;
  }

  override wipe(memory: ArrayBuffer): void {
    this.rings.wipe(memory);
  }

  /** Whether a call with IORING_ENTER_GETEVENTS would find something. */
  get hasWork(): boolean {
    return this.completions.isOverflowing || this.work.isPending;
  }

  /**
   * Ends what is in flight, without completions. Its files are released some time later.
   *
   * Source: io_ring_exit_work.
   */
  protected released(): void {
    const requests = [
      ...this.workers.takeAll(),
      ...this.polls.takeAll(),
      ...this.timeouts.takeAll(),
      ...this.work.takeAll(),
    ];
    this.returning();
    this.eventfd.unregister();
    this.groups.clear();
    if (requests.length === 0) return;
    this.process.world.schedule(0, () => {
      for (const request of new Set(requests)) release(request);
    });
  }

  // Requests

  post(request: Request, result: number, flags: number): boolean {
    return this.completions.post(request, result, flags);
  }

  woken(request: Request, mask: number): boolean {
    return this.polls.woken(request, mask);
  }

  /** Issues a request, and lets it wait if its file is not ready. Source: io_queue_sqe. */
  readonly submit = (request: Request): void => {
    if (request.isAsync) {
      this.workers.add(request);
      return;
    }
    const result = this.#assignFile(request)
      ? this.#issue(request, ISSUE.nonBlocking)
      : -ERRNO.EBADF;
    if (result === ISSUED.complete) this.completions.complete(request);
    else if (result !== ISSUED.pending) this.#wait(request, result);
  };

  /** A request is over. */
  readonly complete = (request: Request): void => this.completions.complete(request);

  /** A request fails. Source: io_req_defer_failed. */
  fail(request: Request, result: number): void {
    request.setFailed();
    request.setResult(result, 0);
    request.failed();
    this.completions.complete(request);
  }

  #failLater(request: Request, result: number): void {
    request.setResult(result, 0);
    this.work.add(request, this.#failed);
  }

  readonly #failed = (request: Request): void => this.fail(request, request.result);

  /** Source: io_queue_async. */
  #wait(request: Request, result: number): void {
    if (result !== ISSUED.retry || request.neverWaits) {
      this.fail(request, result === ISSUED.requeue ? ISSUED.retry : result);
      return;
    }
    const canPoll = request.file?.isPollable === true && request.traits.events !== undefined;
    if (!canPoll || --request.pollsLeft === 0) {
      this.workers.add(request);
      return;
    }
    if (this.#arm(request) !== 0) this.work.add(request, this.submit);
  }

  /** Waits for the file of an operation. @returns 0, or the POLL* bits that hold already. Source: io_arm_apoll. */
  #arm(request: Request): number {
    request.wasPolled = true;
    return this.polls.arm(request, request.traits.events ?? 0, !request.isMultishot);
  }

  #assignFile(request: Request): boolean {
    if (request.file !== undefined || request.traits.needsFile !== true) return true;
    request.file = this.process.descriptors.get(request.fd)?.hold();
    return request.file !== undefined;
  }

  /** Source: __io_issue_sqe. */
  #issue(request: Request, mode: number): number {
    const limit = request.timeoutState === "prepared" ? request.link : undefined;
    if (limit !== undefined) request.timeoutState = "started";
    const result = request.issue(mode);
    if (limit instanceof LinkTimeoutRequest) this.timeouts.startLimit(limit);
    return result;
  }

  /** Completions are visible. Source: __io_commit_cqring_flush. */
  #committed(): void {
    if (this.#wakesPolls === "yes") this.waiters.wake(POLLIN | POLL_URING_WAKE);
    this.timeouts.flush();
    this.eventfd.signalCompletions();
  }

  /** A request has ended. Source: io_free_batch_list. */
  #freed(request: Request): void {
    if (request.isLinked) {
      const next = this.#links.next(request);
      if (next !== undefined) this.work.add(next, this.submit);
    }
    if (request.file !== undefined) this.#unused.push(request.file);
    request.file = undefined;
  }

  /**
   * A call returns to the program: files that no request uses any more are released, after all completions. Source:
   * fs/file_table.c, fput.
   */
  returning(): void {
    if (this.#unused.length === 0) return;
    for (const file of this.#unused.splice(0)) file.drop();
  }

  /** Source: io_poll_cancel. */
  #pollCancellation(): Cancellable {
    return {
      cancelOne: (criteria: Criteria) => {
        const request = this.polls.find((each) => matches(each, criteria));
        if (request === undefined) return -ERRNO.ENOENT;
        this.polls.cancel(request);
        return 0;
      },
    };
  }
}

/** Drops a request and those behind it, without completions. */
function release(first: Request): void {
  for (let request: Request | undefined = first; request !== undefined; ) {
    const { link }: Request = request;
    request.link = undefined;
    request.file?.drop();
    request.file = undefined;
    request = link;
  }
}

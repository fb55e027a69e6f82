import { ERRNO } from "polloi/internal/pure";
import type { Waiter } from "../base/wait-queue.ts";
import type { Scheduled, World } from "../base/world.ts";
import { type Cancellable, type Criteria, matches } from "./cancel.ts";
import { ISSUE, ISSUED, type Request } from "./request.ts";

/** With the fault `lateCompletion`, a worker is at most this late. */
const LATE_MS = 5;
/** The time after which a worker looks again at a file that does not wake it. */
const RETRY_MS = 10;

/** What a worker does with a request. */
export interface WorkerHooks {
  /** Finds the file of a request. @returns false when it has none and needs one. */
  readonly assignFile: (request: Request) => boolean;
  /** Issues a request. @param mode - Bits of {@link ISSUE}. */
  readonly issue: (request: Request, mode: number) => number;
  /** Waits for the file of a request. @returns Whether it waits. */
  readonly arm: (request: Request) => boolean;
  /** A request is over. Its completion is the work of the ring's thread. */
  readonly complete: (request: Request) => void;
  /** A request has failed, likewise. */
  readonly fail: (request: Request, result: number) => void;
}

/** A request of a worker. */
class Job implements Waiter {
  readonly isExclusive = false;
  readonly request: Request;
  /** It is about to start, or to look at its file again. */
  scheduled: Scheduled | undefined;
  isRunning = false;
  /** Whether a signal ends its wait. */
  isInterrupted = false;
  readonly #woken: (job: Job) => void;

  constructor(request: Request, woken: (job: Job) => void) {
    this.request = request;
    this.#woken = woken;
  }

  wake(): boolean {
    this.#woken(this);
    return true;
  }
}

/**
 * The worker threads of a ring: they perform operations that would block its own thread.
 *
 * @remarks
 * Each request has a worker of its own, which starts while the thread of the ring waits, or before its next call.
 *
 * Source: io_uring/io_uring.c, io_wq_submit_work; io_uring/io-wq.c.
 */
export class Workers implements Cancellable {
  readonly #world: World;
  readonly #hooks: WorkerHooks;
  readonly #jobs: Set<Job> = new Set();

  constructor(world: World, hooks: WorkerHooks) {
    this.#world = world;
    this.#hooks = hooks;
  }

  add(request: Request): void {
    const { faults, choices } = this.#world;
    const delayMs = faults.happens("lateCompletion") ? choices.between(0, LATE_MS) : 0;
    const job = new Job(request, this.#woken);
    this.#jobs.add(job);
    this.#schedule(job, delayMs);
  }

  /** Source: io_wq_cancel_cb. */
  cancelOne(criteria: Criteria): number {
    for (const job of this.#jobs) {
      if (job.isRunning || !matches(job.request, criteria)) continue;
      this.#end(job);
      this.#hooks.fail(job.request, -ERRNO.ECANCELED);
      return 0;
    }
    for (const job of this.#jobs) {
      if (!job.isRunning || !matches(job.request, criteria)) continue;
      job.isInterrupted = true;
      job.wake();
      return -ERRNO.EALREADY;
    }
    return -ERRNO.ENOENT;
  }

  /** Ends all of them. The ring is being closed. */
  takeAll(): Request[] {
    const jobs = [...this.#jobs];
    for (const job of jobs) this.#end(job);
    return jobs.map(({ request }) => request);
  }

  #start(job: Job): void {
    const { request } = job;
    if (!this.#hooks.assignFile(request)) {
      this.#end(job);
      this.#hooks.fail(request, -ERRNO.EBADF);
      return;
    }
    const { file } = request;
    const canPoll = file?.isPollable === true && request.traits.events !== undefined;
    if (request.isMultishot) {
      // A worker must not complete repeatedly.
      if (!canPoll) {
        this.#fail(job, -ERRNO.EBADFD);
        return;
      }
      if (file.isNonBlocking) {
        this.#arm(job);
        return;
      }
      request.isMultishot = false;
    }
    if (request.isAsync && canPoll) {
      const result = this.#hooks.issue(request, ISSUE.worker | ISSUE.nonBlocking);
      if (result === ISSUED.retry && !request.neverWaits) this.#arm(job);
      else this.#issued(job, result);
      return;
    }
    this.#attempt(job);
  }

  #arm(job: Job): void {
    this.#end(job);
    if (this.#hooks.arm(job.request)) return;
    // The file has become ready meanwhile.
    this.#jobs.add(job);
    this.#attempt(job);
  }

  /** Tries an operation that may wait. */
  #attempt(job: Job): void {
    const { request } = job;
    job.scheduled = undefined;
    const result = this.#hooks.issue(request, ISSUE.worker);
    if (result === ISSUED.retry && job.isInterrupted) {
      this.#fail(job, -ERRNO.EINTR);
      return;
    }
    if (result !== ISSUED.retry || request.neverWaits || request.file === undefined) {
      this.#issued(job, result);
      return;
    }
    if (!job.isRunning) request.file.waiters.add(job);
    job.isRunning = true;
    this.#schedule(job, RETRY_MS);
  }

  readonly #woken = (job: Job): void => this.#schedule(job, 0);

  #schedule(job: Job, delayMs: number): void {
    // An attempt may itself wake the job.
    job.scheduled?.cancel();
    job.scheduled = this.#world.schedule(delayMs, () => {
      if (job.isRunning) this.#attempt(job);
      else this.#start(job);
    });
  }

  #issued(job: Job, result: number): void {
    this.#end(job);
    if (result === ISSUED.complete) this.#hooks.complete(job.request);
    else if (result !== ISSUED.pending) this.#hooks.fail(job.request, result);
  }

  #fail(job: Job, result: number): void {
    this.#end(job);
    this.#hooks.fail(job.request, result);
  }

  #end(job: Job): void {
    this.#jobs.delete(job);
    job.scheduled?.cancel();
    job.scheduled = undefined;
    if (job.isRunning) job.request.file?.waiters.remove(job);
    job.isRunning = false;
  }
}

import {
  ERRNO,
  IORING_CQE_F_MORE,
  IORING_OP,
  POLLERR,
  POLLHUP,
  POLLNVAL,
  POLLPRI,
  POLLRDHUP,
} from "polloi/internal/pure";
import type { World } from "../base/world.ts";
import { POLL_URING_WAKE } from "./abi.ts";
import type { Completions } from "./completions.ts";
import { ISSUE, ISSUED, type Request } from "./request.ts";
import type { TaskWork } from "./task-work.ts";

/** Reported whether asked for or not. */
const ALWAYS: number = POLLERR | POLLHUP | POLLNVAL | POLLRDHUP;
const ENDS: number = POLLHUP | POLLRDHUP;
/** More wake-ups than this are not counted. */
const MAX_WAKE_UPS = 128;
/** With the fault `lateCompletion`, a wake-up is at most this late. */
const LATE_MS = 3;

const MAX_HASH_BITS = 8;
const GOLDEN_HIGH = 0x61c8_8646;
const GOLDEN_LOW = 0x80b5_83eb;

/** What follows from the events of a request. */
type Outcome = "waits" | "ready" | "reissue" | "requeue" | "over" | "failed";

/** What happens to a request whose file is ready. */
export interface PollHooks {
  /** Issues it again. */
  readonly submit: (request: Request) => void;
  /** It is over, with {@link Request.result} as the errno. */
  readonly fail: (request: Request, result: number) => void;
}

/**
 * The requests of a ring that wait for their files: polls, and operations whose file was not ready.
 *
 * @remarks
 * A wake-up of the file adds work for the thread of the ring, which looks at the file again. Wake-ups that come before
 * the work has run are counted.
 *
 * Source: io_uring/poll.c.
 */
export class Polls {
  readonly #world: World;
  readonly #work: TaskWork;
  readonly #completions: Completions;
  readonly #hooks: PollHooks;
  /** The latest request of each bucket. Those before follow. */
  readonly #buckets: (Request | undefined)[];
  readonly #hashBits: number;
  #count = 0;

  /** @param cqEntries - The size of the completion queue, which the number of buckets depends on. */
  constructor(
    world: World,
    cqEntries: number,
    parts: {
      readonly work: TaskWork;
      readonly completions: Completions;
      readonly hooks: PollHooks;
    },
  ) {
    this.#world = world;
    this.#work = parts.work;
    this.#completions = parts.completions;
    this.#hooks = parts.hooks;
    // Source: io_ring_ctx_alloc.
    this.#hashBits = Math.min(Math.max(Math.log2(cqEntries) - 5, 1), MAX_HASH_BITS);
    this.#buckets = new Array(2 ** this.#hashBits).fill(undefined);
  }

  #isIdle(): boolean {
    return this.#count === 0;
  }

  /**
   * Waits for events of the file of a request, as changes (edges) after those that hold now.
   *
   * @param isOneShot - Whether the request waits once.
   * @returns 0 when it waits; the POLL* bits that hold already, or `-errno`. Then it does not wait.
   */
  arm(request: Request, events: number, isOneShot: boolean): number {
    const { file } = request;
    if (file === undefined) return POLLERR;
    request.events = events | ALWAYS;
    request.isOneShot = isOneShot;
    request.wakeUps = 0;
    request.isCancelled = false;
    const mask = file.poll() & request.events;
    if (!file.isPollable) return mask === 0 ? -ERRNO.EINVAL : mask;
    if (mask !== 0 && isOneShot) return mask;
    file.waiters.add(request);
    request.isInQueue = true;
    this.#insert(request);
    if (mask !== 0) {
      request.wakeUps = 1;
      this.#execute(request, mask);
    }
    return 0;
  }

  /** See {@link RequestRing.woken}. */
  woken(request: Request, mask: number): boolean {
    if (mask !== 0 && (mask & request.events & ~POLLPRI) === 0) return false;
    const { faults, choices } = this.#world;
    // A wake-up that is meant for one request must not get lost with it.
    if (!request.isExclusive && faults.happens("lateCompletion")) {
      this.#world.schedule(choices.between(0, LATE_MS), () => {
        if (request.isInQueue) this.#wake(request, mask);
      });
      return true;
    }
    this.#wake(request, mask);
    return true;
  }

  /** The first request that matches, or undefined. */
  find(matches: (request: Request) => boolean): Request | undefined {
    if (this.#isIdle()) return undefined;
    for (const first of this.#buckets) {
      for (let request = first; request !== undefined; request = request.next) {
        if (matches(request)) return request;
      }
    }
    return undefined;
  }

  /** Cancels a request that waits. Its completion follows. */
  cancel(request: Request): void {
    request.isCancelled = true;
    if (request.wakeUps++ === 0) this.#execute(request, 0);
  }

  /** Takes a request from the list, unless its file has woken it. @returns Whether it was taken. */
  disarm(request: Request): boolean {
    if (request.wakeUps++ > 0) return false;
    this.#remove(request);
    return true;
  }

  /** Takes all requests from the list. The ring is being closed. */
  takeAll(): Request[] {
    const all: Request[] = [];
    if (this.#isIdle()) return all;
    for (const first of this.#buckets) {
      for (let request = first; request !== undefined; request = request.next) all.push(request);
    }
    for (const request of all) this.#remove(request);
    return all;
  }

  /** Source: io_poll_wake. */
  #wake(request: Request, mask: number): void {
    if (request.wakeUps > 0) {
      if (request.wakeUps < MAX_WAKE_UPS) request.wakeUps++;
      return;
    }
    request.wakeUps = 1;
    // A ring that completions of its own wake would never come to rest.
    if ((mask & POLL_URING_WAKE) !== 0) request.isOneShot = true;
    if (mask !== 0 && request.isOneShot) this.#leaveQueue(request);
    this.#execute(request, mask);
  }

  #execute(request: Request, mask: number): void {
    request.setResult(mask, 0);
    this.#work.add(request, this.#run, !request.isExclusive);
  }

  /** Source: io_poll_task_func. */
  readonly #run = (request: Request): void => {
    const outcome = this.#check(request);
    if (outcome === "waits") return;
    if (outcome === "requeue") {
      this.#execute(request, 0);
      return;
    }
    this.#remove(request);
    if (request.operation === IORING_OP.POLL_ADD) {
      if (outcome === "reissue") {
        this.#hooks.submit(request);
        return;
      }
      if (outcome === "ready") request.result &= request.events;
      else if (outcome === "failed") request.setFailed();
      request.completionFlags = 0;
      this.#completions.complete(request);
    } else if (outcome === "over") {
      this.#completions.complete(request);
    } else if (outcome === "failed") {
      this.#hooks.fail(request, request.result);
    } else {
      this.#hooks.submit(request);
    }
  };

  /** Looks at the file, and lets a multishot request complete. Source: io_poll_check_events. */
  #check(request: Request): Outcome {
    for (;;) {
      let seen = request.wakeUps;
      if (request.isCancelled) return this.#failed(request, -ERRNO.ECANCELED);
      // The result has the events of the first wake-up only.
      if (seen !== 1) request.result = 0;
      if (request.result === 0) {
        request.result = (request.file?.poll() ?? POLLERR) & request.events;
        if (request.result === 0 && request.isOneShot) return "reissue";
      }
      if (request.result !== 0) {
        if (request.isOneShot) return "ready";
        if (!request.isMultishot) {
          const mask = request.result & request.events;
          if (!this.#completions.post(request, mask, IORING_CQE_F_MORE)) {
            request.setResult(mask, 0);
            return "over";
          }
        } else {
          // The end of a stream may have come with other events. Then the file is looked at once more.
          if ((request.result & ENDS) !== 0 && seen !== 1) seen--;
          const issued = request.issue(ISSUE.nonBlocking | ISSUE.multishot);
          if (issued === ISSUED.complete) return "over";
          if (issued === ISSUED.requeue) return "requeue";
          if (issued !== ISSUED.retry) return this.#failed(request, issued);
        }
      }
      request.result = 0;
      request.wakeUps -= seen;
      if (request.wakeUps === 0) return "waits";
    }
  }

  #failed(request: Request, result: number): Outcome {
    request.setResult(result, 0);
    return "failed";
  }

  #leaveQueue(request: Request): void {
    if (!request.isInQueue) return;
    request.isInQueue = false;
    request.file?.waiters.remove(request);
  }

  #insert(request: Request): void {
    const bucket = hashOf(request, this.#hashBits);
    const first = this.#buckets[bucket];
    request.bucket = bucket;
    request.previous = undefined;
    request.next = first;
    if (first !== undefined) first.previous = request;
    this.#buckets[bucket] = request;
    this.#count++;
  }

  #remove(request: Request): void {
    this.#leaveQueue(request);
    if (request.bucket < 0) return;
    this.#count--;
    const { previous, next } = request;
    if (previous === undefined) this.#buckets[request.bucket] = next;
    else previous.next = next;
    if (next !== undefined) next.previous = previous;
    request.bucket = -1;
    request.previous = undefined;
    request.next = undefined;
  }
}

/**
 * The bucket of a tag. It decides the order in which many requests are cancelled.
 *
 * Source: include/linux/hash.h, hash_64: the upper bits of the product with the golden ratio.
 */
function hashOf({ tagLow, tagHigh }: Request, bits: number): number {
  const upper = Math.imul(tagLow, GOLDEN_HIGH) + Math.imul(tagHigh, GOLDEN_LOW);
  return ((upper + upperProduct(tagLow, GOLDEN_LOW)) >>> 0) >>> (32 - bits);
}

/** The upper 32 bits of the product of two numbers of 32 bits. */
function upperProduct(a: number, b: number): number {
  const [aLow, aHigh, bLow, bHigh] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carried = aLow * bHigh + (middle & 0xffff);
  return aHigh * bHigh + Math.floor(middle / 0x1_0000) + Math.floor(carried / 0x1_0000);
}

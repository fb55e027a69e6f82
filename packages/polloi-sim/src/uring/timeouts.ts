import {
  ERRNO,
  IORING_CQE_F_MORE,
  IORING_TIMEOUT_ABS,
  IORING_TIMEOUT_MULTISHOT,
} from "polloi/internal/pure";
import type { Scheduled, World } from "../base/world.ts";
import type { Memory } from "../process/memory.ts";
import { IORING_TIMEOUT_CLOCKS, IORING_TIMEOUT_ETIME_SUCCESS } from "./abi.ts";
import { type Cancellable, type Criteria, matches } from "./cancel.ts";
import type { Completions } from "./completions.ts";
import { gap } from "./gap.ts";
import { type Entry, ISSUED, Request, type RequestRing, type Traits } from "./request.ts";
import type { SharedRings } from "./shared-rings.ts";
import type { TaskWork } from "./task-work.ts";

const TRAITS: Traits = {};
const FLAGS: number =
  IORING_TIMEOUT_ABS |
  IORING_TIMEOUT_CLOCKS |
  IORING_TIMEOUT_ETIME_SUCCESS |
  IORING_TIMEOUT_MULTISHOT;

/** A timer of a ring: IORING_OP_TIMEOUT, or IORING_OP_LINK_TIMEOUT. */
abstract class TimerRequest extends Request {
  timeoutFlags = 0;
  /** In milliseconds, relative or absolute. */
  time = 0;
  timer: Scheduled | undefined;
  readonly #memory: Memory;

  constructor(ring: RequestRing, entry: Entry) {
    super(ring, TRAITS, entry);
    this.#memory = ring.process.memory;
  }

  /** Source: io_uring/timeout.c, __io_timeout_prep. */
  override prepare(entry: Entry): number {
    if (entry.group !== 0 || entry.length !== 1 || entry.limit !== 0) return -ERRNO.EINVAL;
    const flags = entry.operationFlags;
    if ((flags & ~FLAGS) !== 0) return -ERRNO.EINVAL;
    const isRepeated = (flags & IORING_TIMEOUT_MULTISHOT) !== 0;
    if (isRepeated && (flags & IORING_TIMEOUT_ABS) !== 0) return -ERRNO.EINVAL;
    if ((flags & IORING_TIMEOUT_CLOCKS) !== 0) gap("timeout of another clock");
    if (this.ring.process.world.faults.happens("noMemory")) return -ERRNO.ENOMEM;
    this.timeoutFlags = flags;
    const time = readTimespec(this.#memory, entry.address);
    if (time === undefined) return -ERRNO.EFAULT;
    if (time < 0) return -ERRNO.EINVAL;
    this.time = time;
    return 0;
  }

  /** Starts the timer. */
  start(world: World, fired: () => void): void {
    const isAbsolute = (this.timeoutFlags & IORING_TIMEOUT_ABS) !== 0;
    const delay = isAbsolute ? Math.max(this.time - world.now(), 0) : this.time;
    this.timer = world.schedule(delay, () => {
      this.timer = undefined;
      fired();
    });
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = undefined;
  }
}

/** IORING_OP_TIMEOUT: completes after a time, or after a number of other completions. */
export class TimeoutRequest extends TimerRequest {
  readonly #timeouts: Timeouts;
  /** The number of completions, or of repetitions; 0 for none. */
  count = 0;
  /** With a number of completions, the tail of the queue at which it is over. */
  target = 0;

  constructor(ring: RequestRing, timeouts: Timeouts, entry: Entry) {
    super(ring, entry);
    this.#timeouts = timeouts;
  }

  override prepare(entry: Entry): number {
    const result = super.prepare(entry);
    this.count = entry.word(2);
    return result;
  }

  issue(): number {
    this.#timeouts.add(this);
    return ISSUED.pending;
  }

  get repeats(): boolean {
    return (this.timeoutFlags & IORING_TIMEOUT_MULTISHOT) !== 0;
  }

  /** Whether it waits for completions of others. */
  get counts(): boolean {
    return this.count !== 0 && !this.repeats;
  }
}

/** IORING_OP_LINK_TIMEOUT: cancels the request before it after a time. */
export class LinkTimeoutRequest extends TimerRequest {
  /** The request that it limits; undefined once that has ended, or the time is over. */
  limited: Request | undefined;
  /** The request that it cancels, once the time is over. */
  cancelled: Request | undefined;
  readonly #lastOfChain: () => Request | undefined;

  /** @param lastOfChain - Returns the last request of the chain that is being submitted. */
  constructor(ring: RequestRing, lastOfChain: () => Request | undefined, entry: Entry) {
    super(ring, entry);
    this.#lastOfChain = lastOfChain;
  }

  override prepare(entry: Entry): number {
    if (entry.word(2) !== 0) return -ERRNO.EINVAL;
    const result = super.prepare(entry);
    if (result < 0) return result;
    const last = this.#lastOfChain();
    if (last === undefined || last instanceof LinkTimeoutRequest) return -ERRNO.EINVAL;
    this.limited = last;
    last.timeoutState = "prepared";
    return 0;
  }

  /** It starts with the request that it limits. */
  issue(): number {
    return -ERRNO.ECANCELED;
  }
}

/**
 * The timeouts of a ring.
 *
 * Source: io_uring/timeout.c.
 */
export class Timeouts implements Cancellable {
  /** The number of timeouts that have ended. Each of them ends a wait for completions. */
  ended = 0;
  readonly #world: World;
  readonly #rings: SharedRings;
  readonly #work: TaskWork;
  readonly #completions: Completions;
  /** Those that count completions are ordered by their targets. */
  #list: TimeoutRequest[] = [];
  readonly #limits: Set<LinkTimeoutRequest> = new Set();
  /** The tail of the queue when completions were last compared with targets. */
  #flushedTail = 0;
  #cancelOne: (criteria: Criteria) => number = () => -ERRNO.ENOENT;

  constructor(
    world: World,
    parts: {
      readonly rings: SharedRings;
      readonly work: TaskWork;
      readonly completions: Completions;
    },
  ) {
    this.#world = world;
    this.#rings = parts.rings;
    this.#work = parts.work;
    this.#completions = parts.completions;
  }

  /** @param cancelOne - Cancels a request of the ring whose time is over. */
  onExpiry(cancelOne: (criteria: Criteria) => number): void {
    this.#cancelOne = cancelOne;
  }

  /** Source: io_timeout. */
  add(request: TimeoutRequest): void {
    const list = this.#list;
    let index = list.length;
    if (request.counts) {
      const tail = this.#countedTail();
      request.target = (tail + request.count) >>> 0;
      this.#flushedTail = tail;
      while (index > 0) {
        const before = list[index - 1] as TimeoutRequest;
        if (before.counts && request.count >= (before.target - tail) >>> 0) break;
        index--;
      }
    }
    list.splice(index, 0, request);
    request.start(this.#world, () => this.#fired(request));
  }

  /** Completes the timeouts that have counted enough completions. Source: io_flush_timeouts. */
  flush(): void {
    const list = this.#list;
    if (list.length === 0) return;
    const tail = this.#countedTail();
    const got = (tail - this.#flushedTail) >>> 0;
    const over: TimeoutRequest[] = [];
    for (const request of list) {
      if (!request.counts || got < (request.target - this.#flushedTail) >>> 0) break;
      over.push(request);
    }
    for (const request of over) this.#kill(request);
    this.#flushedTail = tail;
    for (const request of over) this.#completeWith(request, 0);
  }

  cancelOne(criteria: Criteria): number {
    const request = this.#list.find((each) => matches(each, criteria));
    if (request === undefined) return -ERRNO.ENOENT;
    this.#remove(request);
    this.#completeWith(request, -ERRNO.ECANCELED);
    return 0;
  }

  /** A request with a limit was issued. Source: io_queue_linked_timeout. */
  startLimit(request: LinkTimeoutRequest): void {
    if (request.limited === undefined) return;
    this.#limits.add(request);
    request.start(this.#world, () => this.#limitReached(request));
  }

  /**
   * A request with a limit has ended.
   *
   * @returns Whether the limit is to be cancelled. Otherwise its time is over. Source: __io_disarm_linked_timeout.
   */
  stopLimit(request: LinkTimeoutRequest): boolean {
    if (request.limited === undefined) return false;
    request.limited = undefined;
    request.stop();
    this.#limits.delete(request);
    return true;
  }

  /** Ends all of them. The ring is being closed. */
  takeAll(): Request[] {
    const all: Request[] = [...this.#list, ...this.#limits];
    for (const request of [...this.#list, ...this.#limits]) request.stop();
    this.#list = [];
    this.#limits.clear();
    return all;
  }

  /** The completions of others. */
  #countedTail(): number {
    return (this.#rings.cqTail - this.ended) >>> 0;
  }

  /** Source: io_timeout_fn. */
  #fired(request: TimeoutRequest): void {
    this.#list = this.#list.filter((each) => each !== request);
    this.ended++;
    if ((request.timeoutFlags & IORING_TIMEOUT_ETIME_SUCCESS) === 0) request.setFailed();
    request.setResult(-ERRNO.ETIME, 0);
    this.#work.add(request, this.#expired);
  }

  /** Source: io_timeout_complete. */
  readonly #expired = (request: Request): void => {
    const timeout = request as TimeoutRequest;
    if (timeout.repeats && (timeout.count === 0 || --timeout.count > 0)) {
      if (this.#completions.post(timeout, -ERRNO.ETIME, IORING_CQE_F_MORE)) {
        this.#list.push(timeout);
        timeout.start(this.#world, () => this.#fired(timeout));
        return;
      }
    }
    this.#completions.complete(timeout);
  };

  /** Source: io_link_timeout_fn. */
  #limitReached(request: LinkTimeoutRequest): void {
    this.#limits.delete(request);
    request.cancelled = request.limited;
    request.limited = undefined;
    this.#work.add(request, this.#cancelLimited);
  }

  /** Source: io_req_task_link_timeout. */
  readonly #cancelLimited = (request: Request): void => {
    const limit = request as LinkTimeoutRequest;
    const { cancelled } = limit;
    limit.cancelled = undefined;
    let result = -ERRNO.ETIME;
    if (cancelled !== undefined) {
      if (cancelled.link === limit) cancelled.link = limit.link;
      limit.link = undefined;
      const { tagLow, tagHigh } = cancelled;
      const criteria = { flags: 0, tagLow, tagHigh, file: undefined, operation: 0, sequence: 0 };
      const failure = this.#cancelOne(criteria);
      if (failure < 0) result = failure;
    }
    limit.setResult(result, 0);
    this.#completions.complete(limit);
  };

  /** Source: io_kill_timeout. */
  #kill(request: TimeoutRequest): void {
    this.#remove(request);
    this.ended++;
  }

  #remove(request: TimeoutRequest): void {
    request.stop();
    this.#list = this.#list.filter((each) => each !== request);
  }

  #completeWith(request: TimeoutRequest, result: number): void {
    request.setResult(result, 0);
    if (result < 0) request.setFailed();
    this.#work.add(request, this.#complete);
  }

  readonly #complete = (request: Request): void => this.#completions.complete(request);
}

/** Reads a timespec, in milliseconds; undefined when it is not mapped, negative when it is not valid. */
export function readTimespec(memory: Memory, address: number): number | undefined {
  const view = memory.view(address, 16);
  if (view === undefined) return undefined;
  const seconds = view.getInt32(4, true) * 0x1_0000_0000 + view.getUint32(0, true);
  const nanoseconds = view.getInt32(12, true) * 0x1_0000_0000 + view.getUint32(8, true);
  return seconds < 0 || nanoseconds < 0 ? -1 : seconds * 1000 + nanoseconds / 1e6;
}

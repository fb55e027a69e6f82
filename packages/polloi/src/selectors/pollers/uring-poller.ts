/**
 * What io_uring's poll does that you must know.
 *
 * - A poll watches *once*: it looks, waits if there is nothing, and is over when it has told. Level
 *   triggering is made of such polls, asked for anew with the next wait. That is no call of its own: a
 *   hundred polls and the wait for them are one. Asking looks at once, so what stays ready is told again.
 * - A multishot poll (IORING_POLL_ADD_MULTI) tells each time that something happens, until a completion
 *   lacks IORING_CQE_F_MORE. That is an edge trigger.
 * - A poll *holds the open file*. A descriptor that is closed while it is polled stays open for the
 *   kernel: its peer sees no end, its port stays taken, and nobody is told. So: remove, then close.
 *   Removing cancels at once for that reason, and not with the next wait.
 * - A number goes to the kernel when the poll is submitted. One that was closed before says EBADF, here
 *   EVENT_ERROR, at every wait until it is removed.
 * - POLLERR and POLLHUP are always told, and POLLRDHUP too, asked for or not. A poll that says nothing
 *   else would, asked for anew, say so for ever: it is replaced by a multishot one until there is more.
 * - What lies in the queue since the last wait may be out of date. What is level-triggered is looked at
 *   again before it is told.
 * - A regular file is always ready, for reading and writing.
 * - EPOLLEXCLUSIVE is taken in a poll's mask and does what it does in epoll.
 * - The ring's own descriptor is no good to watch: {@link RingSignal} stands for it.
 *
 * Source: io_uring_enter(2), IORING_OP_POLL_ADD; io_uring_setup(2), IORING_SETUP_DEFER_TASKRUN.
 */
import { ERRNO } from "../../base/errno.ts";
import { EPOLLEXCLUSIVE } from "../../select/constants.ts";
import { deadlineOf, timeLeft } from "../../select/deadline.ts";
import { F_GETFD } from "../../sys/abi.ts";
import type { Kernel } from "../../sys/kernel.ts";
import { IORING_CQE_F_MORE } from "../../uring/constants.ts";
import { Ring } from "../../uring/ring.ts";
import {
  EVENT_ALL,
  EVENT_ERROR,
  EVENT_HANGUP,
  EVENT_READ,
  EVENT_WRITE,
  MODE_EDGE,
  MODE_EXCLUSIVE,
  MODE_ONE_SHOT,
} from "../events.ts";
import type { Poller, PollerCapabilities, ReadyBatch } from "../poller.ts";
import { eventsOf, maskOf } from "./poll-mask.ts";
import { type Polled, RingSignal } from "./ring-signal.ts";

/** Places for submissions. More polls than that are asked for in several calls. */
const ENTRIES = 512;
const UNASKED: number = EVENT_ERROR | EVENT_HANGUP;
/** What may be asked for exclusively: as epoll has it. */
const EXCLUSIVE: number = EVENT_READ | EVENT_WRITE | MODE_EDGE | MODE_EXCLUSIVE;
/** The tag of what is no poll: no slot has this number. */
const NO_SLOT = 0xffff_ffff;

/** A descriptor that is watched. */
interface Watch {
  readonly fd: number;
  readonly slot: number;
  interest: number;
  tag: number;
  /** The number of the poll that is with the kernel, 0 when there is none. Older ones are late. */
  poll: number;
  /** Whether it stands in the queue of those to be polled. */
  queued: boolean;
  /** Whether all that it had to say was not asked for: it is polled multishot. */
  wary: boolean;
  /** An edge that found no place in the batch of its wait. */
  late: number;
  /** Its place in the batch of this wait, or -1. */
  at: number;
}

/** The engine over io_uring's polls: one call for any number of changes and the wait. */
export class UringPoller implements Poller {
  readonly name = "io_uring";
  readonly capabilities: PollerCapabilities = {
    edge: true,
    oneShot: true,
    exclusive: true,
    peerClosed: true,
    hangup: true,
    regularFiles: true,
    maxFd: 0x7fffffff,
  };
  readonly #kernel: Kernel;
  readonly #ring: Ring;
  readonly #signal: RingSignal;
  readonly #byFd: Map<number, Watch> = new Map();
  readonly #bySlot: (Watch | undefined)[] = [];
  readonly #freeSlots: number[] = [];
  /** Those to be polled with the next call, the first at `#head`. */
  #queue: Watch[] = [];
  #head = 0;
  #late: Watch[] = [];
  readonly #reported: Watch[] = [];
  #polls = 0;
  /** What the completion that was taken last says. */
  #events = 0;

  /** @throws SysError of io_uring_setup, see {@link Ring}. */
  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#ring = new Ring({ entries: ENTRIES, kernel });
    this.#signal = new RingSignal(kernel, this.#ring);
  }

  /** An epoll set. It may be readable when nothing is ready any more, and never the other way round. */
  fileno(): number {
    if (this.#closed || this.#signal.fd >= 0) return this.#signal.fd;
    const fd = this.#signal.open(this.#polled());
    this.#rest();
    return fd;
  }

  add(fd: number, interest: number, tag: number): number {
    if (this.#closed) return -ERRNO.EBADF;
    if (isRefused(interest) || (fd >= 0 && fd === this.#signal.fd)) return -ERRNO.EINVAL;
    // Only the wait would say that it is closed; epoll says so at once.
    const open = this.#kernel.libc.fcntl(fd, F_GETFD, 0);
    if (open < 0) return open;
    if (this.#byFd.has(fd)) return -ERRNO.EEXIST;
    const signalled = this.#signal.add(fd, interest);
    if (signalled < 0) return signalled;
    const slot = this.#freeSlots.pop() ?? this.#bySlot.length;
    const watch = {
      ...{ fd, slot, interest, tag },
      ...{ poll: 0, queued: false, wary: false, late: 0, at: -1 },
    };
    this.#byFd.set(fd, watch);
    this.#bySlot[slot] = watch;
    this.#enqueue(watch);
    this.#rest();
    return 0;
  }

  modify(fd: number, interest: number, tag: number): number {
    if (this.#closed) return -ERRNO.EBADF;
    const watch = this.#byFd.get(fd);
    if (watch === undefined) {
      const open = this.#kernel.libc.fcntl(fd, F_GETFD, 0);
      return open < 0 ? open : -ERRNO.ENOENT;
    }
    if (((interest | watch.interest) & MODE_EXCLUSIVE) !== 0) return -ERRNO.EINVAL;
    const signalled = this.#signal.add(fd, interest);
    if (signalled < 0) return signalled;
    watch.interest = interest;
    watch.tag = tag;
    watch.wary = false;
    watch.late = 0;
    this.#disarm(watch);
    this.#enqueue(watch);
    this.#rest();
    return 0;
  }

  remove(fd: number): number {
    if (this.#closed) return -ERRNO.EBADF;
    const watch = this.#byFd.get(fd);
    if (watch === undefined) return -ERRNO.ENOENT;
    this.#byFd.delete(fd);
    this.#signal.remove(fd);
    this.#bySlot[watch.slot] = undefined;
    this.#freeSlots.push(watch.slot);
    this.#disarm(watch);
    // A poll holds its file open until it was cancelled, and its owner is about to close it.
    if (this.#ring.submissions.pending > 0) {
      do {
        if (this.#ring.enter(0, 0) < 0) break;
      } while (this.#ring.hasWork);
    }
    return 0;
  }

  wait(ready: ReadyBatch, timeoutMs: number): number {
    ready.count = 0;
    if (this.#closed) return -ERRNO.EBADF;
    this.#signal.stop();
    this.#recheck();
    const deadline = deadlineOf(timeoutMs);
    let left = timeoutMs;
    let result = 0;
    this.#reportLate(ready);
    while (ready.count < ready.capacity) {
      this.#arm(ready.capacity - ready.count);
      result = this.#enter(ready.count > 0 || this.#waiting > 0 ? 0 : left);
      this.#collect(ready);
      if (result < 0) break;
      if (this.#waiting > 0 || this.#ring.hasWork) continue;
      if (ready.count > 0 || left === 0) break;
      left = timeLeft(deadline);
    }
    // Those that found no place come before those that did, in the next wait.
    this.#recheck();
    for (const watch of this.#reported) {
      watch.at = -1;
      const again = (watch.interest & MODE_ONE_SHOT) === 0 && watch.poll === 0;
      if (again && this.#isWatched(watch)) this.#enqueue(watch);
    }
    this.#reported.length = 0;
    this.#rest();
    return ready.count > 0 ? ready.count : result;
  }

  close(): void {
    if (this.#closed) return;
    this.#signal.close();
    this.#ring.close();
    this.#byFd.clear();
    this.#bySlot.length = 0;
    this.#queue = [];
    this.#late = [];
  }

  get #closed(): boolean {
    return this.#ring.fileno() < 0;
  }

  /** How many are to be polled. */
  get #waiting(): number {
    return this.#queue.length - this.#head;
  }

  *#polled(): Iterable<Polled> {
    for (const { fd, interest } of this.#byFd.values()) yield [fd, interest];
  }

  #isWatched(watch: Watch): boolean {
    return this.#bySlot[watch.slot] === watch;
  }

  #enqueue(watch: Watch): void {
    if (watch.queued) return;
    watch.queued = true;
    this.#queue.push(watch);
  }

  /** Pushes polls for at most `room` of those that wait for it. */
  #arm(room: number): void {
    const { submissions } = this.#ring;
    const most = Math.min(room, submissions.room);
    for (let count = 0; count < most && this.#waiting > 0; ) {
      const watch = this.#queue[this.#head++] as Watch;
      watch.queued = false;
      if (watch.poll !== 0 || !this.#isWatched(watch)) continue;
      this.#polls = Math.max((this.#polls + 1) >>> 0, 1);
      watch.poll = this.#polls;
      const { fd, slot, interest, poll } = watch;
      const exclusive = (interest & MODE_EXCLUSIVE) !== 0 ? EPOLLEXCLUSIVE : 0;
      const mask = maskOf(interest) | exclusive;
      if (watch.wary || isEdge(watch)) submissions.pollMultishot(fd, mask, slot, poll);
      else submissions.poll(fd, mask, slot, poll);
      count++;
    }
    if (this.#waiting === 0) {
      this.#queue.length = 0;
      this.#head = 0;
    } else if (this.#head > ENTRIES && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Cancels what is with the kernel, with the next call. */
  #disarm(watch: Watch): void {
    if (watch.poll === 0) return;
    this.#ring.submissions.cancel(watch.slot, watch.poll, NO_SLOT, 0);
    watch.poll = 0;
  }

  /** Submits, and waits for a completion unless there is something to do. @returns 0 or `-errno`. */
  #enter(timeoutMs: number): number {
    const ring = this.#ring;
    if (timeoutMs === 0 && ring.submissions.pending === 0 && !ring.hasWork) return 0;
    const result = timeoutMs === 0 ? ring.enter(0, 0) : ring.enter(1, timeoutMs);
    return result < 0 && !ring.isWaitOver(result) ? result : 0;
  }

  /** Reports the completions, as far as `ready` has places. */
  #collect(ready: ReadyBatch): void {
    const { completions } = this.#ring;
    while (ready.count < ready.capacity && completions.length > 0) {
      const watch = this.#next();
      if (watch === undefined) continue;
      this.#report(ready, watch, this.#events);
      if (isEdge(watch)) continue;
      watch.wary = false;
      this.#disarm(watch);
    }
    completions.publish();
  }

  /** Takes completions that are not reported now: levels are looked at again, edges are kept. */
  #recheck(): void {
    const { completions } = this.#ring;
    if (completions.length === 0) return;
    while (completions.length > 0) {
      const watch = this.#next();
      if (watch === undefined) continue;
      if (isEdge(watch)) {
        if (watch.late === 0) this.#late.push(watch);
        watch.late |= this.#events;
        if (watch.poll === 0) this.#enqueue(watch);
      } else {
        this.#disarm(watch);
        this.#enqueue(watch);
      }
    }
    completions.publish();
  }

  /** Takes the next completion. @returns Of whom it is, when it says something: `#events`. */
  #next(): Watch | undefined {
    const { completions } = this.#ring;
    const at = completions.next();
    const watch = this.#bySlot[completions.tagLow(at)];
    const current = watch !== undefined && watch.poll === completions.tagHigh(at);
    const result = completions.result(at);
    const more = (completions.flags(at) & IORING_CQE_F_MORE) !== 0;
    completions.skip();
    if (!current) return undefined;
    if (!more) watch.poll = 0;
    const told = result < 0 ? EVENT_ERROR : eventsOf(result);
    this.#events = told & ((watch.interest & EVENT_ALL) | UNASKED);
    if (this.#events !== 0) return watch;
    if (!more) {
      watch.wary = true;
      this.#enqueue(watch);
    }
    return undefined;
  }

  #report(ready: ReadyBatch, watch: Watch, events: number): void {
    if (watch.at >= 0) {
      ready.events[watch.at] = (ready.events[watch.at] as number) | events;
      return;
    }
    watch.at = ready.count++;
    ready.tags[watch.at] = watch.tag;
    ready.events[watch.at] = events;
    this.#reported.push(watch);
  }

  #reportLate(ready: ReadyBatch): void {
    if (this.#late.length === 0) return;
    const late = this.#late;
    this.#late = [];
    for (const watch of late) {
      if (watch.late === 0 || !this.#isWatched(watch)) continue;
      if (ready.count === ready.capacity) {
        this.#late.push(watch);
      } else {
        this.#report(ready, watch, watch.late);
        watch.late = 0;
      }
    }
  }

  /** Whoever watches the eventfd is to hear of everything: nothing may wait for the next wait. */
  #rest(): void {
    if (this.#signal.fd < 0) return;
    while (this.#waiting > 0) {
      this.#arm(ENTRIES);
      if (this.#ring.submit() <= 0) break;
    }
    const came = this.#signal.start();
    if (came || this.#late.length > 0 || this.#waiting > 0) this.#signal.tell();
  }
}

/** One-shot polls are edge enough for what is to be told once only. */
function isEdge({ interest }: Watch): boolean {
  return (interest & (MODE_EDGE | MODE_ONE_SHOT)) === MODE_EDGE;
}

function isRefused(interest: number): boolean {
  return (interest & MODE_EXCLUSIVE) !== 0 && (interest & ~EXCLUSIVE) !== 0;
}

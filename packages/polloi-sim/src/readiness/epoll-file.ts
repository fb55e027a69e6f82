import {
  EPOLLERR,
  EPOLLET,
  EPOLLEXCLUSIVE,
  EPOLLHUP,
  EPOLLIN,
  EPOLLONESHOT,
  EPOLLOUT,
  EPOLLRDNORM,
  EPOLLWAKEUP,
  ERRNO,
} from "polloi/internal/pure";
import type { Waiter } from "../base/wait-queue.ts";
import type { World } from "../base/world.ts";
import { type Follower, OpenFile } from "../process/open-file.ts";

/** The bits that are no events. Source: fs/eventpoll.c, EP_PRIVATE_BITS. */
const PRIVATE_BITS: number = EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE;
/** Reported whether asked for or not. */
const ALWAYS: number = EPOLLERR | EPOLLHUP;
/** The deepest nesting of sets in sets. Source: fs/eventpoll.c, EP_MAX_NESTS. */
const MAX_NESTS = 4;
/** The most positions that an item moves forward in the ready list, when the seed decides its order. */
const MAX_MOVE = 8;

/** What a program has given with a descriptor: a mask and 64 bits. Source: struct epoll_event. */
export interface EventData {
  /** EPOLL* bits. */
  readonly events: number;
  readonly low: number;
  readonly high: number;
}

/** A descriptor in an epoll set. Source: fs/eventpoll.c, struct epitem. */
export class EpollItem implements Waiter, Follower {
  readonly set: EpollFile;
  readonly file: OpenFile;
  readonly fd: number;
  readonly isExclusive: boolean;
  events: number;
  low: number;
  high: number;
  /** Whether it is in the ready list. */
  isReady = false;
  /** Whether it is no longer in the set. It may still be in the ready list. */
  isRemoved = false;

  constructor(set: EpollFile, file: OpenFile, fd: number, { events, low, high }: EventData) {
    this.set = set;
    this.file = file;
    this.fd = fd;
    this.isExclusive = (events & EPOLLEXCLUSIVE) !== 0;
    this.events = events | ALWAYS;
    this.low = low;
    this.high = high;
  }

  /** The events that hold now, of those asked for. */
  poll(): number {
    return this.file.poll() & this.events;
  }

  wake(mask: number): boolean {
    return this.set.woken(this, mask);
  }

  fileReleased(): void {
    this.set.remove(this);
  }
}

/**
 * An epoll set.
 *
 * @remarks
 * The ready list has the items that may be ready, in the order in which their files were woken. A wait polls each
 * item again, and reports it only if it is ready. Source: epoll(7); fs/eventpoll.c.
 */
export class EpollFile extends OpenFile {
  override readonly kind = "anon_inode:[eventpoll]";
  /** Whether a process sleeps in epoll_wait. */
  isWaitedFor = false;
  readonly #world: World;
  /** By descriptor. A number that was closed and is used again can have more than one. */
  readonly #items: Map<number, EpollItem[]> = new Map();
  /** May contain items that were removed. */
  #ready: EpollItem[] = [];
  #readyCount = 0;
  /** The items of other sets that this one is in. */
  readonly #outer: Set<EpollItem> = new Set();

  constructor(world: World) {
    super();
    this.#world = world;
  }

  /** Whether there may be events. */
  get hasReady(): boolean {
    return this.#readyCount > 0;
  }

  /** Whether an item is ready. Items that are not leave the ready list. Source: __ep_eventpoll_poll. */
  poll(): number {
    let count = 0;
    let mask = 0;
    for (const item of this.#ready) {
      if (!item.isRemoved) {
        if (item.poll() !== 0) {
          mask = EPOLLIN | EPOLLRDNORM;
          break;
        }
        this.#unmark(item);
      }
      count++;
    }
    if (count > 0) this.#ready.splice(0, count);
    return mask;
  }

  /** It knows requests of its own only, which polloi does not make. Source: fs/eventpoll.c, ep_eventpoll_ioctl, since Linux 6.9. */
  override ioctl(): number {
    return -ERRNO.EINVAL;
  }

  find(file: OpenFile, fd: number): EpollItem | undefined {
    return this.#items.get(fd)?.find((item) => item.file === file);
  }

  /** EPOLL_CTL_ADD. Source: fs/eventpoll.c, ep_insert. */
  add(file: OpenFile, fd: number, data: EventData): number {
    const { faults } = this.#world;
    if (faults.happens("noMemory")) return -ERRNO.ENOMEM;
    const item = new EpollItem(this, file, fd, data);
    const same = this.#items.get(fd);
    if (same === undefined) this.#items.set(fd, [item]);
    else same.push(item);
    if (file instanceof EpollFile) file.#outer.add(item);
    file.follow(item);
    file.waiters.add(item);
    this.#recheck(item);
    return 0;
  }

  /** EPOLL_CTL_MOD. Source: fs/eventpoll.c, ep_modify. */
  modify(item: EpollItem, { events, low, high }: EventData): void {
    item.events = events | ALWAYS;
    item.low = low;
    item.high = high;
    this.#recheck(item);
  }

  /** EPOLL_CTL_DEL, or the last descriptor of the file was closed. Source: fs/eventpoll.c, __ep_remove. */
  remove(item: EpollItem): void {
    if (item.isRemoved) return;
    if (item.isReady) this.#unmark(item);
    item.isRemoved = true;
    const { file, fd } = item;
    file.waiters.remove(item);
    file.unfollow(item);
    if (file instanceof EpollFile) file.#outer.delete(item);
    const same = this.#items.get(fd) as EpollItem[];
    if (same.length === 1) this.#items.delete(fd);
    else same.splice(same.indexOf(item), 1);
  }

  /**
   * The file of an item may be ready. Source: fs/eventpoll.c, ep_poll_callback.
   *
   * @returns Whether the item takes an exclusive wake-up: only if a process waits for this set.
   */
  woken(item: EpollItem, mask: number): boolean {
    const { events } = item;
    const isAsked = (events & ~PRIVATE_BITS) !== 0 && (mask === 0 || (mask & events) !== 0);
    if (!isAsked) return !item.isExclusive;
    this.#append(item);
    const takes = !item.isExclusive || (this.isWaitedFor && isMeantFor(mask, events));
    this.isWaitedFor = false;
    this.waiters.wake(EPOLLIN);
    return takes;
  }

  /**
   * Reports events, and moves level-triggered items to the end of the ready list. Source: fs/eventpoll.c,
   * ep_send_events.
   *
   * @param put - Stores an event. Returns false where there is no memory.
   * @returns The number of events, or `-EFAULT`.
   */
  send(maxEvents: number, put: (index: number, mask: number, data: EventData) => boolean): number {
    if (this.#world.faults.happens("spurious")) this.#wakeAgain();
    const scanned = this.#ready;
    this.#ready = [];
    let count = 0;
    let at = 0;
    let result = 0;
    for (; at < scanned.length && count < maxEvents; at++) {
      const item = scanned[at] as EpollItem;
      if (item.isRemoved) continue;
      const mask = item.poll();
      if (mask !== 0) {
        if (!put(count, mask, item)) {
          result = -ERRNO.EFAULT;
          break;
        }
        count++;
      }
      this.#unmark(item);
      if (mask === 0) continue;
      if ((item.events & EPOLLONESHOT) !== 0) item.events &= PRIVATE_BITS;
      else if ((item.events & EPOLLET) === 0) this.#append(item, false);
    }
    // The rest is reported first by the next wait.
    if (at < scanned.length) this.#ready = [...scanned.slice(at), ...this.#ready];
    return count > 0 ? count : result;
  }

  /**
   * Whether `inner` may be added: without a loop, and not nested too deep. Source: fs/eventpoll.c, ep_loop_check.
   */
  canHold(inner: EpollFile): boolean {
    const below = inner.#depthBelow(this);
    return below <= MAX_NESTS && below + 1 + this.#depthAbove() <= MAX_NESTS;
  }

  protected released(): void {
    for (const items of [...this.#items.values()]) {
      for (const item of [...items]) this.remove(item);
    }
  }

  #depthBelow(top: EpollFile): number {
    let depth = 0;
    for (const items of this.#items.values()) {
      for (const { file } of items) {
        if (!(file instanceof EpollFile)) continue;
        depth = Math.max(depth, file === top ? MAX_NESTS + 1 : file.#depthBelow(top) + 1);
      }
    }
    return depth;
  }

  #depthAbove(): number {
    let depth = 0;
    for (const { set } of this.#outer) depth = Math.max(depth, set.#depthAbove() + 1);
    return depth;
  }

  /** Puts an item into the ready list if it is ready now. */
  #recheck(item: EpollItem): void {
    if (item.poll() === 0 || item.isReady) return;
    this.#append(item);
    this.isWaitedFor = false;
    this.waiters.wake(EPOLLIN);
  }

  #append(item: EpollItem, mayMove = true): void {
    if (item.isReady) return;
    item.isReady = true;
    this.#readyCount++;
    const ready = this.#ready;
    const { choices, faults } = this.#world;
    // Two files may be woken by two processors at the same time.
    if (mayMove && ready.length > 0 && faults.happens("readyOrder")) {
      ready.splice(ready.length - 1 - choices.below(Math.min(ready.length, MAX_MOVE)), 0, item);
    } else ready.push(item);
  }

  #unmark(item: EpollItem): void {
    item.isReady = false;
    this.#readyCount--;
  }

  /**
   * An edge-triggered socket that is still ready is reported again, as after a wake-up that changes nothing: more
   * bytes, or an acknowledgement.
   */
  #wakeAgain(): void {
    const candidates = [...this.#items.values()]
      .flat()
      .filter(
        ({ events, file }) =>
          (events & EPOLLET) !== 0 && (events & ~PRIVATE_BITS) !== 0 && file.kind === "socket",
      );
    const item = this.#world.choices.pick(candidates);
    if (item !== undefined) this.#append(item);
  }
}

/** Whether an exclusive item is waited for because of this wake-up. */
function isMeantFor(mask: number, events: number): boolean {
  switch (mask & (EPOLLIN | EPOLLOUT)) {
    case EPOLLIN:
      return (events & EPOLLIN) !== 0;
    case EPOLLOUT:
      return (events & EPOLLOUT) !== 0;
    case 0:
      return true;
    default:
      return false;
  }
}

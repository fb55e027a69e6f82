import {
  EPOLL_CLOEXEC,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLL_EVENT,
  EPOLLERR,
  EPOLLET,
  EPOLLEXCLUSIVE,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLWAKEUP,
  ERRNO,
  type Libc,
  type Native,
  SYS,
} from "polloi/internal/pure";
import type { Process } from "../process/process.ts";
import { EpollFile, type EventData } from "./epoll-file.ts";
import { sleep, timeoutAt } from "./timeouts.ts";

const EVENT_BYTES: number = EPOLL_EVENT.stride * 4;
const AT_DATA: number = EPOLL_EVENT.data * 4;
/** The most events of one wait. Source: fs/eventpoll.c, EP_MAX_EVENTS. */
const MAX_EVENTS: number = Math.floor(0x7fff_ffff / EVENT_BYTES);
/** What may be combined with EPOLLEXCLUSIVE. Source: fs/eventpoll.c, EPOLLEXCLUSIVE_OK_BITS. */
const EXCLUSIVE_BITS: number =
  EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
const SIGSET_BYTES = 8;

type Calls = "epoll_create1" | "epoll_ctl" | "epoll_wait";

/** Source: epoll_create(2), epoll_ctl(2), epoll_wait(2); fs/eventpoll.c. */
export function epollCalls(process: Process): {
  readonly calls: Pick<Libc, Calls>;
  readonly numbered: () => Record<number, Native>;
} {
  const { descriptors, memory, world } = process;

  const eventAt = (address: number): EventData | undefined => {
    const arena = memory.find(address);
    if (arena === undefined) return undefined;
    const { view } = arena;
    const at = address - arena.address;
    if (at + EVENT_BYTES > arena.byteLength) return undefined;
    return {
      events: view.getInt32(at, true),
      low: view.getUint32(at + AT_DATA, true),
      high: view.getUint32(at + AT_DATA + 4, true),
    };
  };

  const control = (epoll: number, operation: number, fd: number, event: number): number => {
    const data = operation === EPOLL_CTL_DEL ? NO_EVENT : eventAt(event);
    if (data === undefined) return -ERRNO.EFAULT;
    const set = descriptors.get(epoll);
    const file = descriptors.get(fd);
    if (set === undefined || file === undefined) return -ERRNO.EBADF;
    if (!file.isPollable) return -ERRNO.EPERM;
    if (set === file || !(set instanceof EpollFile)) return -ERRNO.EINVAL;
    const isExclusive = (data.events & EPOLLEXCLUSIVE) !== 0;
    if (isExclusive && operation === EPOLL_CTL_MOD) return -ERRNO.EINVAL;
    if (operation === EPOLL_CTL_ADD) {
      const isRefused = file instanceof EpollFile || (data.events & ~EXCLUSIVE_BITS) !== 0;
      if (isExclusive && isRefused) return -ERRNO.EINVAL;
      if (file instanceof EpollFile && !set.canHold(file)) return -ERRNO.ELOOP;
    }
    const item = set.find(file, fd);
    switch (operation) {
      case EPOLL_CTL_ADD:
        return item === undefined ? set.add(file, fd, data) : -ERRNO.EEXIST;
      case EPOLL_CTL_DEL:
        if (item === undefined) return -ERRNO.ENOENT;
        set.remove(item);
        return 0;
      case EPOLL_CTL_MOD:
        if (item === undefined) return -ERRNO.ENOENT;
        if (item.isExclusive) return -ERRNO.EINVAL;
        set.modify(item, data);
        return 0;
      default:
        return -ERRNO.EINVAL;
    }
  };

  const wait = (fd: number, address: number, maxEvents: number, timeoutMs: number): number => {
    const set = descriptors.get(fd);
    if (set === undefined) return -ERRNO.EBADF;
    if (maxEvents <= 0 || maxEvents > MAX_EVENTS || !(set instanceof EpollFile)) {
      return -ERRNO.EINVAL;
    }
    const put = (index: number, mask: number, { low, high }: EventData): boolean => {
      const arena = memory.find(address);
      if (arena === undefined) return false;
      const at = address - arena.address + index * EVENT_BYTES;
      if (at + EVENT_BYTES > arena.byteLength) return false;
      arena.view.setUint32(at, mask, true);
      arena.view.setUint32(at + AT_DATA, low, true);
      arena.view.setUint32(at + AT_DATA + 4, high, true);
      return true;
    };
    const deadline = timeoutMs > 0 ? world.timeIn(timeoutMs) : 0;
    for (;;) {
      if (set.hasReady) {
        const count = set.send(maxEvents, put);
        if (count !== 0) return count;
      }
      if (timeoutMs === 0 || world.now() >= deadline) return 0;
      set.isWaitedFor = true;
      const slept = sleep(world, () => set.hasReady, deadline);
      set.isWaitedFor = false;
      // Events come first.
      if (slept < 0 && !set.hasReady) return slept;
    }
  };

  return {
    calls: {
      epoll_create1(flags) {
        if ((flags & ~EPOLL_CLOEXEC) !== 0) return -ERRNO.EINVAL;
        if (world.faults.happens("noMemory")) return -ERRNO.ENOMEM;
        return process.open(new EpollFile(world), (flags & EPOLL_CLOEXEC) !== 0);
      },
      epoll_ctl: control,
      epoll_wait: (fd, events, maxEvents, timeoutMs) =>
        wait(fd, events, maxEvents, timeoutMs < 0 ? Number.POSITIVE_INFINITY : timeoutMs),
    },
    numbered: () => ({
      [SYS.epoll_pwait2](fd = 0, events = 0, maxEvents = 0, timeout = 0, signals = 0, size = 0) {
        const timeoutMs = timeoutAt(memory, timeout);
        if (timeoutMs < 0) return timeoutMs;
        if (signals !== 0 && size !== SIGSET_BYTES) return -ERRNO.EINVAL;
        return wait(fd, events, maxEvents, timeoutMs);
      },
    }),
  };
}

const NO_EVENT: EventData = { events: 0, low: 0, high: 0 };

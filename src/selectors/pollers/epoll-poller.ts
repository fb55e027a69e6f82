/**
 * What epoll does that you must know.
 *
 * - It watches *open file descriptions*, not descriptors. A descriptor that was dup'ed stays in the set
 *   after it is closed, and then reports under a number that is no longer yours. So: remove, then close.
 * - The 64 bits that come back with an event are whatever was put in. Here: the caller's tag.
 * - EPOLLERR and EPOLLHUP are always reported, asked for or not. Level-triggered, with no interest left,
 *   they come back at every wait until the descriptor is closed or removed.
 * - Edge-triggered, an event means that something *happened*; read until would-block or it is lost.
 * - A regular file is always ready, which epoll expresses by refusing it: EPERM.
 * - EPOLLEXCLUSIVE can be given when adding only; modify refuses such a descriptor: EINVAL.
 * - An epoll set can be watched itself. That is how the reactor sits in another event loop.
 *
 * Source: epoll(7), epoll_ctl(2), epoll_wait(2), epoll_pwait2(2).
 */
import { ERRNO } from "../../base/errno.ts";
import { check } from "../../base/sys-error.ts";
import {
  EPOLL_CLOEXEC,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLERR,
  EPOLLET,
  EPOLLEXCLUSIVE,
  EPOLLHUP,
  EPOLLIN,
  EPOLLONESHOT,
  EPOLLOUT,
  EPOLLPRI,
  EPOLLRDHUP,
} from "../../select/constants.ts";
import { EPOLL_EVENT, SYS } from "../../sys/abi.ts";
import type { Arena } from "../../sys/arena.ts";
import type { Kernel } from "../../sys/kernel.ts";
import {
  EVENT_ERROR,
  EVENT_HANGUP,
  EVENT_PEER_CLOSED,
  EVENT_PRIORITY,
  EVENT_READ,
  EVENT_WRITE,
  MODE_EDGE,
  MODE_EXCLUSIVE,
  MODE_ONE_SHOT,
} from "../events.ts";
import type { Poller, PollerCapabilities, ReadyBatch } from "../poller.ts";

/** Events taken in one call. More stay in the kernel for the next. */
const BATCH = 1024;

/** The engine over epoll: the cost of a wait follows the number of ready descriptors, not of watched ones. */
export class EpollPoller implements Poller {
  readonly name = "epoll";
  readonly capabilities: PollerCapabilities = {
    edge: true,
    oneShot: true,
    exclusive: true,
    peerClosed: true,
    regularFiles: false,
    maxFd: 0x7fffffff,
  };
  readonly #kernel: Kernel;
  readonly #events: Arena;
  #fd: number;

  /** @throws SysError `EMFILE`, `ENFILE` or `ENOMEM` when there is no descriptor or memory for the set. */
  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#fd = check(kernel.libc.epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    this.#events = kernel.arenas.map(BATCH * EPOLL_EVENT.stride * 4);
  }

  fileno(): number {
    return this.#fd;
  }

  add(fd: number, interest: number, tag: number): number {
    return this.#control(EPOLL_CTL_ADD, fd, interest, tag);
  }

  modify(fd: number, interest: number, tag: number): number {
    return this.#control(EPOLL_CTL_MOD, fd, interest, tag);
  }

  remove(fd: number): number {
    return this.#control(EPOLL_CTL_DEL, fd, 0, 0);
  }

  wait(ready: ReadyBatch, timeoutMs: number): number {
    const { stride, data } = EPOLL_EVENT;
    const words = this.#events.u32;
    const count = this.#wait(Math.min(ready.capacity, BATCH), timeoutMs);
    for (let i = 0, at = 0; i < count; i++, at += stride) {
      ready.events[i] = eventsOf(words[at] as number);
      ready.tags[i] = words[at + data] as number;
    }
    ready.count = Math.max(count, 0);
    return count;
  }

  close(): void {
    if (this.#fd < 0) return;
    this.#kernel.libc.close(this.#fd);
    this.#kernel.arenas.release(this.#events);
    this.#fd = -1;
  }

  #control(operation: number, fd: number, interest: number, tag: number): number {
    const { libc, scratch } = this.#kernel;
    scratch.u32[0] = maskOf(interest);
    scratch.u32[EPOLL_EVENT.data] = tag;
    scratch.u32[EPOLL_EVENT.data + 1] = 0;
    return libc.epoll_ctl(this.#fd, operation, fd, scratch.address);
  }

  #wait(maxEvents: number, timeoutMs: number): number {
    const { libc } = this.#kernel;
    const { address } = this.#events;
    let count = this.#waitOnce(maxEvents, timeoutMs);
    if (count !== -ERRNO.EINTR) return count;
    // A signal came. Go on with what is left of the time, and look once more when it is up.
    const deadline = performance.now() + timeoutMs;
    while (count === -ERRNO.EINTR) {
      const left = timeoutMs < 0 ? -1 : Math.max(0, deadline - performance.now());
      count =
        left > 0
          ? this.#waitOnce(maxEvents, left)
          : libc.epoll_wait(this.#fd, address, maxEvents, left);
    }
    return count;
  }

  #waitOnce(maxEvents: number, timeoutMs: number): number {
    const { libc, scratch } = this.#kernel;
    const { address } = this.#events;
    if (Number.isInteger(timeoutMs)) {
      return libc.epoll_wait(this.#fd, address, maxEvents, timeoutMs);
    }
    scratch.setTimespec(0, timeoutMs);
    const count = libc.syscall(
      SYS.epoll_pwait2,
      this.#fd,
      address,
      maxEvents,
      scratch.address,
      0,
      0,
    );
    // Before Linux 5.11 there are only whole milliseconds: round up, so that no wait ends early.
    if (count !== -ERRNO.ENOSYS) return count;
    return libc.epoll_wait(this.#fd, address, maxEvents, Math.ceil(timeoutMs));
  }
}

/** EVENT_* and MODE_* as epoll's own mask. */
function maskOf(interest: number): number {
  return (
    ((interest & EVENT_READ) !== 0 ? EPOLLIN : 0) |
    ((interest & EVENT_WRITE) !== 0 ? EPOLLOUT : 0) |
    ((interest & EVENT_PRIORITY) !== 0 ? EPOLLPRI : 0) |
    ((interest & EVENT_PEER_CLOSED) !== 0 ? EPOLLRDHUP : 0) |
    ((interest & MODE_EDGE) !== 0 ? EPOLLET : 0) |
    ((interest & MODE_ONE_SHOT) !== 0 ? EPOLLONESHOT : 0) |
    ((interest & MODE_EXCLUSIVE) !== 0 ? EPOLLEXCLUSIVE : 0)
  );
}

/** Epoll's mask as EVENT_*. */
function eventsOf(mask: number): number {
  return (
    ((mask & EPOLLIN) !== 0 ? EVENT_READ : 0) |
    ((mask & EPOLLOUT) !== 0 ? EVENT_WRITE : 0) |
    ((mask & EPOLLPRI) !== 0 ? EVENT_PRIORITY : 0) |
    ((mask & EPOLLRDHUP) !== 0 ? EVENT_PEER_CLOSED : 0) |
    ((mask & EPOLLERR) !== 0 ? EVENT_ERROR : 0) |
    ((mask & EPOLLHUP) !== 0 ? EVENT_HANGUP : 0)
  );
}

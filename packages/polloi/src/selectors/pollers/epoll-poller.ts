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
import { EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD } from "../../select/constants.ts";
import { EpollSet } from "../../select/epoll-set.ts";
import type { Kernel } from "../../sys/kernel.ts";
import type { Poller, PollerCapabilities, ReadyBatch } from "../poller.ts";

/** The engine over epoll: the cost of a wait follows the number of ready descriptors, not of watched ones. */
export class EpollPoller implements Poller {
  readonly name = "epoll";
  readonly capabilities: PollerCapabilities = {
    edge: true,
    oneShot: true,
    exclusive: true,
    peerClosed: true,
    hangup: true,
    regularFiles: false,
    maxFd: 0x7fffffff,
  };
  readonly #set: EpollSet;

  /** @throws SysError `EMFILE`, `ENFILE` or `ENOMEM` when there is no descriptor or memory for the set. */
  constructor(kernel: Kernel) {
    this.#set = EpollSet.create(kernel);
  }

  fileno(): number {
    return this.#set.fd;
  }

  add(fd: number, interest: number, tag: number): number {
    return this.#set.control(EPOLL_CTL_ADD, fd, interest, tag);
  }

  modify(fd: number, interest: number, tag: number): number {
    return this.#set.control(EPOLL_CTL_MOD, fd, interest, tag);
  }

  remove(fd: number): number {
    return this.#set.control(EPOLL_CTL_DEL, fd, 0, 0);
  }

  wait(ready: ReadyBatch, timeoutMs: number): number {
    const set = this.#set;
    const count = set.wait(ready.capacity, timeoutMs);
    for (let i = 0; i < count; i++) {
      ready.masks[i] = set.maskAt(i);
      ready.tags[i] = set.tagAt(i);
    }
    ready.count = Math.max(count, 0);
    return count;
  }

  close(): void {
    this.#set.close();
  }
}

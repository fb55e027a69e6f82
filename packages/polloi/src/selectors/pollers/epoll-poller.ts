/**
 * Properties of epoll that its users must know:
 *
 * - It watches *open file descriptions*, not descriptors. A descriptor that was duplicated stays in the set
 *   after it is closed, and then reports under a number that may belong to another file. So remove a
 *   descriptor before closing it.
 * - The 64 bits that come back with an event are those that were passed in: here the caller's tag.
 * - EPOLLERR and EPOLLHUP are always reported. When level-triggered, they are reported at every wait until
 *   the descriptor is closed or removed, even with an empty interest.
 * - When edge-triggered, an event reports a change. Read until would-block, or no further event comes.
 * - epoll refuses regular files with EPERM, because they are always ready.
 * - EPOLLEXCLUSIVE can only be given when adding. Modifying such a descriptor fails with EINVAL.
 * - An epoll set can be watched itself. The reactor uses that to run in another event loop.
 *
 * Source: epoll(7), epoll_ctl(2), epoll_wait(2), epoll_pwait2(2).
 */
import { EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD } from "../../select/constants.ts";
import { EpollSet } from "../../select/epoll-set.ts";
import type { Kernel } from "../../sys/kernel.ts";
import type { Poller, PollerCapabilities, ReadyBatch } from "../poller.ts";

/** The poller over epoll. A wait costs as much as there are ready descriptors, however many are watched. */
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

  wait(ready: ReadyBatch, timeoutMs: number, now?: number): number {
    const set = this.#set;
    const count = set.wait(ready.capacity, timeoutMs, now);
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

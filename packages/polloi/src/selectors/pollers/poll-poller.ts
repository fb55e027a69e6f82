/**
 * Properties of poll that its users must know:
 *
 * - It watches *descriptors*, and keeps no state between two calls. The whole list is passed each time, so
 *   a wait costs as much as there are descriptors in it, ready or not. Changes to the list cost nothing.
 * - A descriptor that was closed while in the list does not fail the call: its entry reports POLLNVAL,
 *   at every wait until it is removed. One that was closed and opened anew is
 *   watched as whatever it is now.
 * - POLLERR and POLLHUP are always reported, asked for or not, at every wait until removed.
 * - It is level-triggered, without one-shot or exclusive watches.
 * - A regular file is always ready, for reading and writing.
 * - The call fails with EINVAL if the list is longer than the limit on open descriptors.
 * - The kernel returns how many are ready, not which. The scan starts where the last one stopped, so that
 *   none starves when more are ready than one batch holds.
 *
 * Source: poll(2).
 */
import { ERRNO } from "../../base/errno.ts";
import { PollSet } from "../../select/poll-set.ts";
import { F_GETFD } from "../../sys/abi.ts";
import type { Kernel } from "../../sys/kernel.ts";
import { INTEREST_BITS, type Poller, type PollerCapabilities, type ReadyBatch } from "../poller.ts";

/** The poller over poll: no limit on descriptors, and no state in the kernel. */
export class PollPoller implements Poller {
  readonly name = "poll";
  readonly capabilities: PollerCapabilities = {
    edge: false,
    oneShot: false,
    exclusive: false,
    peerClosed: true,
    hangup: true,
    regularFiles: true,
    maxFd: 0x7fffffff,
  };
  readonly #kernel: Kernel;
  readonly #set: PollSet;
  /** Where the next scan starts. */
  #cursor = 0;
  #closed = false;

  /** @throws SysError `ENOMEM` when there is no memory for the list. */
  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#set = new PollSet(kernel);
  }

  fileno(): number {
    return -1;
  }

  add(fd: number, interest: number, tag: number): number {
    if (this.#closed) return -ERRNO.EBADF;
    if ((interest & ~INTEREST_BITS) !== 0) return -ERRNO.EINVAL;
    // poll would report only at the wait that it is closed; epoll_ctl reports it at once.
    const open = this.#kernel.libc.fcntl(fd, F_GETFD, 0);
    if (open < 0) return open;
    if (this.#set.has(fd)) return -ERRNO.EEXIST;
    return this.#set.set(fd, interest, tag);
  }

  modify(fd: number, interest: number, tag: number): number {
    if (this.#closed) return -ERRNO.EBADF;
    if ((interest & ~INTEREST_BITS) !== 0) return -ERRNO.EINVAL;
    if (!this.#set.has(fd)) return -ERRNO.ENOENT;
    return this.#set.set(fd, interest, tag);
  }

  remove(fd: number): number {
    if (this.#closed) return -ERRNO.EBADF;
    return this.#set.delete(fd) ? 0 : -ERRNO.ENOENT;
  }

  wait(ready: ReadyBatch, timeoutMs: number): number {
    ready.count = 0;
    if (this.#closed) return -ERRNO.EBADF;
    const found = this.#set.wait(timeoutMs);
    if (found <= 0) return found;
    ready.count = this.#collect(ready, Math.min(found, ready.capacity));
    return ready.count;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#set.close();
  }

  /** Fills `ready` with the next `wanted` ready descriptors. There are at least this many. */
  #collect(ready: ReadyBatch, wanted: number): number {
    const set = this.#set;
    const { size } = set;
    let index = this.#cursor < size ? this.#cursor : 0;
    let count = 0;
    for (let looked = 0; looked < size && count < wanted; looked++) {
      const mask = set.returnedAt(index);
      if (mask !== 0) {
        ready.masks[count] = mask;
        ready.tags[count] = set.tagAt(index);
        count++;
      }
      if (++index === size) index = 0;
    }
    this.#cursor = index;
    return count;
  }
}

/**
 * Properties of select that its users must know:
 *
 * - Its sets have 1,024 bits. A descriptor above 1,023 has no bit, however few are watched.
 * - It watches *descriptors*, and keeps no state between two calls. The sets are passed each time, and a
 *   wait costs as much as the highest descriptor in them.
 * - The kernel overwrites the sets with the result.
 * - One closed descriptor fails the whole call with EBADF, which does not say which one it is. The wait then
 *   searches for it, reports it as POLLNVAL, and reports the others as usual.
 * - Errors and hang-ups are not distinguished: both appear as readable, errors as writable as well. A
 *   descriptor with an empty interest is not reported at all, and a peer that closed its half appears as
 *   readable.
 * - It is level-triggered, without one-shot or exclusive watches.
 * - A regular file is always ready, for reading and writing.
 * - The scan starts where the last one stopped, so that none starves when more are ready than one batch
 *   holds.
 *
 * Source: select(2), select_tut(2).
 */
import { ERRNO } from "../../base/errno.ts";
import { POLLIN, POLLNVAL, POLLOUT, POLLPRI } from "../../select/constants.ts";
import { EXCEPTIONAL, READERS, SelectSets, WRITERS } from "../../select/select-sets.ts";
import { F_GETFD, FD_SETSIZE } from "../../sys/abi.ts";
import type { Kernel } from "../../sys/kernel.ts";
import { INTEREST_BITS, type Poller, type PollerCapabilities, type ReadyBatch } from "../poller.ts";

/** The interest of a descriptor that is not watched. */
const NOT_WATCHED = -1;

/** The poller over select, which every kernel has had since 1983. */
export class SelectPoller implements Poller {
  readonly name = "select";
  readonly capabilities: PollerCapabilities = {
    edge: false,
    oneShot: false,
    exclusive: false,
    peerClosed: false,
    hangup: false,
    regularFiles: true,
    maxFd: FD_SETSIZE - 1,
  };
  readonly #kernel: Kernel;
  readonly #sets: SelectSets;
  /** By descriptor: the interest, which may be empty, and the tag. */
  readonly #interests: Int16Array = new Int16Array(FD_SETSIZE).fill(NOT_WATCHED);
  readonly #tags: Uint32Array = new Uint32Array(FD_SETSIZE);
  /** The descriptor at which the next scan starts. */
  #cursor = 0;
  #closed = false;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#sets = new SelectSets(kernel);
  }

  fileno(): number {
    return -1;
  }

  add(fd: number, interest: number, tag: number): number {
    if (this.#closed) return -ERRNO.EBADF;
    if (fd >= FD_SETSIZE || (interest & ~INTEREST_BITS) !== 0) return -ERRNO.EINVAL;
    // select would report only at the wait that it is closed; epoll_ctl reports it at once.
    const open = this.#kernel.libc.fcntl(fd, F_GETFD, 0);
    if (open < 0) return open;
    if (this.#interestOf(fd) !== NOT_WATCHED) return -ERRNO.EEXIST;
    return this.#ask(fd, interest, tag);
  }

  modify(fd: number, interest: number, tag: number): number {
    if (this.#closed) return -ERRNO.EBADF;
    if ((interest & ~INTEREST_BITS) !== 0) return -ERRNO.EINVAL;
    if (this.#interestOf(fd) === NOT_WATCHED) return -ERRNO.ENOENT;
    return this.#ask(fd, interest, tag);
  }

  remove(fd: number): number {
    if (this.#closed) return -ERRNO.EBADF;
    if (this.#interestOf(fd) === NOT_WATCHED) return -ERRNO.ENOENT;
    this.#ask(fd, 0, 0);
    this.#interests[fd] = NOT_WATCHED;
    return 0;
  }

  wait(ready: ReadyBatch, timeoutMs: number): number {
    ready.count = 0;
    if (this.#closed) return -ERRNO.EBADF;
    const sets = this.#sets;
    sets.closed.fill(0);
    let found = sets.wait(timeoutMs);
    while (found === -ERRNO.EBADF && sets.findClosed() >= 0) found = sets.wait(0);
    if (found < 0) return found;
    ready.count = this.#collect(ready);
    return ready.count;
  }

  close(): void {
    this.#closed = true;
  }

  #interestOf(fd: number): number {
    return this.#interests[fd] ?? NOT_WATCHED;
  }

  #ask(fd: number, interest: number, tag: number): number {
    const sets = this.#sets;
    const before = Math.max(this.#interestOf(fd), 0);
    const changed = before ^ interest;
    if ((changed & POLLIN) !== 0) toggle(sets, READERS, fd, interest & POLLIN);
    if ((changed & POLLOUT) !== 0) toggle(sets, WRITERS, fd, interest & POLLOUT);
    if ((changed & POLLPRI) !== 0) toggle(sets, EXCEPTIONAL, fd, interest & POLLPRI);
    this.#interests[fd] = interest;
    this.#tags[fd] = tag;
    return 0;
  }

  /** Fills `ready` from the result of a wait, a word of 32 descriptors at a time. */
  #collect(ready: ReadyBatch): number {
    const { ready: found, closed, nfds } = this.#sets;
    const words = (nfds + 31) >>> 5;
    const from = this.#cursor < nfds ? this.#cursor : 0;
    const fromBit = -1 << (from & 31);
    this.#cursor = 0;
    let count = 0;
    // The word of the cursor comes first from the cursor's bit up, and last up to the cursor's bit.
    for (let step = 0; step <= words && words > 0; step++) {
      const word = ((from >>> 5) + step) % words;
      let bits =
        (found[word + READERS] as number) |
        (found[word + WRITERS] as number) |
        (found[word + EXCEPTIONAL] as number) |
        (closed[word] as number);
      if (step === 0) bits &= fromBit;
      else if (step === words) bits &= ~fromBit;
      for (; bits !== 0; bits &= bits - 1) {
        const fd = word * 32 + 31 - Math.clz32(bits & -bits);
        if (count === ready.capacity) {
          this.#cursor = fd;
          return count;
        }
        ready.masks[count] = maskAt(found, closed, fd);
        ready.tags[count] = this.#tags[fd] as number;
        count++;
      }
    }
    return count;
  }
}

function toggle(sets: SelectSets, set: number, fd: number, on: number): void {
  if (on !== 0) sets.add(set, fd);
  else sets.delete(set, fd);
}

/** The bits of `fd` in the result of a wait, as POLL* bits. */
function maskAt(found: Uint32Array, closed: Uint32Array, fd: number): number {
  const word = fd >>> 5;
  const bit = 1 << (fd & 31);
  return (
    (((found[word] as number) & bit) !== 0 ? POLLIN : 0) |
    (((found[word + WRITERS] as number) & bit) !== 0 ? POLLOUT : 0) |
    (((found[word + EXCEPTIONAL] as number) & bit) !== 0 ? POLLPRI : 0) |
    (((closed[word] as number) & bit) !== 0 ? POLLNVAL : 0)
  );
}

/**
 * What to know about the eventfd of an io_uring.
 *
 * - IORING_REGISTER_EVENTFD has the kernel count up an eventfd when the ring gets something to do. The ring's own
 *   descriptor cannot replace it: work that is deferred to the ring's thread does not wake those who watch that.
 * - It is counted up once for all the work that waits: when work arrives and none has waited before.
 * - The kernel does not count it up from within a write to an eventfd (`eventfd_signal_allowed`), as that could recurse.
 *   It does so a moment later, by RCU, and from Linux 6.12 on only once in the life of a registration: the bit that
 *   notes it (IO_EVENTFD_OP_SIGNAL_BIT) is not cleared. So a ring that polls an eventfd, and is woken by it a second
 *   time, has work of which it tells nobody, and then tells of nothing that comes later either.
 * - The same holds for everything whose readers are woken by a write to an eventfd: an epoll set that has one in it.
 */
import { ERRNO } from "../base/errno.ts";
import { check } from "../base/sys-error.ts";
import { EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLIN } from "../select/constants.ts";
import { EpollSet } from "../select/epoll-set.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK, S_IFIFO, S_IFREG, S_IFSOCK } from "../sys/abi.ts";
import { fileTypeOf } from "../sys/descriptors.ts";
import type { Kernel } from "../sys/kernel.ts";
import type { RawRing } from "../uring/raw-ring.ts";

/** No write to an eventfd wakes the readers of these. */
const APART: readonly number[] = [S_IFSOCK, S_IFIFO, S_IFREG];

/** A descriptor that the ring polls, and the POLL* bits that it is polled for. */
export type Polled = readonly [fd: number, interest: number];

/**
 * A descriptor that is readable when a ring has something to do, for another loop to watch.
 *
 * @remarks
 * An epoll set. In it is the ring's eventfd, which signals only while nobody looks at the ring: else neither side
 * need touch it. Beside it is what the ring polls and cannot reliably tell of.
 */
export class RingSignal {
  readonly #kernel: Kernel;
  readonly #ring: RawRing;
  #set: EpollSet | undefined;
  #counter = -1;
  #signalling = false;
  /** Whether anything but the counter was ever put into the set. */
  #mixed = false;

  constructor(kernel: Kernel, ring: RawRing) {
    this.#kernel = kernel;
    this.#ring = ring;
  }

  /** The descriptor to watch, -1 until it was asked for and once it is closed. */
  get fd(): number {
    return this.#set?.fd ?? -1;
  }

  /**
   * Makes the descriptor.
   *
   * @param polled - What the ring polls already.
   * @throws SysError `EMFILE`, `ENFILE`, `ENOMEM`, `ENOSPC`, `ELOOP`; then nothing is left behind.
   */
  open(polled: Iterable<Polled>): number {
    const { libc } = this.#kernel;
    const counter = check(libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
    let set: EpollSet | undefined;
    try {
      set = EpollSet.create(this.#kernel);
      check(set.control(EPOLL_CTL_ADD, counter, EPOLLIN, 0), "epoll_ctl");
      this.#set = set;
      for (const [fd, interest] of polled) check(this.add(fd, interest), "epoll_ctl", { fd });
      check(this.#ring.signal(counter), "io_uring_register");
    } catch (error) {
      this.#set = undefined;
      set?.close();
      libc.close(counter);
      throw error;
    }
    this.#counter = counter;
    this.#signalling = true;
    // What is there already was signalled to nobody.
    if (this.#hasMore) this.tell();
    return this.fd;
  }

  /**
   * The ring polls `fd`, or polls it for something else. To be called before the ring is asked to.
   *
   * @param interest - POLL* bits.
   * @returns 0 or more, or `-errno`.
   */
  add(fd: number, interest: number): number {
    const set = this.#set;
    if (set === undefined || APART.includes(fileTypeOf(this.#kernel, fd))) return 0;
    this.#mixed = true;
    const result = set.control(EPOLL_CTL_ADD, fd, interest, 0);
    if (result === -ERRNO.EEXIST) return set.control(EPOLL_CTL_MOD, fd, interest, 0);
    // What cannot be watched is always ready.
    return result === -ERRNO.EPERM ? 0 : result;
  }

  /** The ring does not poll `fd` any more, which is still open. */
  remove(fd: number): void {
    if (this.#mixed) this.#set?.control(EPOLL_CTL_DEL, fd, 0, 0);
  }

  /** Somebody looks: what comes now is seen, and the descriptor is not readable any more. */
  stop(): void {
    if (!this.#signalling) return;
    this.#signalling = false;
    this.#ring.completions.setSignalling(false);
    const { libc, scratch } = this.#kernel;
    while (libc.read(this.#counter, scratch.address, 8) === -ERRNO.EINTR);
  }

  /**
   * Nobody looks any more: the descriptor tells of what comes from now on.
   *
   * @returns Whether something came between the look and this, which nobody else tells of.
   */
  start(): boolean {
    if (this.#signalling) return false;
    this.#signalling = true;
    this.#ring.completions.setSignalling(true);
    return this.#hasMore;
  }

  /** There is something to do already, and the ring does not say so: makes the descriptor readable. */
  tell(): void {
    const { libc, scratch } = this.#kernel;
    scratch.setWord(0, 1);
    while (libc.write(this.#counter, scratch.address, 8) === -ERRNO.EINTR);
  }

  close(): void {
    this.#set?.close();
    this.#set = undefined;
    if (this.#counter >= 0) this.#kernel.libc.close(this.#counter);
    this.#counter = -1;
    this.#signalling = false;
  }

  get #hasMore(): boolean {
    return this.#ring.completions.length > 0 || this.#ring.hasWork;
  }
}

/**
 * Properties of the eventfd of an io_uring:
 *
 * - After IORING_REGISTER_EVENTFD, the kernel increments an eventfd when the ring has work. The ring's own descriptor
 *   cannot replace it: work that is deferred to the ring's thread does not wake those that watch that descriptor.
 * - It is incremented when work arrives and none was pending, not for each piece of work.
 * - The kernel does not increment it within a write to an eventfd (`eventfd_signal_allowed`), which could recurse. It
 *   does so later, by RCU, and from Linux 6.12 on only once per registration, because the bit that records it
 *   (IO_EVENTFD_OP_SIGNAL_BIT) is not cleared. So a ring that polls an eventfd, and is woken by it for the second time,
 *   has work that it does not signal, and signals no later work either.
 * - The same holds for other files that wake their readers within a write to an eventfd, such as an epoll set that
 *   contains one.
 */
import { ERRNO } from "../base/errno.ts";
import { check } from "../base/sys-error.ts";
import { EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLIN } from "../select/constants.ts";
import { EpollSet } from "../select/epoll-set.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK, S_IFIFO, S_IFREG, S_IFSOCK } from "../sys/abi.ts";
import { fileTypeOf } from "../sys/descriptors.ts";
import type { Kernel } from "../sys/kernel.ts";
import type { RawRing } from "../uring/raw-ring.ts";

/** Types of files whose readers are never woken within a write to an eventfd. */
const SAFE_TYPES: readonly number[] = [S_IFSOCK, S_IFIFO, S_IFREG];

/** A descriptor that the ring polls, and the POLL* bits that it is polled for. */
export type Polled = readonly [fd: number, interest: number];

/**
 * A descriptor that is readable when a ring has work, for another event loop to watch.
 *
 * @remarks
 * It is an epoll set with the ring's eventfd, which is enabled only between turns; during a turn neither the kernel nor
 * the engine has to touch it. The set also contains the descriptors that the ring polls and cannot reliably signal.
 */
export class RingSignal {
  readonly #kernel: Kernel;
  readonly #ring: RawRing;
  #set: EpollSet | undefined;
  #eventfd = -1;
  #signalling = false;
  /** Whether the set has ever had other members than the eventfd. */
  #hasOthers = false;

  constructor(kernel: Kernel, ring: RawRing) {
    this.#kernel = kernel;
    this.#ring = ring;
  }

  /** The descriptor to watch: -1 until {@link RingSignal.open}, and once it is closed. */
  get fd(): number {
    return this.#set?.fd ?? -1;
  }

  /**
   * Makes the descriptor.
   *
   * @param polled - The descriptors that the ring polls already.
   * @throws SysError `EMFILE`, `ENFILE`, `ENOMEM`, `ENOSPC`, `ELOOP`. Nothing is open then.
   */
  open(polled: Iterable<Polled>): number {
    const { libc } = this.#kernel;
    const eventfd = check(libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
    let set: EpollSet | undefined;
    try {
      set = EpollSet.create(this.#kernel);
      check(set.control(EPOLL_CTL_ADD, eventfd, EPOLLIN, 0), "epoll_ctl");
      this.#set = set;
      for (const [fd, interest] of polled) check(this.add(fd, interest), "epoll_ctl", { fd });
      check(this.#ring.signal(eventfd), "io_uring_register");
    } catch (error) {
      this.#set = undefined;
      set?.close();
      libc.close(eventfd);
      throw error;
    }
    this.#eventfd = eventfd;
    this.#signalling = true;
    // Work that is pending already was not signalled.
    if (this.#hasMore()) this.raise();
    return this.fd;
  }

  /**
   * The ring is about to poll `fd`, or to change the interest in it.
   *
   * @param interest - POLL* bits.
   * @returns 0 or more, or `-errno`.
   */
  add(fd: number, interest: number): number {
    const set = this.#set;
    if (set === undefined || SAFE_TYPES.includes(fileTypeOf(this.#kernel, fd))) return 0;
    this.#hasOthers = true;
    const result = set.control(EPOLL_CTL_ADD, fd, interest, 0);
    if (result === -ERRNO.EEXIST) return set.control(EPOLL_CTL_MOD, fd, interest, 0);
    // A file that cannot be watched is always ready.
    return result === -ERRNO.EPERM ? 0 : result;
  }

  /** The ring does not poll `fd` any more. It must still be open. */
  remove(fd: number): void {
    if (this.#hasOthers) this.#set?.control(EPOLL_CTL_DEL, fd, 0, 0);
  }

  /** A turn begins and will see all work: disables the signal and makes the descriptor unreadable. */
  stop(): void {
    if (!this.#signalling) return;
    this.#signalling = false;
    this.#ring.completions.setSignalling(false);
    const { libc, scratch } = this.#kernel;
    while (libc.read(this.#eventfd, scratch.address, 8) === -ERRNO.EINTR);
  }

  /**
   * A turn ends: the descriptor signals work from now on.
   *
   * @returns Whether work has arrived already, which is not signalled.
   */
  start(): boolean {
    if (this.#signalling) return false;
    this.#signalling = true;
    this.#ring.completions.setSignalling(true);
    return this.#hasMore();
  }

  /** Makes the descriptor readable, for work that the ring does not signal. */
  raise(): void {
    const { libc, scratch } = this.#kernel;
    scratch.setWord(0, 1);
    while (libc.write(this.#eventfd, scratch.address, 8) === -ERRNO.EINTR);
  }

  close(): void {
    this.#set?.close();
    this.#set = undefined;
    if (this.#eventfd >= 0) this.#kernel.libc.close(this.#eventfd);
    this.#eventfd = -1;
    this.#signalling = false;
  }

  #hasMore(): boolean {
    return this.#ring.completions.length > 0 || this.#ring.hasWork;
  }
}

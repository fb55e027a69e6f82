import type { NamesOf } from "../base/argument.ts";
import { type FileObject, filenoOf } from "../base/descriptor.ts";
import { ERRNO } from "../base/errno.ts";
import { printAs } from "../base/inspect.ts";
import { numberError, show, typeError } from "../base/misuse.ts";
import { check, SysError } from "../base/sys-error.ts";
import { timeoutOf } from "../base/timeout.ts";
import { guard, unguard } from "../sys/abandoned.ts";
import type { Kernel } from "../sys/kernel.ts";
import { kernelOf, type WithKernel } from "../sys/open.ts";
import {
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLIN,
  EPOLLOUT,
  EPOLLPRI,
} from "./constants.ts";
import { EpollSet } from "./epoll-set.ts";
import { eventMaskOf } from "./event-mask.ts";

const ALL_EVENTS = 0xffff_ffff;
const DEFAULT_EVENTS: number = EPOLLIN | EPOLLPRI | EPOLLOUT;
/** The default of `maxEvents`. */
const DEFAULT_MAX_EVENTS = 1024;

/** Hints for errors of epoll_ctl. */
export const EPOLL_HINTS: Readonly<Partial<Record<number, string>>> = {
  [ERRNO.EPERM]:
    "a regular file or directory is always ready; epoll cannot watch it, poll and select can",
  [ERRNO.ENOSPC]: "the user's limit of watches is reached: fs.epoll.max_user_watches",
  [ERRNO.ELOOP]: "the epoll sets that watch each other form a cycle, or are nested too deeply",
};

/** Options of an {@link Epoll}. */
export interface EpollOptions {
  /** @internal The kernel to call. Default: the kernel of this thread. */
  readonly kernel?: Kernel;
  /** An epoll set to take over, as {@link Epoll.fromFd} does. Default: a new set. */
  readonly fd?: number;
}

const EPOLL_OPTIONS: NamesOf<EpollOptions> = { kernel: true, fd: true };

/**
 * An epoll set.
 *
 * @remarks
 * The kernel keeps the set, so a wait costs as much as there are ready descriptors. A descriptor that is closed
 * leaves the set, *unless* it was duplicated: unregister it first. The set is a descriptor itself, which is
 * close-on-exec and has to be closed. A set that polloi made and that is garbage-collected without having been
 * closed is closed then, with a warning of the process. There is no guarantee that this happens.
 *
 * @example
 * ```ts
 * using epoll = new Epoll();
 * epoll.register(socket, EPOLLIN | EPOLLET);
 * for (const [fd, events] of epoll.poll(1000)) console.log(fd, (events & EPOLLIN) !== 0);
 * ```
 * Source: epoll(7), epoll_ctl(2), epoll_wait(2), epoll_pwait2(2).
 */
export class Epoll {
  static {
    printAs(Epoll, (it) => ({ fd: it.fileno(), state: it.closed ? "closed" : "open" }));
  }

  readonly #set: EpollSet;
  /** The token of {@link guard}; undefined for a set that was taken over. */
  readonly #guarded: object | undefined;

  /**
   * @throws SysError `EMFILE`, `ENFILE` or `ENOMEM` when there is no descriptor or memory for it;
   * TypeError or RangeError `ERR_INVALID_FD`, `ERR_INVALID_OPTION`.
   */
  constructor(options: EpollOptions = {}) {
    const kernel = kernelOf(options, "new Epoll()", EPOLL_OPTIONS);
    const { fd } = options;
    const set = fd === undefined ? EpollSet.create(kernel) : new EpollSet(kernel, filenoOf(fd));
    this.#set = set;
    if (fd === undefined) this.#guarded = guard(this, set.fd, () => set.close());
  }

  /**
   * Takes over an existing epoll set, which was inherited or received. `close` closes it.
   *
   * @throws TypeError or RangeError `ERR_INVALID_FD`. If it is no epoll set, its use fails with SysError
   * `EINVAL`.
   */
  static fromFd(fd: number, options: WithKernel = {}): Epoll {
    return new Epoll({ kernel: kernelOf(options, "Epoll.fromFd()"), fd: filenoOf(fd) });
  }

  /** Whether it has been closed. */
  get closed(): boolean {
    return this.#set.fd < 0;
  }

  /** The descriptor of the set, -1 once it is closed. It is readable when a descriptor in the set is ready. */
  fileno(): number {
    return this.#set.fd;
  }

  /**
   * Watches a descriptor.
   *
   * @param events - EPOLL* bits; EPOLLERR and EPOLLHUP are always reported.
   * @throws SysError `EEXIST` when it is registered, `EBADF` when it is closed, `EPERM` for a regular
   * file, `EINVAL` for bits that cannot be combined with EPOLLEXCLUSIVE or for the set itself, `ELOOP`,
   * `ENOSPC`, `ENOMEM`; TypeError or RangeError `ERR_INVALID_FD`, `ERR_INVALID_EVENTS`; TypeError
   * `ERR_CLOSED`.
   */
  register(fileObject: FileObject, events: number = DEFAULT_EVENTS): void {
    this.#control(EPOLL_CTL_ADD, "register", fileObject, events);
  }

  /**
   * Changes the events that a descriptor is watched for; enables one with EPOLLONESHOT again.
   *
   * @param events - EPOLL* bits.
   * @throws As {@link Epoll.register}, with SysError `ENOENT` when it is not registered, and `EINVAL`
   * when it was registered with EPOLLEXCLUSIVE.
   */
  modify(fileObject: FileObject, events: number): void {
    this.#control(EPOLL_CTL_MOD, "modify", fileObject, events);
  }

  /**
   * Stops watching a descriptor.
   *
   * @throws SysError `ENOENT` when it is not registered, `EBADF` when it is closed; TypeError or
   * RangeError `ERR_INVALID_FD`; TypeError `ERR_CLOSED`.
   */
  unregister(fileObject: FileObject): void {
    this.#control(EPOLL_CTL_DEL, "unregister", fileObject, 0);
  }

  /**
   * Waits until a descriptor is ready. It blocks the thread.
   *
   * @param timeoutMs - Milliseconds, fractions count; 0 does not wait, `undefined` or a negative number
   * means no timeout. A signal does not end the wait.
   * @param maxEvents - The most events to report, from 1 up. Default 1024. The next call reports the others.
   * One call reports at most 65536.
   * @returns The ready descriptors as `[fd, events]`; empty after a timeout.
   * @throws RangeError or TypeError `ERR_INVALID_TIMEOUT`, `ERR_INVALID_LENGTH` for
   * `maxEvents`, TypeError `ERR_CLOSED`; SysError `EINVAL` when the descriptor of `fromFd` is no
   * epoll set.
   */
  poll(
    timeoutMs?: number | null,
    maxEvents: number = DEFAULT_MAX_EVENTS,
  ): [fd: number, events: number][] {
    this.#assertOpen("poll");
    if (!Number.isInteger(maxEvents) || maxEvents < 1) {
      throw numberError(
        "ERR_INVALID_LENGTH",
        maxEvents,
        `Cannot report at most ${show(maxEvents)} events: give an integer from 1 up`,
      );
    }
    const set = this.#set;
    const count = check(set.wait(maxEvents, timeoutOf(timeoutMs)), "epoll_wait", { fd: set.fd });
    const ready: [number, number][] = [];
    for (let i = 0; i < count; i++) ready.push([set.tagAt(i), set.maskAt(i)]);
    return ready;
  }

  /** Closes the set. Watched descriptors stay open. Safe to call twice. */
  close(): void {
    this.#set.close();
    if (this.#guarded !== undefined) unguard(this.#guarded);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #control(operation: number, verb: string, fileObject: FileObject, events: number): void {
    this.#assertOpen(verb);
    const fd = filenoOf(fileObject);
    const mask = eventMaskOf(events, ALL_EVENTS);
    const result = this.#set.control(operation, fd, mask, fd);
    if (result < 0) throw new SysError("epoll_ctl", result, { fd, hint: EPOLL_HINTS[-result] });
  }

  #assertOpen(verb: string): void {
    if (this.closed) throw typeError("ERR_CLOSED", `Cannot ${verb}: this Epoll is closed`);
  }
}

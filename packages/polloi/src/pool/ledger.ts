/**
 * Which worker has which descriptor.
 *
 * Threads share one table of descriptors, so those of a thread that has crashed stay open: its peers
 * would wait for ever, its listener would swallow connections, and every crash would leak. Only the
 * thread itself knows what it opened. So it keeps a ledger as it opens and closes, in memory that the
 * main thread sees; what stands there when the thread has ended is closed from outside.
 *
 * ```text
 *   fd        0   1   2  ...  21   22   23
 *   ledger  | 0 | 0 | 0 | ... | 1 | 2 | 1* |     0: not a worker's    *: wakes a thread
 * ```
 */
import { SHUT_RDWR } from "../socket/constants.ts";
import { F_DUPFD_CLOEXEC, RLIMIT_NOFILE, SYS } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";
import { replaceCalls } from "../sys/kernel-proxy.ts";
import type { Board } from "./board.ts";

/** The numbers of those calls without a name in libc that make a descriptor. */
const OPENING: readonly number[] = [SYS.pidfd_open, SYS.io_uring_setup];

/** Marks what threads sleep on: epoll sets, and the counters that wake them. */
const WAKES = 0x8000;
/** How many workers the other bits can tell apart. */
export const MAX_WORKERS = 1024;
/** More descriptors than any server has; memory that nobody touches costs nothing. */
const MOST_DESCRIPTORS = 1 << 22;

/** The ledger of a pool: one for all of its workers. */
export class Ledger {
  /** What is given to the workers, each of which makes a ledger of it again. */
  readonly memory: SharedArrayBuffer;
  /** By descriptor: who has it, counted from 1, with {@link WAKES}. */
  readonly #owners: Uint16Array;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#owners = new Uint16Array(memory);
  }

  /** A ledger with room for as many descriptors as this process may ever open. */
  static for({ libc, scratch }: Kernel): Ledger {
    const known = libc.getrlimit(RLIMIT_NOFILE, scratch.address) >= 0;
    const hard = known ? scratch.getWord(8) : MOST_DESCRIPTORS;
    return new Ledger(new SharedArrayBuffer(2 * Math.min(hard, MOST_DESCRIPTORS)));
  }

  /** `fd` is worker `index`'s from now on. @returns `fd`, which may be `-errno`. */
  add(index: number, fd: number, mark = 0): number {
    // Written after the descriptor was made and removed before it is closed, so that whoever gets the
    // number next writes last. What lies beyond the end of the array is not kept.
    if (fd >= 0) this.#owners[fd] = (index + 1) | mark;
    return fd;
  }

  /** `fd` is about to be closed by worker `index`. */
  remove(index: number, fd: number): void {
    if (((this.#owners[fd] ?? 0) & ~WAKES) === index + 1) this.#owners[fd] = 0;
  }

  /**
   * Has every call of `kernel` that opens or closes a descriptor write it down, for the thread of
   * worker `index`, whose kernel it is. Mappings of files are noted on its board: a ring lives, and goes on accepting
   * and receiving, as long as its memory is mapped.
   *
   * @remarks
   * In place, because all that runs in that thread is to be in the ledger, whoever wrote it. What no
   * call returns is not seen: what a ring accepts, and what comes in a message (`receiveFds`).
   */
  keep(index: number, kernel: Kernel, board: Board): void {
    const { libc, scratch } = kernel;
    const own = (fd: number, mark?: number): number => this.add(index, fd, mark);
    const ownTwo = (result: number, fds: number): number => {
      const at = (fds - scratch.address) >> 2;
      if (result < 0 || fds < scratch.address || at + 1 >= scratch.i32.length) return result;
      own(scratch.i32[at] as number);
      own(scratch.i32[at + 1] as number);
      return result;
    };
    replaceCalls(libc, (real) => ({
      close: (fd) => {
        this.remove(index, fd);
        return real.close(fd);
      },
      mmap: (address, length, protection, flags, fd, offset) => {
        const result = real.mmap(address, length, protection, flags, fd, offset);
        if (result >= 0 && address !== 0) board.removeMapping(result);
        if (result >= 0 && fd >= 0) board.addMapping(result, length);
        return result;
      },
      socket: (a, b, c) => own(real.socket(a, b, c)),
      accept4: (a, b, c, d) => own(real.accept4(a, b, c, d)),
      socketpair: (a, b, c, fds) => ownTwo(real.socketpair(a, b, c, fds), fds),
      pipe2: (fds, flags) => ownTwo(real.pipe2(fds, flags), fds),
      open: (a, b, c) => own(real.open(a, b, c)),
      dup3: (a, b, c) => own(real.dup3(a, b, c)),
      fcntl: (fd, command, argument) => {
        const result = real.fcntl(fd, command, argument);
        return command === F_DUPFD_CLOEXEC ? own(result) : result;
      },
      timerfd_create: (a, b) => own(real.timerfd_create(a, b)),
      epoll_create1: (flags) => own(real.epoll_create1(flags), WAKES),
      eventfd: (a, b) => own(real.eventfd(a, b), WAKES),
      syscall: (number, a, b, c, d, e, f) => {
        const result = real.syscall(number, a, b, c, d, e, f);
        return OPENING.includes(number) ? own(result) : result;
      },
    }));
  }

  /** Ends the sleep of every thread that worker `index` has had sleep for it. */
  wake(index: number, { libc, scratch }: Kernel): void {
    for (const fd of this.#of(index, WAKES)) {
      scratch.setWord(0, 1);
      // Of an epoll set it is refused, which does no harm.
      libc.write(fd, scratch.address, 8);
    }
  }

  /**
   * Ends the connections of worker `index`, and closes nothing: its thread is there still.
   *
   * @param listener - Left alone: the same socket as that of the worker that takes its place.
   */
  cutOff(index: number, { libc }: Kernel, listener: number): void {
    for (const fd of this.#of(index, 0)) {
      // Of what is no socket it is refused, which does no harm.
      if (fd !== listener) libc.shutdown(fd, SHUT_RDWR);
    }
  }

  /**
   * Closes what worker `index` has left, when its thread has ended.
   *
   * @param all - Whether to close what threads sleep on too. A thread that has been woken must have
   * seen why before that is closed.
   * @returns Whether anything is left.
   */
  sweep(index: number, { libc }: Kernel, all: boolean): boolean {
    for (const fd of this.#of(index, 0)) this.#close(index, fd, libc);
    const waking = this.#of(index, WAKES);
    if (all) for (const fd of waking) this.#close(index, fd, libc);
    return !all && waking.length > 0;
  }

  #close(index: number, fd: number, libc: Kernel["libc"]): void {
    this.remove(index, fd);
    libc.close(fd);
  }

  #of(index: number, mark: number): number[] {
    const entry = (index + 1) | mark;
    const found: number[] = [];
    for (let fd = this.#owners.indexOf(entry); fd >= 0; fd = this.#owners.indexOf(entry, fd + 1)) {
      found.push(fd);
    }
    return found;
  }
}

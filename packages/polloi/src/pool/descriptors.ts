/**
 * Which thread of this process owns which descriptor.
 *
 * Threads share one table of descriptors, so those of a thread that was terminated stay open: its peers would wait
 * for ever, its listener would accept connections that are never served, and every such thread would leak. Only the
 * thread itself knows what it opened. So it records what it opens and closes in a ledger, which is memory that the main
 * thread shares; the main thread closes what is recorded there when the thread has ended.
 *
 * ```text
 *   fd        0   1   2  ...  21   22   23
 *   ledger  | 0 | 0 | 0 | ... | 1 | 2 | 1* |     0: of no child thread    *: wakes a thread
 * ```
 */
import { existsSync } from "node:fs";
import { SHUT_RDWR } from "../socket/constants.ts";
import { F_DUPFD_CLOEXEC, RLIMIT_NOFILE, SYS } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";
import { replaceCalls } from "../sys/kernel-proxy.ts";
import type { ControlBlock } from "./control-block.ts";

/** The numbers of those system calls without a name in libc that open a descriptor. */
const OPENING: readonly number[] = [SYS.pidfd_open, SYS.io_uring_setup];

/** Marks the descriptors on which threads sleep: epoll sets, and the counters that wake them. */
const WAKES = 0x8000;
/** The other bits hold the owner, counted from 1. */
const MAX_OWNERS = WAKES - 1;
/** More descriptors than any server has; memory that is never touched costs nothing. */
const MAX_DESCRIPTORS = 1 << 22;
/** How often to check whether a stuck thread has ended. */
const STUCK_CHECK_MS = 20;
/** How long a thread that was woken for the last time may take to notice. */
const WAKE_MS = 50;

/** The kernel's id of this thread. Source: gettid(2). */
export function currentThreadId({ libc }: Kernel): number {
  return libc.syscall(SYS.gettid, 0, 0, 0, 0, 0, 0);
}

/** The owners of descriptors, for all threads that one main thread supervises. */
export class Ledger {
  /** Passed to the threads, each of which makes a ledger of it. */
  readonly memory: SharedArrayBuffer;
  /** By descriptor: its owner, counted from 1, with {@link WAKES}. */
  readonly #owners: Uint16Array;
  readonly #freeIds: number[] = [];
  #ids = 0;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#owners = new Uint16Array(memory);
  }

  /** A ledger with an entry for every descriptor that this process may ever open. */
  static for({ libc, scratch }: Kernel): Ledger {
    const known = libc.getrlimit(RLIMIT_NOFILE, scratch.address) >= 0;
    const hard = known ? scratch.getWord(8) : MAX_DESCRIPTORS;
    return new Ledger(new SharedArrayBuffer(2 * Math.min(hard, MAX_DESCRIPTORS)));
  }

  /** Returns the id of a new owner, for one thread. @throws Error when there are as many as fit. */
  addOwner(): number {
    const id = this.#freeIds.pop() ?? this.#ids++;
    if (id >= MAX_OWNERS) throw new Error(`more than ${MAX_OWNERS} threads`);
    return id;
  }

  /** The thread of `owner` has ended, and {@link Ledger.release} has closed what it had open. */
  removeOwner(owner: number): void {
    this.#freeIds.push(owner);
  }

  /** `fd` belongs to `owner` from now on. @returns `fd`, which may be `-errno`. */
  add(owner: number, fd: number, mark = 0): number {
    // An entry is written after its descriptor was opened and removed before it is closed, so that the thread that
    // gets the number next writes last. Numbers beyond the end of the array are not recorded.
    if (fd >= 0) this.#owners[fd] = (owner + 1) | mark;
    return fd;
  }

  /** `owner` is about to close `fd`. */
  remove(owner: number, fd: number): void {
    if (((this.#owners[fd] ?? 0) & ~WAKES) === owner + 1) this.#owners[fd] = 0;
  }

  /**
   * Records every descriptor that is opened or closed through `kernel`, the kernel of the thread of `owner`. Mappings
   * of files are recorded in its control block: a ring continues accepting and receiving as long as its memory is
   * mapped.
   *
   * @remarks
   * In place, so that it sees the calls of all code in that thread. It does not see descriptors that no call
   * returns: those that a ring accepts, and those that arrive in a message (`receiveFds`).
   */
  track(owner: number, kernel: Kernel, block: ControlBlock): void {
    const { libc, scratch } = kernel;
    const own = (fd: number, mark?: number): number => this.add(owner, fd, mark);
    const ownTwo = (result: number, fds: number): number => {
      const at = (fds - scratch.address) >> 2;
      if (result < 0 || fds < scratch.address || at + 1 >= scratch.i32.length) return result;
      own(scratch.i32[at] as number);
      own(scratch.i32[at + 1] as number);
      return result;
    };
    replaceCalls(libc, (real) => ({
      close: (fd) => {
        this.remove(owner, fd);
        return real.close(fd);
      },
      mmap: (address, length, protection, flags, fd, offset) => {
        const result = real.mmap(address, length, protection, flags, fd, offset);
        if (result >= 0 && address !== 0) block.removeMapping(result);
        if (result >= 0 && fd >= 0) block.addMapping(result, length);
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

  /** Wakes every thread that sleeps on a descriptor of `owner`. */
  wake(owner: number, { libc, scratch }: Kernel): void {
    for (const fd of this.#descriptorsOf(owner, WAKES)) {
      scratch.setWord(0, 1);
      // An epoll set refuses the write, which does no harm.
      libc.write(fd, scratch.address, 8);
    }
  }

  /**
   * Shuts down the connections of `owner`, whose thread still runs, and closes nothing.
   *
   * @param except - A listener that is left alone, because other threads accept from the same socket; or -1.
   */
  shutDown(owner: number, { libc }: Kernel, except: number): void {
    for (const fd of this.#descriptorsOf(owner, 0)) {
      // A descriptor that is no socket refuses the call, which does no harm.
      if (fd !== except) libc.shutdown(fd, SHUT_RDWR);
    }
  }

  /**
   * Closes everything that the thread of `owner` has left open. The thread must have ended.
   *
   * @remarks
   * All of it before this returns, except on Bun and Deno what other threads may sleep on. These have been woken, and
   * must have noticed before it is closed.
   */
  async release(owner: number, { libc, runtime }: Kernel): Promise<void> {
    for (const fd of this.#descriptorsOf(owner, 0)) this.#close(owner, fd, libc);
    if (this.#descriptorsOf(owner, WAKES).length === 0) return;
    if (runtime !== "node") await new Promise((resolve) => setTimeout(resolve, WAKE_MS));
    for (const fd of this.#descriptorsOf(owner, WAKES)) this.#close(owner, fd, libc);
  }

  #close(owner: number, fd: number, libc: Kernel["libc"]): void {
    this.remove(owner, fd);
    libc.close(fd);
  }

  #descriptorsOf(owner: number, mark: number): number[] {
    const entry = (owner + 1) | mark;
    const found: number[] = [];
    for (let fd = this.#owners.indexOf(entry); fd >= 0; fd = this.#owners.indexOf(entry, fd + 1)) {
      found.push(fd);
    }
    return found;
  }
}

/**
 * Whether a thread that was terminated runs on all the same.
 *
 * @remarks
 * Deno cannot terminate a thread that is in an endless loop, and reports that it has; when the loop ends the thread
 * continues. No runtime terminates a thread that sleeps in a system call which nothing wakes. The descriptors of such a
 * thread stay open until it has ended. If they were closed, their numbers would be reused, and the thread would send
 * to, receive from and close descriptors that are not its own.
 *
 * @param hasExited - Whether the runtime reports that the thread has ended.
 */
export function isStuck({ runtime }: Kernel, threadId: number, hasExited: boolean): boolean {
  if (hasExited && runtime !== "deno") return false;
  return threadId !== 0 && exists(threadId);
}

/** Resolves when the thread has ended. Does not keep the process alive. */
export async function threadEnd(threadId: number): Promise<void> {
  while (exists(threadId)) {
    await new Promise((resolve) => setTimeout(resolve, STUCK_CHECK_MS).unref());
  }
}

function exists(threadId: number): boolean {
  return existsSync(`/proc/self/task/${threadId}`);
}

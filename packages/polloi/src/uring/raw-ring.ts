import type { NamesOf } from "../base/argument.ts";
import { ERRNO } from "../base/errno.ts";
import { check } from "../base/sys-error.ts";
import { PAGE_SIZE, SYS } from "../sys/abi.ts";
import type { Arena } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";
import { kernel as defaultKernel } from "../sys/open.ts";
import { CompletionQueue } from "./completions.ts";
import {
  IORING_ASYNC_CANCEL_ALL,
  IORING_ASYNC_CANCEL_ANY,
  IORING_ENTER_EXT_ARG,
  IORING_ENTER_GETEVENTS,
  IORING_FEAT_EXT_ARG,
  IORING_FEAT_SINGLE_MMAP,
  IORING_OFF_SQ_RING,
  IORING_OFF_SQES,
  IORING_REGISTER_EVENTFD,
  IORING_REGISTER_SYNC_CANCEL,
  IORING_SETUP_CLAMP,
  IORING_SETUP_CQSIZE,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_SINGLE_ISSUER,
  IORING_SETUP_SUBMIT_ALL,
  IORING_SETUP_TASKRUN_FLAG,
  IORING_SQ_CQ_OVERFLOW,
  IORING_SQ_TASKRUN,
} from "./constants.ts";
import { COMPLETION_BYTES, CQ, PARAMS, PARAMS_BYTES, SQ, SUBMISSION_BYTES } from "./layout.ts";
import { SubmissionQueue } from "./submissions.ts";

const UNASKED: number = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;

/** The sizes of a ring. */
export interface RingOptions {
  /** The capacity of the submission queue: 1 to 32,768, rounded up to a power of two. Default 1024. */
  readonly entries?: number;
  /** The capacity of the completion queue, likewise, up to 65,536. Default: eight times `entries`. */
  readonly completionEntries?: number;
  /** @internal The kernel to call. Default: the kernel of this thread. */
  readonly kernel?: Kernel;
}

export const RING_OPTIONS: NamesOf<RingOptions> = {
  entries: true,
  completionEntries: true,
  kernel: true,
};

/** The most cancellations of everything, while operations are still about to be retried. */
const MAX_CANCELS = 64;
/** The most calls of io_uring_register for one operation, when signals interrupt it. */
const MAX_REGISTERS = 100;
/** More completions than any ring has. */
const MOST_WANTED = 1 << 20;

/** Offsets in the page of arguments: `struct io_uring_getevents_arg`, the timespec it points to, and others. */
const AT_ARGUMENT = 0;
const ARGUMENT_BYTES = 24;
const AT_TIME = 32;
const AT_REGISTER = 64;
const AT_PAUSE = 192;

/** Temporary failures: a signal, or a lack of memory or room. */
const TEMPORARY: readonly number[] = [-ERRNO.EINTR, -ERRNO.EAGAIN, -ERRNO.EBUSY, -ERRNO.ENOMEM];
/** A call that keeps failing for this long fails permanently. */
const MAX_FAILING_MS = 1000;
/** The pause before a retry, doubled each time up to the longest. */
const FIRST_PAUSE_MS = 0.05;
const LONGEST_PAUSE_MS = 10;
/** More waits than signals can end within {@link MAX_FAILING_MS}. */
const MANY_SIGNALS = 10_000;

/**
 * The queues of an io_uring, in memory that this thread and the kernel share, and its system calls.
 *
 * @remarks
 * It belongs to the thread that made it, and nothing completes outside of {@link RawRing.enter}
 * (IORING_SETUP_SINGLE_ISSUER, IORING_SETUP_DEFER_TASKRUN): Linux 6.1.
 *
 * Source: io_uring(7), io_uring_setup(2), io_uring_enter(2), io_uring_register(2).
 */
export class RawRing implements Disposable {
  readonly submissions: SubmissionQueue;
  readonly completions: CompletionQueue;
  /** IORING_FEAT_* bits of the kernel. */
  readonly features: number;
  readonly #kernel: Kernel;
  readonly #rings: Arena;
  readonly #entries: Arena;
  readonly #arguments: Arena;
  #fd: number;
  /** The number of failed calls since the last success, and the time of the first of them. */
  #failures = 0;
  #failingSince = 0;
  #isInterruptedForGood = false;

  /**
   * @throws SysError of io_uring_setup: `EPERM` where io_uring is forbidden, `ENOSYS` where the kernel has none,
   * `EINVAL` where it lacks a feature, `ENOMEM`, `EMFILE`.
   */
  constructor(options: RingOptions = {}) {
    const { entries = 1024, completionEntries = entries * 8, kernel = defaultKernel } = options;
    const { libc, scratch, arenas } = kernel;
    const { u32, address } = scratch;
    u32.fill(0, 0, PARAMS_BYTES >> 2);
    u32[PARAMS.flags] =
      IORING_SETUP_CQSIZE |
      IORING_SETUP_CLAMP |
      IORING_SETUP_SUBMIT_ALL |
      IORING_SETUP_SINGLE_ISSUER |
      IORING_SETUP_DEFER_TASKRUN |
      IORING_SETUP_TASKRUN_FLAG;
    u32[PARAMS.cqEntries] = completionEntries;
    const fd = libc.syscall(SYS.io_uring_setup, entries, address, 0, 0, 0, 0);
    check(fd, "io_uring_setup");
    this.#fd = fd;
    this.#kernel = kernel;
    const params = u32.slice(0, PARAMS_BYTES >> 2);
    const word = (at: number): number => params[at] as number;
    this.features = word(PARAMS.features);
    const needed = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_EXT_ARG;
    const mapped: Arena[] = [];
    try {
      check((this.features & needed) === needed ? 0 : -ERRNO.EINVAL, "io_uring_setup");
      const ringBytes = Math.max(
        word(PARAMS.sq + SQ.array) + word(PARAMS.sqEntries) * 4,
        word(PARAMS.cq + CQ.entries) + word(PARAMS.cqEntries) * COMPLETION_BYTES,
      );
      this.#rings = arenas.mapFile(fd, IORING_OFF_SQ_RING, ringBytes);
      mapped.push(this.#rings);
      this.#entries = arenas.mapFile(
        fd,
        IORING_OFF_SQES,
        word(PARAMS.sqEntries) * SUBMISSION_BYTES,
      );
      mapped.push(this.#entries);
      this.#arguments = arenas.map(PAGE_SIZE);
    } catch (error) {
      libc.close(fd);
      // The file stays open until its memory is unmapped.
      for (const arena of mapped) arenas.release(arena);
      throw error;
    }
    this.submissions = new SubmissionQueue(
      this.#rings,
      this.#entries,
      {
        head: word(PARAMS.sq + SQ.head),
        tail: word(PARAMS.sq + SQ.tail),
        mask: word(PARAMS.sq + SQ.mask),
        flags: word(PARAMS.sq + SQ.flags),
        array: word(PARAMS.sq + SQ.array),
      },
      () => {
        const taken = this.submit();
        check(taken === 0 ? -ERRNO.EBUSY : taken, "io_uring_enter");
      },
    );
    this.completions = new CompletionQueue(this.#rings, {
      head: word(PARAMS.cq + CQ.head),
      tail: word(PARAMS.cq + CQ.tail),
      mask: word(PARAMS.cq + CQ.mask),
      flags: word(PARAMS.cq + CQ.flags),
      entries: word(PARAMS.cq + CQ.entries),
    });
  }

  /** The descriptor of the ring, -1 once it is closed. */
  fileno(): number {
    return this.#fd;
  }

  /**
   * Whether the kernel has work or completions for the next call of `enter`. After an `enter` that waited it may be
   * true without need; after one that did not wait it is exact.
   */
  get hasWork(): boolean {
    return (this.submissions.flags & UNASKED) !== 0;
  }

  /**
   * Passes all pushed submissions to the kernel. It does not wait, and completes nothing that needs this thread.
   *
   * @returns The number of submissions that the kernel took, or `-errno` when it keeps refusing them.
   */
  submit(): number {
    return this.#enterNow(0);
  }

  /**
   * Passes all pushed submissions to the kernel, processes deferred work, and waits.
   *
   * @remarks
   * A call that fails for lack of memory or room is repeated, with pauses, for a second.
   *
   * @param wanted - The number of completions to wait for; 0 does not wait.
   * @param timeoutMs - The longest wait, -1 without limit; fractions count.
   * @returns `>= 0`; or `-errno`: ETIME after a timeout, EINTR after a signal; see
   * {@link RawRing.isWaitOver}.
   */
  enter(wanted: number, timeoutMs: number): number {
    if (wanted === 0) return this.#enterNow(IORING_ENTER_GETEVENTS);
    for (;;) {
      const result = this.#enterOnce(wanted, timeoutMs);
      if (result >= 0 || result === -ERRNO.ETIME) this.#failures = 0;
      else if (result === -ERRNO.EINTR) this.#noteInterruption();
      else if (this.#mayRetry(result)) continue;
      return result;
    }
  }

  /** Whether a result of {@link RawRing.enter} only reports that a wait is over. Any other `-errno` is permanent. */
  isWaitOver(result: number): boolean {
    return result === -ERRNO.ETIME || (result === -ERRNO.EINTR && !this.#isInterruptedForGood);
  }

  /**
   * io_uring_register(2).
   *
   * @returns `>= 0` or `-errno`.
   */
  register(operation: number, address: number, count: number): number {
    const { libc } = this.#kernel;
    for (let tries = 1; ; tries++) {
      const result = libc.syscall(SYS.io_uring_register, this.#fd, operation, address, count, 0, 0);
      const passes = result === -ERRNO.EINTR || result === -ERRNO.EAGAIN;
      if (!passes || tries === MAX_REGISTERS) return result;
    }
  }

  /** Registers the eventfd `fd`, which the kernel increments when there are completions or work. */
  signal(fd: number): number {
    this.#arguments.i32[AT_REGISTER >> 2] = fd;
    return this.register(IORING_REGISTER_EVENTFD, this.#arguments.address + AT_REGISTER, 1);
  }

  /**
   * Cancels all operations in flight. Each still has its completion.
   *
   * @remarks
   * Otherwise a worker of the kernel cancels them some time after the ring is closed. Until then, the port of a
   * listener and the memory of a receive stay in use.
   */
  cancelAll(): void {
    const memory = this.#arguments;
    const at = AT_REGISTER >> 2;
    // struct io_uring_sync_cancel_reg: 64 bits of tag, fd, flags, a timespec, and padding.
    memory.u32.fill(0, at, at + 16);
    memory.i32[at + 2] = -1;
    memory.u32[at + 3] = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
    memory.i32.fill(-1, at + 4, at + 8);
    this.submissions.publish();
    for (let tries = 0; tries < MAX_CANCELS; tries++) {
      const isComplete = this.submissions.pending === 0;
      const result = this.register(IORING_REGISTER_SYNC_CANCEL, memory.address + AT_REGISTER, 1);
      // An operation that is about to be retried is not found. It is found the next time, if it waits then. One that a
      // worker performs is found, and what is linked to it follows.
      const isAny = result > 0 || (this.submissions.flags & IORING_SQ_TASKRUN) !== 0;
      // Newer kernels complete twenty at a time unless more are wanted, and each cancellation examines all others.
      const entered = this.enter(MOST_WANTED, 0);
      if (isComplete && !isAny && (result === 0 || result === -ERRNO.ENOENT)) return;
      if (entered < 0 && !this.isWaitOver(entered)) return;
    }
  }

  /** Cancels everything and releases the ring. Safe to call twice. */
  close(): void {
    const fd = this.#fd;
    if (fd < 0) return;
    const { libc, arenas } = this.#kernel;
    this.cancelAll();
    this.#fd = -1;
    libc.close(fd);
    for (const arena of [this.#rings, this.#entries, this.#arguments]) arenas.release(arena);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #enterOnce(wanted: number, timeoutMs: number): number {
    if (timeoutMs < 0) return this.#enter(wanted, IORING_ENTER_GETEVENTS, 0, 0);
    const memory = this.#arguments;
    memory.setTimespec(AT_TIME, timeoutMs);
    memory.setWord(AT_ARGUMENT + 16, memory.address + AT_TIME);
    const flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
    return this.#enter(wanted, flags, memory.address + AT_ARGUMENT, ARGUMENT_BYTES);
  }

  /** Enters until all submissions are taken, without waiting. */
  #enterNow(flags: number): number {
    const { submissions } = this;
    let taken = 0;
    for (;;) {
      const before = submissions.pending;
      const result = this.#enter(0, flags, 0, 0);
      if (result < 0 || (result === 0 && before > 0)) {
        if (this.#mayRetry(result < 0 ? result : -ERRNO.EBUSY)) continue;
        return result < 0 ? result : -ERRNO.EBUSY;
      }
      this.#failures = 0;
      taken += result;
      if (submissions.pending === 0) return taken;
    }
  }

  /** A call failed: pauses, except the first time. @returns Whether to repeat the call. */
  #mayRetry(result: number): boolean {
    if (!TEMPORARY.includes(result)) return false;
    const now = this.#kernel.now();
    if (this.#failures++ === 0) {
      this.#failingSince = now;
      return true;
    }
    if (now - this.#failingSince > MAX_FAILING_MS) return false;
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** (this.#failures - 2), LONGEST_PAUSE_MS);
    this.#arguments.setTimespec(AT_PAUSE, pauseMs);
    this.#kernel.libc.ppoll(0, 0, this.#arguments.address + AT_PAUSE, 0);
    return true;
  }

  /** Detects a kernel that interrupts every wait, far more often than signals could. */
  #noteInterruption(): void {
    const now = this.#kernel.now();
    if (this.#failures++ === 0) this.#failingSince = now;
    if (now - this.#failingSince <= MAX_FAILING_MS) return;
    this.#isInterruptedForGood = this.#failures > MANY_SIGNALS;
    if (!this.#isInterruptedForGood) this.#failures = 0;
  }

  #enter(wanted: number, flags: number, argument: number, argumentBytes: number): number {
    const { submissions } = this;
    if (submissions.pending > 0) submissions.publish();
    const announced = (flags & IORING_ENTER_GETEVENTS) !== 0 && submissions.clearTaskRun();
    const result = this.#kernel.libc.syscall(
      SYS.io_uring_enter,
      this.#fd,
      submissions.pending,
      wanted,
      flags,
      argument,
      argumentBytes,
    );
    if (result > 0) {
      submissions.pending -= result;
      submissions.immediate = 0;
      if (submissions.pending > 0) submissions.cancelSplitChain();
    }
    // The announced work may not have been processed, and the kernel does not announce it again.
    if (announced && result < 0 && result !== -ERRNO.ETIME) submissions.restoreTaskRun();
    return result;
  }
}

import {
  ERRNO,
  IOSQE_CQE_SKIP_SUCCESS,
  IOSQE_IO_HARDLINK,
  IOSQE_IO_LINK,
} from "polloi/internal/pure";
import type { Waiter } from "../base/wait-queue.ts";
import type { OpenFile } from "../process/open-file.ts";
import type { Process } from "../process/process.ts";

/** Results of {@link Request.issue}. Any other negative number is `-errno`, with which the operation fails. */
export const ISSUED = {
  /** It is over, with {@link Request.result}. */
  complete: 0,
  /** It completes later, by itself. */
  pending: -4096,
  /** Its file is not ready. */
  retry: -ERRNO.EAGAIN as number,
  /** It continues after other work. */
  requeue: -4097,
} as const;

/** How an operation is issued: bits. Source: enum io_uring_cmd_flags in include/linux/io_uring_types.h. */
export const ISSUE = {
  /** It may not wait. */
  nonBlocking: 1,
  /** Its poll was woken, and it may complete more than once. */
  multishot: 2,
  /** It is issued by a worker. */
  worker: 4,
} as const;

const LINKS: number = IOSQE_IO_LINK | IOSQE_IO_HARDLINK;

/** What the thread of a ring does for a request when it next enters the kernel. */
export type Work = (request: Request) => void;

/** What is the same for all requests of an operation. Source: struct io_issue_def in io_uring/opdef.h. */
export interface Traits {
  /** Whether the descriptor of the submission is a file that the operation needs. */
  readonly needsFile?: boolean;
  /** Whether it can take a provided buffer. */
  readonly selectsBuffers?: boolean;
  /** Whether the field of the I/O priority has flags. */
  readonly usesPriority?: boolean;
  /** The POLL* bits that it waits for when its file is not ready. Without them, a worker waits. */
  readonly events?: number;
  /** Whether one wake-up of the file is meant for one such request. */
  readonly isExclusive?: boolean;
}

/** What a request needs of its ring. */
export interface RequestRing {
  readonly process: Process;
  /** Adds a completion of a request that continues. @returns false when there is no room, and it must end. */
  post(request: Request, result: number, flags: number): boolean;
  /** The file that a request waits for may be ready. @returns Whether the request takes the wake-up. */
  woken(request: Request, mask: number): boolean;
}

/**
 * One submission, from when the kernel takes it until its last completion.
 *
 * Source: struct io_kiocb in include/linux/io_uring_types.h.
 */
export abstract class Request implements Waiter {
  declare readonly ring: RequestRing;
  declare readonly traits: Traits;
  declare readonly operation: number;
  /** IOSQE_* bits. */
  declare flags: number;
  declare readonly fd: number;
  declare tagLow: number;
  declare tagHigh: number;
  declare result: number;
  /** IORING_CQE_F_* bits of the last completion. */
  declare completionFlags: number;
  declare file: OpenFile | undefined;
  /** The next request of its chain. */
  declare link: Request | undefined;
  /** What to do when the thread of the ring next runs its work. */
  declare work: Work;

  declare isFailed: boolean;
  /** Whether the requests behind it complete without completions if it fails. */
  declare skipsLinks: boolean;
  /** Whether it completes repeatedly. */
  declare isMultishot: boolean;
  /** Whether EAGAIN is its result, and it does not wait. */
  declare neverWaits: boolean;
  /** Whether a worker issues it, without an attempt before. */
  declare isAsync: boolean;
  /** Whether it has waited for its file. */
  declare wasPolled: boolean;
  /** Whether a LINK_TIMEOUT follows whose timer has not started, or has. */
  declare timeoutState: "none" | "prepared" | "started";
  /** The last cancellation that has found it. */
  declare cancelSequence: number;

  // While it waits for its file: see polls.ts.

  /** The POLL* bits that it waits for. */
  declare events: number;
  declare isOneShot: boolean;
  /** Wake-ups whose work has not run. The first of them owns the request. */
  declare wakeUps: number;
  declare isCancelled: boolean;
  declare isInQueue: boolean;
  /** How often it may still wait by polling. */
  declare pollsLeft: number;
  /** The neighbours in its bucket, and its number; -1 for none. */
  declare previous: Request | undefined;
  declare next: Request | undefined;
  declare bucket: number;

  constructor(ring: RequestRing, traits: Traits, entry: Entry) {
    this.result = 0;
    this.completionFlags = 0;
    this.work = noWork;
    this.isFailed = false;
    this.skipsLinks = false;
    this.isMultishot = false;
    this.neverWaits = false;
    this.isAsync = false;
    this.wasPolled = false;
    this.timeoutState = "none";
    this.cancelSequence = 0;
    this.events = 0;
    this.isOneShot = false;
    this.wakeUps = 0;
    this.isCancelled = false;
    this.isInQueue = false;
    this.pollsLeft = 128;
    this.bucket = -1;
    this.file = undefined;
    this.link = undefined;
    this.previous = undefined;
    this.next = undefined;
    this.ring = ring;
    this.traits = traits;
    this.operation = entry.operation;
    this.flags = entry.flags;
    this.fd = entry.fd;
    this.tagLow = entry.tagLow;
    this.tagHigh = entry.tagHigh;
  }

  /** Reads the submission, which the program may change afterwards. @returns 0, or `-errno`. */
  abstract prepare(entry: Entry): number;

  /** Performs the operation, or a part of it. @param mode - Bits of {@link ISSUE}. @returns See {@link ISSUED}. */
  abstract issue(mode: number): number;

  /** It fails with {@link Request.result}, which it may replace by what it has done before. */
  failed(): void {}

  /** It is over: releases what it holds. */
  released(): void {}

  get isExclusive(): boolean {
    return this.traits.isExclusive === true;
  }

  wake(mask: number): boolean {
    return this.ring.woken(this, mask);
  }

  /** Whether a request may be behind it. */
  get isLinked(): boolean {
    return (this.flags & LINKS) !== 0;
  }

  get skipsCompletion(): boolean {
    return (this.flags & IOSQE_CQE_SKIP_SUCCESS) !== 0;
  }

  /** Source: req_set_fail in io_uring/io_uring.h. */
  setFailed(): void {
    this.isFailed = true;
    if (!this.skipsCompletion) return;
    this.flags &= ~IOSQE_CQE_SKIP_SUCCESS;
    this.skipsLinks = true;
  }

  setResult(result: number, flags: number): void {
    this.result = result;
    this.completionFlags = flags;
  }

  /** Sets the result of an operation that is over, and fails it if the result is negative. */
  completeWith(result: number): number {
    if (result < 0) this.setFailed();
    this.setResult(result, 0);
    return ISSUED.complete;
  }
}

function noWork(): void {}

/**
 * A submission in the shared queue.
 *
 * Source: struct io_uring_sqe in include/uapi/linux/io_uring.h.
 */
export class Entry {
  readonly #words: Uint32Array;
  /** The index of its first word. */
  at = 0;

  constructor(words: Uint32Array) {
    this.#words = words;
  }

  get operation(): number {
    return this.word(0) & 0xff;
  }
  get flags(): number {
    return (this.word(0) >>> 8) & 0xff;
  }
  get priority(): number {
    return this.word(0) >>> 16;
  }
  get fd(): number {
    return this.word(1) | 0;
  }
  /** `off`, up to 2 ** 53; -1 when all bits are set. Other operations have a second address here. */
  get offset(): number {
    const [low, high] = [this.word(2), this.word(3)];
    return low === 0xffff_ffff && high === low ? -1 : high * 0x1_0000_0000 + low;
  }
  get address(): number {
    return this.word(5) * 0x1_0000_0000 + this.word(4);
  }
  get length(): number {
    return this.word(6);
  }
  /** Flags whose meaning depends on the operation. */
  get operationFlags(): number {
    return this.word(7);
  }
  get tagLow(): number {
    return this.word(8);
  }
  get tagHigh(): number {
    return this.word(9);
  }
  /** The group of provided buffers, or the index of a registered one. */
  get group(): number {
    return this.word(10) & 0xffff;
  }
  get personality(): number {
    return this.word(10) >>> 16;
  }
  /** `optlen`, `splice_fd_in`, `file_index`. */
  get limit(): number {
    return this.word(11);
  }

  word(index: number): number {
    return this.#words[this.at + index] as number;
  }
}

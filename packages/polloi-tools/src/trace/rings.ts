import {
  type Arena,
  COMPLETION_BYTES,
  CQ,
  PARAMS,
  PARAMS_BYTES,
  SQ,
  SUBMISSION_BYTES,
} from "polloi/internal";
import { IORING_OFF_SQ_RING, IORING_OFF_SQES } from "polloi/uring";

/** A submission as it lies in the queue. */
export interface Submission {
  readonly operation: number;
  /** IOSQE_* bits. */
  readonly flags: number;
  /** The 16 bits in which multishot operations say so. */
  readonly priority: number;
  readonly fd: number;
  /** The tag of what is to be cancelled, in a cancellation. */
  readonly target: string;
  readonly address: number;
  readonly length: number;
  readonly operationFlags: number;
  readonly group: number;
  readonly tag: string;
}

/** A completion as it lies in the queue. */
export interface Completion {
  readonly tag: string;
  readonly result: number;
  readonly flags: number;
}

/** Both queues of one ring, read as the kernel reads them: from the memory that is shared with it. */
class Queues {
  rings: Arena | undefined;
  entries: Arena | undefined;
  readonly #params: Uint32Array;
  /** How far the submissions were read, and the completions. */
  #submitted = 0;
  #completed = 0;

  constructor(params: Uint32Array) {
    this.#params = params;
  }

  submissions(): Submission[] {
    const { rings, entries } = this;
    if (rings === undefined || entries === undefined) return [];
    const tail = this.#ringWord(PARAMS.sq, SQ.tail);
    const mask = this.#ringWord(PARAMS.sq, SQ.mask);
    const array = this.#offset(PARAMS.sq, SQ.array);
    const found: Submission[] = [];
    for (; this.#submitted !== tail; this.#submitted = (this.#submitted + 1) >>> 0) {
      const index = rings.u32[array + (this.#submitted & mask)] as number;
      found.push(submissionAt(entries, (index * SUBMISSION_BYTES) >> 2));
    }
    return found;
  }

  completions(): Completion[] {
    const { rings } = this;
    if (rings === undefined) return [];
    const tail = this.#ringWord(PARAMS.cq, CQ.tail);
    const mask = this.#ringWord(PARAMS.cq, CQ.mask);
    const first = this.#offset(PARAMS.cq, CQ.entries);
    const found: Completion[] = [];
    for (; this.#completed !== tail; this.#completed = (this.#completed + 1) >>> 0) {
      const at = first + (((this.#completed & mask) * COMPLETION_BYTES) >> 2);
      found.push({
        tag: tagAt(rings, at),
        result: rings.i32[at + 2] as number,
        flags: rings.u32[at + 3] as number,
      });
    }
    return found;
  }

  /** Where a piece of a queue is in the rings, in words of 32 bits. */
  #offset(queue: number, piece: number): number {
    return (this.#params[queue + piece] as number) >> 2;
  }

  #ringWord(queue: number, piece: number): number {
    return Atomics.load((this.rings as Arena).u32, this.#offset(queue, piece));
  }
}

function submissionAt({ u32, i32 }: Arena, at: number): Submission {
  const first = u32[at] as number;
  return {
    operation: first & 0xff,
    flags: (first >>> 8) & 0xff,
    priority: first >>> 16,
    fd: i32[at + 1] as number,
    target: `${u32[at + 5]}:${u32[at + 4]}`,
    address: (u32[at + 5] as number) * 0x1_0000_0000 + (u32[at + 4] as number),
    length: u32[at + 6] as number,
    operationFlags: u32[at + 7] as number,
    group: (u32[at + 10] as number) & 0xffff,
    tag: `${u32[at + 9]}:${u32[at + 8]}`,
  };
}

function tagAt({ u32 }: Arena, at: number): string {
  return `${u32[at + 1]}:${u32[at]}`;
}

/**
 * The rings of a kernel, as they are seen from the calls that make them.
 *
 * @remarks
 * io_uring has no call for an operation, so there is none to see: what is asked for, and what came of it,
 * is read from the rings themselves, before and after each io_uring_enter.
 */
export class Rings {
  readonly #queues: Map<number, Queues> = new Map();

  /** io_uring_setup gave `fd`, and wrote its parameters at `offset`. */
  made(fd: number, { u32 }: Arena, offset: number): void {
    const at = offset >> 2;
    this.#queues.set(fd, new Queues(u32.slice(at, at + (PARAMS_BYTES >> 2))));
  }

  /** Memory of the ring `fd` was mapped. */
  mapped(fd: number, offset: number, arena: Arena): void {
    const queues = this.#queues.get(fd);
    if (queues === undefined) return;
    if (offset === IORING_OFF_SQ_RING) queues.rings = arena;
    if (offset === IORING_OFF_SQES) queues.entries = arena;
  }

  closed(fd: number): void {
    this.#queues.delete(fd);
  }

  /** What was pushed into the queue since it was last asked. */
  submissions(fd: number): Submission[] {
    return this.#queues.get(fd)?.submissions() ?? [];
  }

  /** What came to its end since it was last asked. */
  completions(fd: number): Completion[] {
    return this.#queues.get(fd)?.completions() ?? [];
  }
}

import { ERRNO } from "../../src/base/errno.ts";
import { SYS } from "../../src/sys/abi.ts";
import type { Arena, ArenaPool } from "../../src/sys/arena.ts";
import type { Kernel } from "../../src/sys/kernel.ts";
import type { Libc } from "../../src/sys/libc.ts";
import { kernel } from "../../src/sys/open.ts";
import {
  IORING_OFF_SQ_RING,
  IORING_OP,
  IORING_REGISTER_PBUF_RING,
  IOSQE_IO_LINK,
  IOU_PBUF_RING_INC,
} from "../../src/uring/constants.ts";
import { BorrowedArenas } from "./arenas.ts";

const { scratch } = kernel;

const SUBMISSION_WORDS = 16;
const COMPLETION_WORDS = 4;
const LINK = IOSQE_IO_LINK << 8;

/** Remembers what is mapped of a ring. */
class WatchedArenas extends BorrowedArenas {
  readonly #onRing: (fd: number, arena: Arena, offset: number) => void;

  constructor(lender: ArenaPool, onRing: (fd: number, arena: Arena, offset: number) => void) {
    super(lender);
    this.#onRing = onRing;
  }

  override mapFile(fd: number, offset: number, byteLength: number): Arena {
    const arena = super.mapFile(fd, offset, byteLength);
    this.#onRing(fd, arena, offset);
    return arena;
  }
}

/** Both queues of a ring, as seen from the kernel's side. */
class Queues {
  readonly #params: Uint32Array;
  readonly submissions: Uint32Array;
  readonly #rings: Uint32Array;
  #seen = 0;

  constructor(params: Uint32Array, rings: Uint32Array, submissions: Uint32Array) {
    this.#params = params;
    this.#rings = rings;
    this.submissions = submissions;
  }

  /** Where the last `count` submissions are, in their order. */
  pending(count: number): number[] {
    const [tail, mask] = [this.#sq(1), this.#sq(2)];
    return Array.from({ length: count }, (_, i) => ((tail - count + i) & mask) * SUBMISSION_WORDS);
  }

  /** The completions that have come since this was last asked for. */
  fresh(): Int32Array[] {
    const [tail, mask] = [this.#cq(1), this.#cq(2)];
    const base = (this.#params[25] as number) >> 2;
    const found: Int32Array[] = [];
    for (; this.#seen !== tail; this.#seen = (this.#seen + 1) >>> 0) {
      const at = base + (this.#seen & mask) * COMPLETION_WORDS;
      const { buffer, byteOffset } = this.#rings;
      found.push(new Int32Array(buffer, byteOffset + at * 4, COMPLETION_WORDS));
    }
    return found;
  }

  #sq(field: number): number {
    return this.#rings[(this.#params[10 + field] as number) >> 2] as number;
  }

  #cq(field: number): number {
    return this.#rings[(this.#params[20 + field] as number) >> 2] as number;
  }
}

/** What is done to a ring by a kernel that is not quite the real one. */
export interface RingFaults {
  /** Called for each submission before the kernel has it: 16 words of it, from `at` on. */
  submitting?(words: Uint32Array, at: number): void;
  /** Called for each completion before its reader sees it: tag in two halves, result, flags. */
  completed?(completion: Int32Array): void;
}

/** Operations that a ring is made to refuse: they do nothing, and complete with an errno. */
export class Refusals {
  /** The results that are due, by tag: several where a chain of operations has one tag. */
  readonly #results = new Map<string, number[]>();

  /** Has a submission do nothing. What is linked behind it stays so. */
  refuse(words: Uint32Array, at: number, errno: number): void {
    const key = `${words[at + 8]}:${words[at + 9]}`;
    this.#results.set(key, [...(this.#results.get(key) ?? []), -errno]);
    const link = (words[at] as number) & LINK;
    words.fill(0, at, at + 8);
    words.fill(0, at + 10, at + 16);
    words[at] = IORING_OP.NOP | link;
  }

  /** Gives the completion of a submission that was refused its errno. */
  complete(completion: Int32Array): void {
    const [low, high, result, flags] = completion as unknown as [number, number, number, number];
    const key = `${low >>> 0}:${high >>> 0}`;
    const results = this.#results.get(key);
    if (results === undefined || result !== 0 || flags !== 0) return;
    completion[2] = results.shift() as number;
    if (results.length === 0) this.#results.delete(key);
  }
}

/** The parts of a kernel that change what goes through its rings. */
export function faultyRings(
  faults: RingFaults,
  { libc, arenas }: Pick<Kernel, "libc" | "arenas"> = kernel,
): Pick<Kernel, "arenas"> & Pick<Libc, "syscall"> {
  const rings = new Map<number, Queues>();
  let params = new Uint32Array();
  let memory: Arena | undefined;
  const watched = new WatchedArenas(arenas, (fd, arena, offset) => {
    if (offset === IORING_OFF_SQ_RING) memory = arena;
    else if (memory !== undefined) rings.set(fd, new Queues(params, memory.u32, arena.u32));
  });
  const syscall: Libc["syscall"] = (number, fd, count, ...rest) => {
    const ring = rings.get(fd);
    if (number === SYS.io_uring_enter && ring !== undefined && faults.submitting) {
      for (const at of ring.pending(count)) faults.submitting(ring.submissions, at);
    }
    const result = libc.syscall(number, fd, count, ...rest);
    if (number === SYS.io_uring_setup && result >= 0) params = scratch.u32.slice(0, 30);
    for (const completion of ring?.fresh() ?? []) faults.completed?.(completion);
    return result;
  };
  return { arenas: watched, syscall };
}

/** A kernel that does not know of buffers which are used up bit by bit, as before Linux 6.12. */
export function withoutIncrementalBuffers(from: Kernel): Kernel {
  const syscall: Libc["syscall"] = (number, fd, operation, ...rest) => {
    const asked = number === SYS.io_uring_register && operation === IORING_REGISTER_PBUF_RING;
    if (asked && ((scratch.u32[3] as number) >>> 16) & IOU_PBUF_RING_INC) return -ERRNO.EINVAL;
    return from.libc.syscall(number, fd, operation, ...rest);
  };
  return { ...from, libc: { ...from.libc, syscall } };
}

/** A kernel that refuses a multishot receive with a limit, as before Linux 6.17. */
export function withoutReceiveLimits(from: Kernel): Kernel {
  const refusals = new Refusals();
  const { arenas, syscall } = faultyRings(
    {
      submitting: (words, at) => {
        const isReceive = ((words[at] as number) & 0xff) === IORING_OP.RECV;
        if (isReceive && words[at + 11] !== 0) refusals.refuse(words, at, ERRNO.EINVAL);
      },
      completed: (completion) => refusals.complete(completion),
    },
    from,
  );
  return { ...from, arenas, libc: { ...from.libc, syscall } };
}

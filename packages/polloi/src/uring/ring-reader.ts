import { SYS } from "../sys/abi.ts";
import { type Arena, type Location, MemoryMap } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";
import { type MappedFile, proxyKernel } from "../sys/kernel-proxy.ts";
import type { Libc } from "../sys/libc.ts";
import {
  IORING_OFF_SQ_RING,
  IORING_OFF_SQES,
  IORING_OP,
  IORING_REGISTER_PBUF_RING,
  IORING_UNREGISTER_PBUF_RING,
  IOSQE_IO_LINK,
} from "./constants.ts";
import { COMPLETION_BYTES, CQ, PARAMS, PARAMS_BYTES, SQ, SUBMISSION_BYTES } from "./layout.ts";
import { AT_NUMBER, AT_TAIL, HALVES, WORDS } from "./provided-buffers.ts";
import { AT_LIMIT, FLAGS_SHIFT, PRIORITY_SHIFT } from "./submissions.ts";

const LINK = IOSQE_IO_LINK << FLAGS_SHIFT;

/** The words of a submission, 32 bits each, as the drawing in submissions.ts has them. */
const AT = {
  operation: 0,
  fd: 1,
  address: 4,
  length: 6,
  operationFlags: 7,
  tag: 8,
  group: 10,
  limit: AT_LIMIT,
  end: 16,
} as const;

/**
 * A submission in its queue, before the kernel has taken it. The kernel reads the values that are written here.
 *
 * @remarks
 * Valid until the kernel is entered, which frees the entry.
 */
export class SubmissionEntry {
  readonly #words: Uint32Array;
  readonly #at: number;

  constructor(words: Uint32Array, at: number) {
    this.#words = words;
    this.#at = at;
  }

  /** IORING_OP_*. */
  get operation(): number {
    return this.#word(AT.operation) & 0xff;
  }

  /** IOSQE_* bits. */
  get flags(): number {
    return (this.#word(AT.operation) >>> FLAGS_SHIFT) & 0xff;
  }

  set flags(flags: number) {
    this.#set(AT.operation, (this.#word(AT.operation) & ~0xff00) | (flags << FLAGS_SHIFT));
  }

  /** 16 bits that mark multishot operations. The field was once the I/O priority. */
  get priority(): number {
    return this.#word(AT.operation) >>> PRIORITY_SHIFT;
  }

  set priority(priority: number) {
    this.#set(AT.operation, (this.#word(AT.operation) & 0xffff) | (priority << PRIORITY_SHIFT));
  }

  get fd(): number {
    return this.#word(AT.fd) | 0;
  }

  get address(): number {
    return this.#word(AT.address + 1) * 0x1_0000_0000 + this.#word(AT.address);
  }

  /** In a cancellation, the tag of the operation to cancel. */
  get target(): string {
    return this.#pair(AT.address);
  }

  get length(): number {
    return this.#word(AT.length);
  }

  set length(length: number) {
    this.#set(AT.length, length);
  }

  /** Flags whose meaning depends on the operation. */
  get operationFlags(): number {
    return this.#word(AT.operationFlags);
  }

  /** The group of provided buffers. */
  get group(): number {
    return this.#word(AT.group) & 0xffff;
  }

  /** The number of bytes after which a multishot receive ends; 0 for no limit. */
  get limit(): number {
    return this.#word(AT.limit);
  }

  set limit(limit: number) {
    this.#set(AT.limit, limit);
  }

  /** The 64 bits that come back with each completion, as text. */
  get tag(): string {
    return this.#pair(AT.tag);
  }

  /** The upper 32 bits of the tag. */
  get tagHigh(): number {
    return this.#word(AT.tag + 1);
  }

  /** Makes it a NOP, which completes at once with the result 0. Its tag and its link remain. */
  clear(): void {
    const at = this.#at;
    const link = this.#word(AT.operation) & LINK;
    this.#words.fill(0, at, at + AT.tag);
    this.#words.fill(0, at + AT.group, at + AT.end);
    this.#set(AT.operation, IORING_OP.NOP | link);
  }

  #word(at: number): number {
    return this.#words[this.#at + at] as number;
  }

  #set(at: number, word: number): void {
    this.#words[this.#at + at] = word;
  }

  #pair(at: number): string {
    return `${this.#word(at + 1)}:${this.#word(at)}`;
  }
}

/**
 * A completion in its queue, before the program has read it.
 *
 * @remarks
 * Valid until the program gives the entry back to the kernel.
 */
export class CompletionEntry {
  readonly #arena: Arena;
  readonly #at: number;

  constructor(arena: Arena, at: number) {
    this.#arena = arena;
    this.#at = at;
  }

  /** The tag of the submission, as text. */
  get tag(): string {
    return `${this.tagHigh}:${this.#arena.u32[this.#at]}`;
  }

  /** The upper 32 bits of the tag. */
  get tagHigh(): number {
    return this.#arena.u32[this.#at + 1] as number;
  }

  /** `>= 0`, or `-errno`. */
  get result(): number {
    return this.#arena.i32[this.#at + 2] as number;
  }

  set result(result: number) {
    this.#arena.i32[this.#at + 2] = result;
  }

  /** IORING_CQE_F_* bits. */
  get flags(): number {
    return this.#arena.u32[this.#at + 3] as number;
  }
}

/** Called for what goes through the rings of a kernel. */
export interface RingHooks {
  /**
   * Called once for each submission, before the kernel takes it. The hook may change it.
   *
   * @returns `-errno` to have the operation fail with it: it does not begin. Undefined for any other.
   */
  readonly submitting?: (entry: SubmissionEntry) => number | undefined;
  /** Called once for each completion, before the program reads it. The hook may change its result. */
  readonly completed?: (entry: CompletionEntry) => void;
}

/** A provided buffer. */
interface Provided {
  /** The index of its entry in the ring. */
  readonly index: number;
  /** Its address. */
  readonly start: number;
  /** The address of the next byte that is received into it. */
  next: number;
}

/**
 * A group of buffers that a program provides, and the addresses of what the kernel receives into them.
 *
 * @remarks
 * A completion contains the number of a buffer, but not its address. Entries are read before the kernel sees them,
 * because it overwrites them with the remaining part of the buffer. A program may write the whole buffer there again.
 */
class BufferGroup {
  readonly #entries: Location;
  readonly #halves: Uint16Array;
  readonly #mask: number;
  /** The number of entries that were read. */
  #read = 0;
  /** By their number. */
  readonly #buffers: Map<number, Provided> = new Map();
  /** The buffer that was received into last, which may have a part left. */
  #last: Provided | undefined;

  constructor(entries: Location, count: number) {
    this.#entries = entries;
    this.#halves = new Uint16Array(entries.arena.u8.buffer);
    this.#mask = count - 1;
  }

  /** Reads the entries that were added, and the one that may have been written again. */
  read(): void {
    const last = this.#last;
    if (last !== undefined && this.#addressAt(last.index) === last.start) last.next = last.start;
    const tail = this.#halves[(this.#entries.offset >> 1) + AT_TAIL] as number;
    for (; (this.#read & 0xffff) !== tail; this.#read++) {
      const index = this.#read & this.#mask;
      const start = this.#addressAt(index);
      this.#buffers.set(this.#numberAt(index), { index, start, next: start });
    }
  }

  take(number: number, length: number): number | undefined {
    const buffer = this.#buffers.get(number);
    if (buffer === undefined) return undefined;
    const address = buffer.next;
    buffer.next += length;
    this.#last = buffer;
    return address;
  }

  #addressAt(index: number): number {
    const { arena, offset } = this.#entries;
    return arena.getWord(offset + index * WORDS * 4);
  }

  #numberAt(index: number): number {
    return this.#halves[(this.#entries.offset >> 1) + index * HALVES + AT_NUMBER] as number;
  }
}

/** One ring as its shared memory shows it, and how far it was read. */
class Queues {
  readonly #params: Uint32Array;
  rings: Arena | undefined;
  entries: Arena | undefined;
  #submitted = 0;
  #completed = 0;
  /** The results of operations that a hook has refused, by tag. Sends of one stream share a tag. */
  readonly refused: Map<string, number[]> = new Map();
  /** The groups of provided buffers, by their number. */
  readonly buffers: Map<number, BufferGroup> = new Map();

  constructor(params: Uint32Array) {
    this.#params = params;
  }

  submissions(): SubmissionEntry[] {
    const { rings, entries } = this;
    if (rings === undefined || entries === undefined) return [];
    const tail = this.#load(rings, PARAMS.sq + SQ.tail);
    const mask = this.#load(rings, PARAMS.sq + SQ.mask);
    const array = this.#offset(PARAMS.sq + SQ.array);
    const found: SubmissionEntry[] = [];
    for (; this.#submitted !== tail; this.#submitted = (this.#submitted + 1) >>> 0) {
      const index = rings.u32[array + (this.#submitted & mask)] as number;
      found.push(new SubmissionEntry(entries.u32, (index * SUBMISSION_BYTES) >> 2));
    }
    return found;
  }

  completions(): CompletionEntry[] {
    const { rings } = this;
    if (rings === undefined) return [];
    const tail = this.#load(rings, PARAMS.cq + CQ.tail);
    const mask = this.#load(rings, PARAMS.cq + CQ.mask);
    const first = this.#offset(PARAMS.cq + CQ.entries);
    const found: CompletionEntry[] = [];
    for (; this.#completed !== tail; this.#completed = (this.#completed + 1) >>> 0) {
      const at = first + (((this.#completed & mask) * COMPLETION_BYTES) >> 2);
      found.push(new CompletionEntry(rings, at));
    }
    return found;
  }

  /** The index of a field in the rings, in words of 32 bits. */
  #offset(param: number): number {
    return (this.#params[param] as number) >> 2;
  }

  #load(rings: Arena, param: number): number {
    return Atomics.load(rings.u32, this.#offset(param));
  }
}

/**
 * Reads the rings of all programs that use {@link RingReader.kernel}.
 *
 * @remarks
 * io_uring has no call for an operation that could be hooked. Submissions are therefore read from the ring before
 * io_uring_enter, and completions after it. This needs rings whose completions appear during a call only
 * (IORING_SETUP_DEFER_TASKRUN), as those of polloi are.
 *
 * @example
 * ```ts nocheck
 * const { kernel: refusing } = new RingReader(kernel, {
 *   submitting: ({ operation }) => (operation === IORING_OP.ACCEPT ? -ERRNO.EMFILE : undefined),
 * });
 * ```
 */
export class RingReader {
  /** The kernel to give to the program. */
  readonly kernel: Kernel;
  /** The memory that was mapped through it. */
  readonly memory: MemoryMap = new MemoryMap();
  readonly #hooks: RingHooks;
  /** By descriptor. */
  readonly #rings: Map<number, Queues> = new Map();

  /** @param hooks - Without them, {@link submissions} and {@link completions} are for the caller to read. */
  constructor(kernel: Kernel, hooks: RingHooks = {}) {
    this.#hooks = hooks;
    this.memory.add(kernel.scratch);
    this.kernel = proxyKernel(kernel, {
      calls: (libc) => this.#calls(libc),
      mapped: (arena, file) => this.#mapped(arena, file),
    });
  }

  /** The submissions to a ring since the last time. To be read before the kernel is entered. */
  submissions(fd: number): SubmissionEntry[] {
    return this.#rings.get(fd)?.submissions() ?? [];
  }

  /** The completions of a ring since the last time. To be read after the kernel was entered. */
  completions(fd: number): CompletionEntry[] {
    return this.#rings.get(fd)?.completions() ?? [];
  }

  /**
   * The address of bytes that were received into a provided buffer. To be called once for each completion with a
   * buffer, in order, because receives may share a buffer.
   *
   * @param buffer - The group and the number of the buffer.
   * @param length - The number of bytes that were received.
   */
  receivedAt(
    fd: number,
    buffer: { readonly group: number; readonly number: number },
    length: number,
  ): number | undefined {
    return this.#rings.get(fd)?.buffers.get(buffer.group)?.take(buffer.number, length);
  }

  #calls(libc: Libc): Partial<Libc> {
    return {
      close: (fd) => {
        this.#rings.delete(fd);
        return libc.close(fd);
      },
      syscall: (number, first, second, third, ...rest) => {
        if (number === SYS.io_uring_setup) {
          const fd = libc.syscall(number, first, second, third, ...rest);
          if (fd >= 0) this.#setUp(fd, second);
          return fd;
        }
        const ring = this.#rings.get(first);
        const enters = number === SYS.io_uring_enter;
        if (ring === undefined || (!enters && number !== SYS.io_uring_register)) {
          return libc.syscall(number, first, second, third, ...rest);
        }
        if (enters) this.#entering(ring);
        const result = libc.syscall(number, first, second, third, ...rest);
        if (!enters && result >= 0) this.#registered(ring, second, third);
        // io_uring_register completes the operations that it cancels.
        this.#completed(ring);
        return result;
      },
    };
  }

  #entering(ring: Queues): void {
    for (const group of ring.buffers.values()) group.read();
    const { submitting } = this.#hooks;
    if (submitting !== undefined) this.#submitting(ring, submitting);
  }

  #registered(ring: Queues, operation: number, argument: number): void {
    const added = operation === IORING_REGISTER_PBUF_RING;
    if (!added && operation !== IORING_UNREGISTER_PBUF_RING) return;
    const location = this.memory.find(argument);
    if (location === undefined) return;
    // struct io_uring_buf_reg: the address of the entries, their number, the group.
    const { arena, offset } = location;
    const count = arena.u32[(offset >> 2) + 2] as number;
    const group = (arena.u32[(offset >> 2) + 3] as number) & 0xffff;
    const entries = this.memory.find(arena.getWord(offset));
    if (added && entries !== undefined) ring.buffers.set(group, new BufferGroup(entries, count));
    else ring.buffers.delete(group);
  }

  #setUp(fd: number, params: number): void {
    const location = this.memory.find(params);
    if (location === undefined) return;
    const first = location.offset >> 2;
    const words = location.arena.u32.slice(first, first + (PARAMS_BYTES >> 2));
    this.#rings.set(fd, new Queues(words));
  }

  #mapped(arena: Arena, file: MappedFile | undefined): void {
    this.memory.add(arena);
    const ring = file === undefined ? undefined : this.#rings.get(file.fd);
    if (ring === undefined) return;
    if (file?.offset === IORING_OFF_SQ_RING) ring.rings = arena;
    if (file?.offset === IORING_OFF_SQES) ring.entries = arena;
  }

  #submitting(ring: Queues, submitting: NonNullable<RingHooks["submitting"]>): void {
    for (const entry of ring.submissions()) {
      const { tag } = entry;
      const result = submitting(entry);
      if (result === undefined) continue;
      entry.clear();
      ring.refused.set(tag, [...(ring.refused.get(tag) ?? []), result]);
    }
  }

  #completed(ring: Queues): void {
    const { submitting, completed } = this.#hooks;
    // Without hooks, the completions are for the caller to read.
    if (submitting === undefined && completed === undefined) return;
    for (const entry of ring.completions()) {
      const results = ring.refused.get(entry.tag);
      if (results !== undefined && entry.result === 0 && entry.flags === 0) {
        entry.result = results.shift() as number;
        if (results.length === 0) ring.refused.delete(entry.tag);
      }
      completed?.(entry);
    }
  }
}

/**
 * Shared memory through which the main thread controls a child thread, and a pipe that wakes the thread.
 *
 * A thread that sleeps in the kernel receives no message, and one that was terminated sends none. So the main thread
 * writes its requests into this memory and wakes the thread with a {@link Doorbell}; and the thread writes here what
 * the main thread must know at any time.
 */
import { check } from "../base/sys-error.ts";
import { O_CLOEXEC, O_NONBLOCK } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";

const STOPPING = 0;
const GRACE_MS = 1;
const OPEN = 2;
const ACCEPTED = 3;
const THREAD_ID = 4;
const STUCK = 5;
const PHASE = 6;
const PINGS = 7;
const PONGS = 8;
const ACCEPT = 9;
/** An even number, so that the mappings behind the fields are aligned. */
const FIELDS = 10;
/** Behind the fields: an address and a length for each mapping of a file, such as the memory of a ring. */
const MAPPINGS_AT = 4 * FIELDS;
const MAX_MAPPINGS = 16;

/** The fields of one thread. Each is written by one thread only. */
export class ControlBlock {
  /** Passed to the other thread, which makes a control block of it. */
  readonly memory: SharedArrayBuffer;
  readonly #fields: Int32Array;
  readonly #mappings: Float64Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(MAPPINGS_AT + 16 * MAX_MAPPINGS)) {
    this.memory = memory;
    this.#fields = new Int32Array(memory, 0, FIELDS);
    this.#mappings = new Float64Array(memory, MAPPINGS_AT);
  }

  /** The thread has mapped a file at `address`. When all entries are taken, the mapping is not recorded. */
  addMapping(address: number, length: number): void {
    const at = this.#findMapping(0);
    if (at < 0) return;
    this.#mappings[at + 1] = length;
    this.#mappings[at] = address;
  }

  /** Something else is mapped at `address` now. */
  removeMapping(address: number): void {
    const at = this.#findMapping(address);
    if (at >= 0) this.#mappings[at] = 0;
  }

  /** Returns the mappings that are left when the thread has ended, and forgets them. */
  takeMappings(): (readonly [address: number, length: number])[] {
    const left: [number, number][] = [];
    for (let at = 0; at < this.#mappings.length; at += 2) {
      const address = this.#mappings[at] as number;
      if (address !== 0) left.push([address, this.#mappings[at + 1] as number]);
      this.#mappings[at] = 0;
    }
    return left;
  }

  #findMapping(address: number): number {
    for (let at = 0; at < this.#mappings.length; at += 2) {
      if (this.#mappings[at] === address) return at;
    }
    return -1;
  }

  /** How many connections a worker has open. */
  get open(): number {
    return this.#fields[OPEN] as number;
  }
  set open(count: number) {
    this.#fields[OPEN] = count;
  }

  /** How many connections a worker has accepted. */
  get accepted(): number {
    return (this.#fields[ACCEPTED] as number) >>> 0;
  }
  set accepted(count: number) {
    this.#fields[ACCEPTED] = count;
  }

  /** The kernel's id of the thread; 0 until it runs. */
  get threadId(): number {
    return Atomics.load(this.#fields, THREAD_ID);
  }
  set threadId(id: number) {
    Atomics.store(this.#fields, THREAD_ID, id);
  }

  /** Whether the thread was terminated and runs on all the same: see `isStuck` in `descriptors.ts`. */
  get stuck(): boolean {
    return Atomics.load(this.#fields, STUCK) === 1;
  }
  set stuck(stuck: boolean) {
    Atomics.store(this.#fields, STUCK, stuck ? 1 : 0);
  }

  /** The phase of the thread's start: an index in `PHASES`. */
  get phase(): number {
    return Atomics.load(this.#fields, PHASE);
  }
  set phase(phase: number) {
    Atomics.store(this.#fields, PHASE, phase);
  }

  /** Asks for a sign of life. */
  ping(): void {
    Atomics.add(this.#fields, PINGS, 1);
  }

  /** Answers every ping so far. */
  pong(): void {
    Atomics.store(this.#fields, PONGS, Atomics.load(this.#fields, PINGS));
  }

  /** Whether the last ping was answered. */
  get hasAnswered(): boolean {
    return Atomics.load(this.#fields, PONGS) === Atomics.load(this.#fields, PINGS);
  }

  /** Asks the thread to accept the connections that wait on a listener shared with others. */
  requestAccept(): void {
    Atomics.store(this.#fields, ACCEPT, 1);
  }

  /** Whether {@link ControlBlock.requestAccept} was called since this was last called. */
  takeAccept(): boolean {
    return Atomics.exchange(this.#fields, ACCEPT, 0) === 1;
  }

  /** How long the thread may take to stop; null until it is asked to. */
  get graceMs(): number | null {
    if (Atomics.load(this.#fields, STOPPING) === 0) return null;
    return Atomics.load(this.#fields, GRACE_MS);
  }
  set graceMs(graceMs: number) {
    Atomics.store(this.#fields, GRACE_MS, Math.ceil(graceMs));
    Atomics.store(this.#fields, STOPPING, 1);
  }
}

/**
 * Wakes a thread that waits for its descriptor.
 *
 * @remarks
 * A pipe. An eventfd would do, except on Linux 6.12 and later: a ring that polls an eventfd signals its own eventfd at
 * most once (`__io_eventfd_signal` never clears IO_EVENTFD_OP_SIGNAL_BIT), so a reactor hosted on io_uring would not
 * be woken again.
 */
export class Doorbell {
  /** The end that the thread waits for. */
  readonly fd: number;
  readonly #kernel: Kernel;
  readonly #writer: number;

  /** @throws SysError `EMFILE` */
  constructor(kernel: Kernel) {
    const { libc, scratch } = kernel;
    check(libc.pipe2(scratch.address, O_CLOEXEC | O_NONBLOCK), "pipe2");
    this.#kernel = kernel;
    this.fd = scratch.i32[0] as number;
    this.#writer = scratch.i32[1] as number;
  }

  ring(): void {
    const { libc, scratch } = this.#kernel;
    // A pipe that is full has woken the thread already.
    libc.write(this.#writer, scratch.address, 1);
  }

  /** The thread must have ended. */
  close(): void {
    const { libc } = this.#kernel;
    libc.close(this.fd);
    libc.close(this.#writer);
  }
}

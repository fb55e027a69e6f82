import { ERRNO } from "../base/errno.ts";
import { SysError } from "../base/sys-error.ts";
import type { Balance, Completions, Engine } from "../engine/engine.ts";
import type { Arena } from "../sys/arena.ts";
import { outsideContexts } from "../sys/async-context.ts";
import type { Kernel } from "../sys/kernel.ts";
import { Blocks } from "./blocks.ts";
import { BufferPool } from "./buffer-pool.ts";
import { DatagramBuffers } from "./datagram-buffers.ts";
import { Timers } from "./timers.ts";

/** An engine reports at least this many events in a turn, if it has that many: io_uring completes twenty. */
const REPORTED_PER_TURN = 16;
/** The most turns that a limit waits for, in addition to those that all owners need. */
const MIN_TURNS = 4;

/** The owner of a slot of the engine. It overrides the methods for the events that it can have. */
export abstract class Owner {
  accepted(_fd: number): void {}
  acceptFailed(_errno: number): void {}
  connected(_errno: number): void {}
  received(_arena: Arena, _offset: number, _length: number): void {}
  sent(_length: number): void {}
  returned(): void {}
  failed(_errno: number, _syscall: string): void {}
  ready(_events: number): void {}
  /** A descriptor was closed, and this owner is one of {@link Loop.starved}. */
  descriptorFreed(): void {}
  /** Sends the data that was written since the last flush. */
  flush(): void {}
  /** Calls `drain`: the queued data has fallen to half of the high-water mark. */
  drain(): void {}
  /** Releases its slot and everything else that it holds, without calling a handler. */
  abstract abandon(): void;
  /** The reactor closes. @param error - The reason, if the engine has failed. */
  shut(_error?: Error): void {
    this.abandon();
  }
}

/** The driver of the loop if `run()` is not used: the runtime's event loop. */
export interface Host {
  /** There is work although no descriptor is ready: the loop must turn soon. */
  wake(): void;
  /** The first slot or timer that keeps the process alive was added, or the last one was removed. */
  keepAlive(alive: boolean): void;
}

/**
 * The event loop of a reactor: the owners of the engine's slots, and the order of a turn.
 *
 * @remarks
 * One turn: wait; report events to the owners, and after every few callbacks send what they wrote; fire the timers that
 * are due, and limits after a turn of the engine that reported nothing; call `drain`; send. An exception of a handler is
 * kept until the turn is over, so that it does not affect other connections.
 */
export class Loop implements Completions {
  readonly kernel: Kernel;
  readonly engine: Engine;
  readonly blocks: Blocks;
  readonly buffers: BufferPool = new BufferPool();
  readonly timers: Timers;
  /** The arena of the engine whose bytes are lent to a `data` handler that runs now. */
  lending: Arena | null = null;
  /** These bytes. Only arrays that the handler makes of them have to be compared by their buffer. */
  lent: Uint8Array | null = null;
  /** Owners that could not accept for lack of a descriptor. They retry when one is closed. */
  readonly starved: Set<Owner> = new Set();
  host: Host | undefined;
  /** Whether every owner is being shut. Nothing may be opened. */
  isShutting = false;
  /** Whether everything is released. Nothing may be called any more. */
  disposed = false;
  /** Whether the time that turns wait is measured. */
  measuresIdleTime = false;
  /** Called before written data is sent, once for all that is sent together. */
  beforeSends: (() => void) | undefined;
  /** Called when the engine has failed for good. Closes the reactor. */
  onEngineFailed: ((error: Error) => void) | undefined;

  #datagrams: DatagramBuffers | undefined;
  #owners: (Owner | undefined)[] = [];
  /** Owners without a slot that keep the process alive. */
  readonly #held: Set<Owner> = new Set();
  #freeSlots: number[] = [];
  /** The owners to flush are the first `#dirtyCount`. Emptying an array costs more than counting. */
  readonly #dirty: Owner[] = [];
  #dirtyCount = 0;
  #drained: Owner[] = [];
  #failures: unknown[] = [];
  #turning = false;
  #flushScheduled = false;
  /** Slots and timers that keep the process alive. */
  #references = 0;
  /** Slots of owners that do not keep the process alive. */
  #inBackground = 0;
  /** The time when the wait of this turn began and when it ended, if it was needed; otherwise NaN. */
  #begunAt = Number.NaN;
  #wokenAt = Number.NaN;
  /** The time in milliseconds that turns have waited, while {@link Loop.measuresIdleTime}. */
  #idleMs = 0;
  /** The number of turns in which the engine reported something while limits were overdue. */
  #turnsOverdue = 0;

  constructor(kernel: Kernel, makeEngine: (completions: Completions) => Engine) {
    this.kernel = kernel;
    this.engine = makeEngine(this);
    this.blocks = new Blocks(kernel);
    this.timers = new Timers(
      kernel,
      () => {
        if (!this.#turning) this.host?.wake();
      },
      (change) => this.reference(change),
    );
  }

  /** The memory of datagram sockets, which is mapped for the first of them. */
  get datagrams(): DatagramBuffers {
    this.#datagrams ??= new DatagramBuffers(this.kernel);
    return this.#datagrams;
  }

  /** Whether a turn is in progress. */
  get turning(): boolean {
    return this.#turning;
  }

  /** Whether anything is open that can have an event. */
  get alive(): boolean {
    return this.#references > 0 || this.#drained.length > 0;
  }

  /** Whether anything is open, also what does not keep the process alive. */
  get open(): boolean {
    return this.alive || this.#inBackground > 0;
  }

  /** An owner of a slot does not keep the process alive any more (`1`), or does again (`-1`). */
  background(change: 1 | -1): void {
    this.#inBackground += change;
    this.reference(change === 1 ? -1 : 1);
  }

  /** Keeps the process alive for `owner`, which has no slot yet, and shuts it when the reactor closes. */
  hold(owner: Owner): void {
    this.#held.add(owner);
    this.reference(1);
  }

  /** Undoes {@link Loop.hold}. */
  release(owner: Owner): void {
    if (this.#held.delete(owner)) this.reference(-1);
  }

  /** Allocates a slot. */
  take(owner: Owner): number {
    const slot = this.#freeSlots.pop() ?? this.#owners.length;
    this.#owners[slot] = owner;
    this.reference(1);
    return slot;
  }

  /** Frees a slot that the engine does not use. */
  giveBack(slot: number): void {
    this.#owners[slot] = undefined;
    this.#freeSlots.push(slot);
    this.reference(-1);
  }

  /** Visits every owner of a slot. Owners that are added meanwhile are not visited. */
  forEach(visit: (owner: Owner) => void): void {
    for (const owner of [...this.#owners]) if (owner !== undefined) visit(owner);
  }

  /** Gives a slot to another owner. */
  give(slot: number, owner: Owner): number {
    this.#owners[slot] = owner;
    return slot;
  }

  /** Counts the things that keep the process alive: one more (`1`), or one less (`-1`). */
  reference(change: 1 | -1): void {
    const before = this.#references;
    this.#references += change;
    if (before === 0) this.host?.keepAlive(true);
    else if (this.#references === 0) this.host?.keepAlive(false);
  }

  /** Flushes `owner` when the engine settles. */
  markDirty(owner: Owner): void {
    this.#dirty[this.#dirtyCount++] = owner;
    if (this.#turning || this.#flushScheduled) return;
    // Written outside a turn, by a promise or a timer: everything it writes leaves in one send.
    this.#flushScheduled = true;
    queueMicrotask(() => {
      this.#flushScheduled = false;
      outsideContexts(() => this.flush(), undefined);
    });
  }

  /** Calls back when the current callback has returned, also under `run()`, where microtasks do not run. */
  soon(callback: () => void): void {
    if (this.#turning) this.timers.add(0, callback, true);
    else queueMicrotask(() => outsideContexts(callback, undefined));
  }

  /** Calls `drain` of `owner` once, at the end of this turn or of the next. */
  markDrained(owner: Owner): void {
    this.#drained.push(owner);
    if (!this.#turning) this.host?.wake();
  }

  /** Fails the process with an exception of a handler, once this turn is over. */
  fail(error: unknown): void {
    if (this.#turning) this.#failures.push(error);
    else
      queueMicrotask(() => {
        throw error;
      });
  }

  flush(): void {
    const dirty = this.#dirty;
    if (this.beforeSends !== undefined) this.#invoke(this.beforeSends);
    // An index and no copy: a flush that fails calls handlers, which may write to other connections.
    for (let i = 0; i < this.#dirtyCount; i++) (dirty[i] as Owner).flush();
    this.#dirtyCount = 0;
  }

  /**
   * One turn.
   *
   * @param timeoutMs - The longest wait in milliseconds; -1 waits without a limit. Timers shorten it.
   * @returns The number of events that were handled.
   * @throws the exception of a handler if there was no `error` handler for it; an AggregateError of several; the error of
   * an engine that fails, after which the reactor is closed.
   */
  turn(timeoutMs: number): number {
    if (this.#turning) return 0;
    this.#turning = true;
    let happened = 0;
    try {
      this.settle();
      const { overdue } = this.timers;
      const reported = this.#engineTurn(timeoutMs);
      happened = reported;
      if (overdue > 0) happened += this.#fireLimits(overdue, reported);
      if (this.#mayBeDue()) happened += this.timers.fire(this.#invoke);
      if (this.#drained.length > 0) happened += this.#drain();
      this.settle();
    } finally {
      this.#turning = false;
    }
    // Data that a `drain` handler wrote may be sent by now, and then no event of the engine follows.
    if (this.#drained.length > 0 || this.timers.overdue > 0) this.host?.wake();
    if (this.#failures.length > 0) this.#throw();
    return happened;
  }

  /** The time when the wait of the last turn ended; the present time if that turn did not need it. */
  get wokenAt(): number {
    return Number.isNaN(this.#wokenAt) ? this.kernel.now() : this.#wokenAt;
  }

  /** Returns the time in milliseconds that turns have waited since the last call. */
  takeIdleTime(): number {
    const idleMs = this.#idleMs;
    this.#idleMs = 0;
    return idleMs;
  }

  /** Submits pending operations to the engine, because the loop may not turn for a while. */
  submit(): void {
    try {
      this.engine.submit();
    } catch (error) {
      this.#engineFailed(error);
    }
  }

  /** Shuts every owner. */
  shut(error?: Error): void {
    this.isShutting = true;
    for (const owner of this.#held) owner.shut(error);
    for (const owner of this.#owners) owner?.shut(error);
    this.isShutting = false;
    this.#drained = [];
  }

  /** Shuts every owner and releases everything at once. */
  dispose(error?: Error): void {
    this.shut(error);
    this.disposed = true;
    this.timers.clear();
    this.engine.dispose();
    this.blocks.dispose();
    this.#datagrams?.dispose();
  }

  /** The hint for a descriptor that select() refused for its number; undefined for any other error. */
  descriptorHint(errno: number): string | undefined {
    if (this.engine.name !== "select" || Math.abs(errno) !== ERRNO.EINVAL) return undefined;
    return "select() holds fds below 1024; use poll or epoll";
  }

  /** The error for a descriptor that the engine refused. */
  descriptorError(syscall: string, errno: number, fd: number): SysError {
    return new SysError(syscall, errno, { fd, hint: this.descriptorHint(errno) });
  }

  /** The resources that the loop and its engine use. The program's own timers are not counted. */
  balance(): Balance {
    const balance = this.engine.balance();
    balance.owners = this.#owners.length - this.#freeSlots.length;
    balance.ownersWithoutSlot = this.#held.size;
    balance.starved = this.starved.size;
    balance.blocks = this.blocks.used;
    balance.timers = this.timers.internal;
    balance.references = this.#references - this.timers.keepingAlive;
    return balance;
  }

  // The reports of the engine, in the order of Completions.

  accepted(slot: number, fd: number): void {
    this.#owners[slot]?.accepted(fd);
  }

  acceptFailed(slot: number, errno: number): void {
    this.#owners[slot]?.acceptFailed(errno);
  }

  connected(slot: number, errno: number): void {
    this.#owners[slot]?.connected(errno);
  }

  received(slot: number, arena: Arena, offset: number, length: number): void {
    this.#owners[slot]?.received(arena, offset, length);
  }

  sent(slot: number, length: number): void {
    this.#owners[slot]?.sent(length);
  }

  returned(slot: number): void {
    this.#owners[slot]?.returned();
  }

  failed(slot: number, errno: number, syscall: string): void {
    this.#owners[slot]?.failed(errno, syscall);
  }

  ready(slot: number, events: number): void {
    this.#owners[slot]?.ready(events);
  }

  released(slot: number): void {
    this.giveBack(slot);
    // A copy, because an owner that fails again is added again.
    if (this.starved.size > 0) for (const owner of [...this.starved]) owner.descriptorFreed();
  }

  settle(): void {
    if (this.#dirtyCount > 0) this.flush();
  }

  woken(): void {
    if (Number.isNaN(this.#begunAt)) return;
    const now = this.kernel.now();
    this.#idleMs += now - this.#begunAt;
    this.#begunAt = now;
    this.#wokenAt = now;
  }

  pending(): void {
    this.host?.wake();
  }

  readonly #invoke = (callback: () => void): void => {
    try {
      callback();
    } catch (error) {
      this.fail(error);
    }
  };

  #engineTurn(timeoutMs: number): number {
    try {
      const waitMs = this.#waitFor(timeoutMs);
      const begunAt = this.#begunAt;
      return this.engine.turn(waitMs, Number.isNaN(begunAt) ? undefined : begunAt);
    } catch (error) {
      this.#engineFailed(error);
    }
  }

  /** Nothing that is open can have an event any more. */
  #engineFailed(error: unknown): never {
    this.#turning = false;
    this.onEngineFailed?.(error as Error);
    throw error;
  }

  /**
   * Fires limits that were overdue before the engine's last turn, if nothing that arrived before is unreported.
   *
   * @remarks
   * An engine reports some of the ready descriptors in a turn, those first that have waited longest. Descriptors that
   * are always ready do not delay a limit for more turns than all owners need.
   */
  #fireLimits(overdue: number, reported: number): number {
    const owners = this.#owners.length - this.#freeSlots.length;
    const enough = MIN_TURNS + owners / REPORTED_PER_TURN;
    if (reported > 0 && ++this.#turnsOverdue < enough) return 0;
    this.#turnsOverdue = 0;
    return this.timers.fireLimits(overdue, this.#invoke);
  }

  #waitFor(timeoutMs: number): number {
    this.#begunAt = Number.NaN;
    this.#wokenAt = Number.NaN;
    if (this.#drained.length > 0 || this.timers.overdue > 0) return 0;
    const { deadline } = this.timers;
    const isUnlimited = deadline === Number.POSITIVE_INFINITY;
    if (isUnlimited && !this.measuresIdleTime) return timeoutMs;
    const now = this.kernel.now();
    this.#begunAt = now;
    if (isUnlimited) return timeoutMs;
    const left = Math.max(0, deadline - now);
    return timeoutMs < 0 ? left : Math.min(left, timeoutMs);
  }

  /** Whether a timer may be due. One that has become due since the wait ended is fired in the next turn. */
  #mayBeDue(): boolean {
    const { size, deadline } = this.timers;
    return size > 0 && !(deadline > this.#wokenAt);
  }

  #drain(): number {
    const drained = this.#drained;
    this.#drained = [];
    // An owner that fills and drains again meanwhile waits for the next turn.
    for (const owner of drained) owner.drain();
    return drained.length;
  }

  #throw(): never {
    const failures = this.#failures;
    this.#failures = [];
    if (failures.length === 1) throw failures[0];
    throw new AggregateError(failures, `${failures.length} handlers threw in one turn`);
  }
}

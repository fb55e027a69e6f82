import { ERRNO } from "../base/errno.ts";
import { SysError } from "../base/sys-error.ts";
import type { Balance, Completions, Engine } from "../engine/engine.ts";
import type { Arena } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";
import { Blocks } from "./blocks.ts";
import { Copies } from "./copies.ts";
import { Timers } from "./timers.ts";

/** An engine reports at least this many events in a turn, if there are as many: io_uring completes twenty. */
const REPORTED_PER_TURN = 16;
/** Turns that a limit waits for at most, beside those that all owners need. */
const MIN_TURNS = 4;

/** Whoever has a slot. It overrides what can happen to it. */
export abstract class Owner {
  accepted(_fd: number): void {}
  acceptFailed(_errno: number): void {}
  connected(_errno: number): void {}
  received(_arena: Arena, _offset: number, _length: number): void {}
  sent(_length: number): void {}
  returned(): void {}
  failed(_errno: number, _syscall: string): void {}
  ready(_events: number): void {}
  /** A descriptor was closed, and this owner is among the starved. */
  descriptorFreed(): void {}
  /** Sends what was written since the last flush. */
  flush(): void {}
  /** Tells that what was written has gone down below the high-water mark. */
  drain(): void {}
  /** Gives up its slot and all else that it holds, and tells nobody. */
  abstract abandon(): void;
  /** The reactor closes; `error` is why, if it did not do so by itself. */
  shut(_error?: Error): void {
    this.abandon();
  }
}

/** Who lets the loop turn: the runtime's own event loop, or nobody but `run()`. */
export interface Host {
  /** Something is to be done, although nothing is ready: turn soon. */
  wake(): void;
  /** The first slot or timer that keeps the process alive came, or the last one went. */
  keepAlive(alive: boolean): void;
}

/**
 * The inside of a reactor: who owns which slot, what happens in a turn and in which order.
 *
 * @remarks
 * One turn: wait; tell the owners what came, and every few call-backs send what they wrote; fire the
 * timers that are due, limits after the engine has had a turn in which it reported nothing; tell those who may write again; send. What a handler throws is kept until the turn
 * is over, so that one bad handler takes nothing from the others.
 */
export class Loop implements Completions {
  readonly kernel: Kernel;
  readonly engine: Engine;
  readonly blocks: Blocks;
  readonly copies: Copies = new Copies();
  readonly timers: Timers;
  /** The engine's memory, while a `data` handler has bytes of it on loan. */
  lending: Arena | null = null;
  /** Who could not accept for want of descriptors, and tries again when one is free. */
  readonly starved: Set<Owner> = new Set();
  host: Host | undefined;
  /** Whether everything is given back, and nothing may be called any more. */
  disposed = false;
  /** Called before what was written leaves: once for all that leaves together. */
  beforeSends: (() => void) | undefined;
  /** Called when the engine has failed, which it does for good: closes the reactor. */
  onEngineFailed: ((error: Error) => void) | undefined;

  #owners: (Owner | undefined)[] = [];
  /** Who is at work without a slot. */
  readonly #held: Set<Owner> = new Set();
  #freeSlots: number[] = [];
  /** Who is to be flushed: the first `#dirtyCount` of them. Emptying an array costs more than counting. */
  readonly #dirty: Owner[] = [];
  #dirtyCount = 0;
  #drained: Owner[] = [];
  #failures: unknown[] = [];
  #turning = false;
  #flushScheduled = false;
  /** Slots and timers that keep the process alive. */
  #references = 0;
  /** Turns in which the engine reported something while limits were overdue. */
  #turnsOverdue = 0;

  constructor(kernel: Kernel, makeEngine: (completions: Completions) => Engine) {
    this.kernel = kernel;
    this.engine = makeEngine(this);
    this.blocks = new Blocks(kernel);
    this.timers = new Timers(
      () => {
        if (!this.#turning) this.host?.wake();
      },
      (change) => this.reference(change),
    );
  }

  /** Whether it is within a turn, and calls back. */
  get turning(): boolean {
    return this.#turning;
  }

  /** Whether anything is left that could ever happen. */
  get alive(): boolean {
    return this.#references > 0 || this.#drained.length > 0;
  }

  /** Keeps the process alive for `owner`, which has no slot yet, and closes it with the reactor. */
  hold(owner: Owner): void {
    this.#held.add(owner);
    this.reference(1);
  }

  letGo(owner: Owner): void {
    if (this.#held.delete(owner)) this.reference(-1);
  }

  take(owner: Owner): number {
    const slot = this.#freeSlots.pop() ?? this.#owners.length;
    this.#owners[slot] = owner;
    this.reference(1);
    return slot;
  }

  /** Takes a slot back that the engine never had, or has no more. */
  giveBack(slot: number): void {
    this.#owners[slot] = undefined;
    this.#freeSlots.push(slot);
    this.reference(-1);
  }

  /** Every owner of a slot. Owners that come meanwhile are not visited. */
  forEach(visit: (owner: Owner) => void): void {
    for (const owner of [...this.#owners]) if (owner !== undefined) visit(owner);
  }

  /** Hands a slot on to another owner. */
  give(slot: number, owner: Owner): number {
    this.#owners[slot] = owner;
    return slot;
  }

  /** Keeps the process alive for one thing more (`1`), or for one less (`-1`). */
  reference(change: 1 | -1): void {
    const before = this.#references;
    this.#references += change;
    if (before === 0) this.host?.keepAlive(true);
    else if (this.#references === 0) this.host?.keepAlive(false);
  }

  /** `owner` has something to send: it will be flushed when the engine settles. */
  markDirty(owner: Owner): void {
    this.#dirty[this.#dirtyCount++] = owner;
    if (this.#turning || this.#flushScheduled) return;
    // Written from outside of a turn, by a promise or a timer: all it writes leaves as one send.
    this.#flushScheduled = true;
    queueMicrotask(() => {
      this.#flushScheduled = false;
      this.flush();
    });
  }

  /** Calls back when what is under way has returned, also in `run()`, which leaves no time for microtasks. */
  soon(callback: () => void): void {
    if (this.#turning) this.timers.add(0, callback, true);
    else queueMicrotask(callback);
  }

  /** `owner` may write again: it will hear of it once, at the end of this turn or of the next. */
  markDrained(owner: Owner): void {
    this.#drained.push(owner);
    if (!this.#turning) this.host?.wake();
  }

  /** A handler threw and nobody caught it: the process is to fail, once this turn is over. */
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
    // Not for-of over a copy: a flush that fails closes, and what is called then may write to others.
    for (let i = 0; i < this.#dirtyCount; i++) (dirty[i] as Owner).flush();
    this.#dirtyCount = 0;
  }

  /**
   * One turn.
   *
   * @param timeoutMs - The longest to wait, -1 for ever; timers shorten it.
   * @returns How many things happened.
   * @throws what a handler threw that had no `error` to go to; an AggregateError when there are several; what the
   * engine fails with, after which the reactor is closed.
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
      if (this.timers.size > 0) happened += this.timers.fire(this.#invoke);
      if (this.#drained.length > 0) happened += this.#drain();
      this.settle();
    } finally {
      this.#turning = false;
    }
    // What was written on being told of room may have gone just now, and nothing else may ever happen.
    if (this.#drained.length > 0 || this.timers.overdue > 0) this.host?.wake();
    if (this.#failures.length > 0) this.#throw();
    return happened;
  }

  /** Has the engine start what was asked for, before the loop may not turn for a while. */
  submit(): void {
    try {
      this.engine.submit();
    } catch (error) {
      this.#engineFailed(error);
    }
  }

  /** Ends whatever has a slot, or waits for one. */
  shut(error?: Error): void {
    for (const owner of this.#held) owner.shut(error);
    for (const owner of this.#owners) owner?.shut(error);
    this.#drained = [];
  }

  /** Ends everything at once. */
  dispose(error?: Error): void {
    this.shut(error);
    this.disposed = true;
    this.timers.clear();
    this.engine.dispose();
    this.blocks.dispose();
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

  /** What the loop and its engine have in use. The timers that a program has set are its own, and are not counted. */
  balance(): Balance {
    return {
      ...this.engine.balance(),
      owners: this.#owners.reduce((used, owner) => (owner === undefined ? used : used + 1), 0),
      ownersWithoutSlot: this.#held.size,
      starved: this.starved.size,
      blocks: this.blocks.used,
      timers: this.timers.internal,
      references: this.#references - this.timers.keepingAlive,
    };
  }

  // What the engine tells, in the order of Completions.

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
    if (this.starved.size > 0) for (const owner of this.starved) owner.descriptorFreed();
  }

  settle(): void {
    if (this.#dirtyCount > 0) this.flush();
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
      return this.engine.turn(this.#waitFor(timeoutMs));
    } catch (error) {
      this.#engineFailed(error);
    }
  }

  /** Whatever is open would never be heard of again. */
  #engineFailed(error: unknown): never {
    this.#turning = false;
    this.onEngineFailed?.(error as Error);
    throw error;
  }

  /**
   * Fires limits that were overdue before the engine's last turn, once it reports nothing that has arrived by then.
   *
   * @remarks
   * An engine reports a few of those that are ready in a turn, the ones that have waited for longest first. Those
   * that are always ready again do not delay a limit for more turns than all owners need.
   */
  #fireLimits(overdue: number, reported: number): number {
    const owners = this.#owners.length - this.#freeSlots.length;
    const enough = MIN_TURNS + owners / REPORTED_PER_TURN;
    if (reported > 0 && ++this.#turnsOverdue < enough) return 0;
    this.#turnsOverdue = 0;
    return this.timers.fireLimits(overdue, this.#invoke);
  }

  #waitFor(timeoutMs: number): number {
    if (this.#drained.length > 0 || this.timers.overdue > 0) return 0;
    const { deadline } = this.timers;
    if (deadline === Number.POSITIVE_INFINITY) return timeoutMs;
    const left = Math.max(0, deadline - performance.now());
    return timeoutMs < 0 ? left : Math.min(left, timeoutMs);
  }

  #drain(): number {
    const drained = this.#drained;
    this.#drained = [];
    // Who can write more at once, and is drained at once, has its turn after all the others.
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

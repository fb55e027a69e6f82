import { SysError } from "../base/sys-error.ts";
import { isOutOfResources } from "../engine/calls.ts";
import { outsideContexts } from "../sys/async-context.ts";
import type { JointWait, LoopTimer, LoopWatch } from "../sys/kernel.ts";
import type { Host, Loop } from "./loop.ts";

/** If there is no free descriptor for the watch, the reactor takes a turn this often and tries again. */
const STARVED_MS = 20;

/**
 * Runs a reactor inside the runtime's event loop, next to timers, promises, fetch and signal handlers.
 *
 * @remarks
 * The runtime watches one descriptor, the engine's. When it is readable, the reactor takes a turn that does not wait. One
 * timer of the runtime, set for the earliest deadline, serves all timers of the reactor.
 *
 * While there is work, a runtime may let turns wait instead, for its own descriptor and for those of the engine.
 */
export class Hosted implements Host, JointWait {
  readonly #loop: Loop;
  #watch: LoopWatch | undefined;
  #timeout: LoopTimer | undefined;
  #timeoutAt = Number.POSITIVE_INFINITY;
  #starving: LoopTimer | undefined;
  #starting = false;
  #waking = false;
  #ended = false;
  /** The descriptor of the runtime's loop during joint turns, otherwise -1. */
  #loopFd = -1;
  /** Whether the waits of the engine include it. */
  #isIncluded = false;
  readonly #takeTurn = (timeoutMs: number): number => this.#loop.turn(timeoutMs);

  constructor(loop: Loop) {
    this.#loop = loop;
  }

  wake(): void {
    // Joint turns follow each other.
    if (this.#waking || this.#ended || this.#loopFd >= 0) return;
    this.#waking = true;
    this.#loop.kernel.soon(() => {
      this.#waking = false;
      this.#turn();
    });
  }

  keepAlive(alive: boolean): void {
    if (this.#watch === undefined) {
      if (alive) this.#startSoon();
      return;
    }
    if (alive) this.#watch.ref();
    else this.#watch.unref();
    this.#armTimeout();
  }

  get isLoopReady(): boolean {
    return !this.#isIncluded || this.#loop.engine.isLoopReady;
  }

  join(loopFd: number): boolean {
    if (!this.#include(loopFd)) return false;
    this.#loopFd = loopFd;
    this.#loop.measuresIdleTime = true;
    this.#timeout?.cancel();
    this.#timeoutAt = Number.POSITIVE_INFINITY;
    return true;
  }

  turn(timeoutMs: number): boolean {
    return outsideContexts(this.#takeTurn, this.#include(this.#loopFd) ? timeoutMs : 0) > 0;
  }

  get wokenAt(): number {
    return this.#loop.wokenAt;
  }

  takeIdleTime(): number {
    return this.#loop.takeIdleTime();
  }

  leave(): void {
    this.exclude();
    this.#loopFd = -1;
    this.#loop.measuresIdleTime = false;
    // Work that was announced is done then, and the timeout of the next timer is set.
    this.wake();
  }

  #include(loopFd: number): boolean {
    if (!this.#isIncluded) this.#isIncluded = this.#loop.engine.include(loopFd) >= 0;
    return this.#isIncluded;
  }

  /** The next turn is the program's own, and does not end for the sake of the runtime's loop. */
  exclude(): void {
    if (this.#isIncluded) this.#loop.engine.exclude();
    this.#isIncluded = false;
  }

  /** Stops running inside the runtime's loop. */
  end(): void {
    this.#ended = true;
    this.#watch?.stop();
    this.#watch = undefined;
    this.#timeout?.cancel();
    this.#starving?.cancel();
  }

  /** Starts after the current task, because a program that calls `run()` next needs no watch. */
  #startSoon(): void {
    if (this.#starting || this.#starving !== undefined) return;
    this.#starting = true;
    queueMicrotask(() => {
      this.#starting = false;
      if (this.#ended || !this.#loop.open) return;
      this.#start();
    });
  }

  #start(): void {
    const { kernel, engine } = this.#loop;
    try {
      this.#watch = kernel.watch(engine.fileno(), () => this.#turn(), this);
      if (!this.#loop.alive) this.#watch.unref();
    } catch (error) {
      if (!(error instanceof SysError && isOutOfResources(-error.errno))) throw error;
      this.#starving = kernel.after(STARVED_MS, () => {
        this.#starving = undefined;
        this.#turn();
        if (this.#loop.open && !this.#ended) this.#start();
      });
    }
    this.#armTimeout();
  }

  #turn(): boolean {
    if (this.#ended) return false;
    try {
      // It may have been scheduled by a callback of the program, within a context.
      return outsideContexts(this.#takeTurn, 0) > 0;
    } finally {
      this.#armTimeout();
    }
  }

  #armTimeout(): void {
    const { kernel, timers } = this.#loop;
    const { deadline } = timers;
    if (this.#ended || this.#loopFd >= 0) return;
    const leftMs = deadline - kernel.now();
    // A timer of the runtime takes at least a millisecond.
    if (leftMs <= 0) {
      this.wake();
      return;
    }
    // A timer that is set for an earlier time stays: a turn without work costs less than setting it again.
    if (deadline < this.#timeoutAt) {
      this.#timeout?.cancel();
      this.#timeoutAt = deadline;
      this.#timeout = kernel.after(leftMs, () => {
        this.#timeoutAt = Number.POSITIVE_INFINITY;
        this.#turn();
      });
    }
    if (this.#loop.alive) this.#timeout?.ref();
    else this.#timeout?.unref();
  }
}

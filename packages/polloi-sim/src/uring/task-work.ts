import { IORING_SQ_TASKRUN } from "polloi/internal/pure";
import type { Choices } from "../base/choices.ts";
import type { Faults } from "../base/faults.ts";
import type { Request, Work } from "./request.ts";
import type { SharedRings } from "./shared-rings.ts";

/** How much one call runs, unless more completions are wanted: IO_LOCAL_TW_DEFAULT_MAX. */
export const DEFAULT_MAX = 20;
/** The weight of work that wakes a thread which waits for any number of completions: IO_CQ_WAKE_FORCE. */
const FORCED = 2 ** 30;
/** With the fault `readyOrder`, work moves ahead of at most this much. */
const SHUFFLED = 4;

/**
 * The work that is deferred to the thread of a ring (IORING_SETUP_DEFER_TASKRUN).
 *
 * @remarks
 * Work runs in the order in which it was added. Each piece either continues its request, or completes it.
 *
 * Source: io_uring/io_uring.c of Linux 6.18 (tw.c in later ones), io_req_local_work_add, __io_run_local_work.
 */
export class TaskWork {
  readonly #rings: SharedRings;
  readonly #faults: Faults;
  readonly #choices: Choices;
  /** Called for the first work that arrives when there was none. */
  readonly #signal: () => void;
  readonly #flush: () => void;
  #pending: Request[] = [];
  /** Work that the last run has left. */
  #left: Request[] = [];
  /** How much of `#left` has run. */
  #leftFrom = 0;
  /** The weight of the pending work, for a thread that waits. */
  #weight = 0;
  /** The weight that ends the wait of the thread. */
  #wanted = Number.POSITIVE_INFINITY;
  #isWoken = false;

  constructor(
    rings: SharedRings,
    { faults, choices }: { readonly faults: Faults; readonly choices: Choices },
    hooks: { readonly signal: () => void; readonly flush: () => void },
  ) {
    this.#rings = rings;
    this.#faults = faults;
    this.#choices = choices;
    this.#signal = hooks.signal;
    this.#flush = hooks.flush;
  }

  get isPending(): boolean {
    return this.#pending.length > 0 || this.#leftFrom < this.#left.length;
  }

  /** Whether work has ended the wait that {@link TaskWork.expect} has begun. */
  get isWoken(): boolean {
    return this.#isWoken;
  }

  /**
   * Adds work.
   *
   * @param isLazy - Whether it leads to one completion at most, so that a thread which waits for several sleeps on.
   */
  add(request: Request, work: Work, isLazy = false): void {
    request.work = work;
    // The number of completions of a chain is not known.
    this.#weight = isLazy && !request.isLinked ? this.#weight + 1 : FORCED;
    const pending = this.#pending;
    pending.push(request);
    if (pending.length === 1) {
      this.#rings.setFlag(IORING_SQ_TASKRUN);
      this.#signal();
    } else if (this.#faults.happens("readyOrder")) {
      this.#moveAhead();
    }
    if (this.#weight >= this.#wanted) this.#isWoken = true;
  }

  /** The thread is about to wait for this many completions, or stops waiting (`Infinity`). */
  expect(completions: number): void {
    this.#wanted = completions;
    this.#isWoken = this.#weight >= completions;
  }

  /**
   * Runs work, and makes the completions that result visible.
   *
   * @param least - Work that the first has led to runs too, until this much has run.
   * @param most - The rest is left for the next run.
   */
  run(least: number, most: number): void {
    this.#rings.clearFlag(IORING_SQ_TASKRUN);
    let wanted = least;
    for (;;) {
      const first = this.#runLeft(most);
      let count = first;
      if (this.#leftFrom >= this.#left.length) {
        this.#left = this.#pending;
        this.#leftFrom = 0;
        this.#pending = [];
        this.#weight = 0;
        count += this.#runLeft(most - first);
        if (this.#continues(count, wanted)) {
          wanted -= count;
          continue;
        }
      }
      this.#flush();
      if (!this.#continues(count, wanted)) return;
      wanted -= count;
    }
  }

  /** Takes all work. The ring is being closed. */
  takeAll(): Request[] {
    const all = [...this.#left.slice(this.#leftFrom), ...this.#pending];
    this.#left = [];
    this.#leftFrom = 0;
    this.#pending = [];
    this.#weight = 0;
    return all;
  }

  #continues(count: number, wanted: number): boolean {
    if (!this.isPending) return false;
    if (count < wanted) return true;
    this.#rings.setFlag(IORING_SQ_TASKRUN);
    return false;
  }

  /** Runs some of what is left; one piece even if `most` is 0. @returns How much has run. */
  #runLeft(most: number): number {
    const left = this.#left;
    let count = 0;
    while (this.#leftFrom < left.length) {
      const request = left[this.#leftFrom++] as Request;
      request.work(request);
      if (++count >= most) break;
    }
    return count;
  }

  #moveAhead(): void {
    const pending = this.#pending;
    const last = pending.length - 1;
    const to = last - this.#choices.below(Math.min(pending.length, SHUFFLED));
    const request = pending[last] as Request;
    pending.copyWithin(to + 1, to, last);
    pending[to] = request;
  }
}

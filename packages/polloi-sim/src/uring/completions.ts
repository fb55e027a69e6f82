import { IORING_SQ_CQ_OVERFLOW } from "polloi/internal/pure";
import type { Faults } from "../base/faults.ts";
import type { Request } from "./request.ts";
import type { SharedRings } from "./shared-rings.ts";

/** A completion that the queue had no room for. */
interface Overflowed {
  readonly tagLow: number;
  readonly tagHigh: number;
  readonly result: number;
  readonly flags: number;
}

/**
 * The completions of a ring, on their way into its queue.
 *
 * @remarks
 * Completions are collected, and become visible together. Those that find no room wait outside of the queue
 * (IORING_FEAT_NODROP), and so do all that come after them, until a call with IORING_ENTER_GETEVENTS moves them.
 *
 * Source: io_uring/io_uring.c, __io_submit_flush_completions, io_req_post_cqe, __io_cqring_overflow_flush.
 */
export class Completions {
  readonly #rings: SharedRings;
  readonly #faults: Faults;
  readonly #committed: () => void;
  readonly #freed: (request: Request) => void;
  /** Requests that are over. */
  #over: Request[] = [];
  #overflowed: Overflowed[] = [];
  /** Whether there are completions that are not committed. */
  #isDirty = false;

  constructor(
    rings: SharedRings,
    faults: Faults,
    hooks: {
      /** New completions are visible. */
      readonly committed: () => void;
      /** A request has ended. */
      readonly freed: (request: Request) => void;
    },
  ) {
    this.#rings = rings;
    this.#faults = faults;
    this.#committed = hooks.committed;
    this.#freed = hooks.freed;
  }

  /** Whether completions wait for room in the queue. */
  get isOverflowing(): boolean {
    return this.#overflowed.length > 0;
  }

  /** A request is over. Its completion follows with the next {@link Completions.flush}. */
  complete(request: Request): void {
    this.#over.push(request);
  }

  /**
   * Adds a completion of a request that continues.
   *
   * @returns false when there is no room. Then the request ends, with this completion as its last one.
   */
  post({ tagLow, tagHigh }: Request, result: number, flags: number): boolean {
    // The completions of requests that are over come before.
    if (this.#over.length > 0) this.flush();
    if (this.#faults.happens("multishotEnds")) return false;
    this.#isDirty = true;
    return !this.isOverflowing && this.#rings.push(tagLow, tagHigh, result, flags);
  }

  /** Makes all completions visible, and frees the requests that are over. */
  flush(): void {
    const over = this.#over;
    if (over.length === 0 && !this.#isDirty) return;
    for (const request of over) if (!request.skipsCompletion) this.#add(request);
    this.#commit();
    this.#over = [];
    this.#isDirty = false;
    for (const request of over) this.#freed(request);
  }

  /** Moves completions into the queue that waited for room. */
  flushOverflow(): void {
    const rings = this.#rings;
    if ((rings.cqTail - rings.cqHead) >>> 0 >= rings.cqEntries) return;
    const waiting = this.#overflowed;
    let moved = 0;
    for (const { tagLow, tagHigh, result, flags } of waiting) {
      if (!rings.push(tagLow, tagHigh, result, flags)) break;
      moved++;
    }
    this.#overflowed = waiting.slice(moved);
    if (this.#overflowed.length === 0) rings.clearFlag(IORING_SQ_CQ_OVERFLOW);
    this.#commit();
  }

  #add({ tagLow, tagHigh, result, completionFlags: flags }: Request): void {
    const hasRoom = !this.isOverflowing && !this.#faults.happens("overflow");
    if (hasRoom && this.#rings.push(tagLow, tagHigh, result, flags)) return;
    if (!this.isOverflowing) this.#rings.setFlag(IORING_SQ_CQ_OVERFLOW);
    this.#overflowed.push({ tagLow, tagHigh, result, flags });
  }

  #commit(): void {
    this.#rings.commitCompletions();
    this.#committed();
  }
}

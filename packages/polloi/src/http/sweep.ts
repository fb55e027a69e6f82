import { loopOf, type Reactor } from "../reactor/reactor.ts";
import type { Timer } from "../reactor/timers.ts";
import { type DateField, dateField, NO_DATE } from "./date.ts";
import type { HttpTimeouts } from "./timeouts.ts";

/** Deadlines are checked this often within the shortest timeout. */
const CHECKS_PER_TIMEOUT = 16;
const SHORTEST_MS = 5;
const LONGEST_MS = 500;
const STOPPING_MS = 50;

/** The deadline that is never reached, and the timeout without a limit. */
export const NEVER = 0x3fff_ffff;

/**
 * Visits all connections of a server at intervals, to check their deadlines, and reads the clock for them.
 *
 * @remarks
 * Every request sets several deadlines and needs a Date. One timer that reads the clock replaces a timer, and a reading of
 * the clock, for each. A timeout begins at the first visit after it was set, so that setting it needs no clock, and a stall
 * before that visit does not count. A timeout is never early, and late by at most two visits.
 */
export class Sweep<Member extends { place: number }> {
  /** The time of the visit, since the first reading of the kernel's clock. */
  now = 0;
  /** The time since the previous visit in milliseconds, without the delay of this one. */
  passedMs = 0;
  /** The delay of this visit because the thread was busy or stopped, in milliseconds; 0 if it is small. */
  lateMs = 0;
  /** The Date field, at most half a second old. */
  date: DateField = NO_DATE;
  readonly #reactor: Reactor;
  readonly #visit: (member: Member) => void;
  readonly #members: Member[] = [];
  #intervalMs: number;
  #origin = Number.NaN;
  #timer: Timer | undefined;

  constructor(reactor: Reactor, timeouts: HttpTimeouts, visit: (member: Member) => void) {
    this.#reactor = reactor;
    this.#visit = visit;
    const shortest = Math.min(
      timeouts.headTimeoutMs,
      timeouts.bodyTimeoutMs,
      timeouts.idleTimeoutMs,
      timeouts.sendTimeoutMs,
      timeouts.halfCloseTimeoutMs,
    );
    const wanted = shortest / CHECKS_PER_TIMEOUT;
    this.#intervalMs = Math.min(Math.max(wanted, SHORTEST_MS), LONGEST_MS);
  }

  /** The number of members. */
  get size(): number {
    return this.#members.length;
  }

  /** The deadline after this time in milliseconds. It is whole and small, and so takes no memory of its own. */
  deadlineAfter(ms: number): number {
    return ms >= NEVER ? NEVER : Math.ceil(this.now + ms);
  }

  /** Whether a deadline has passed. */
  isPast(deadline: number): boolean {
    return deadline !== NEVER && deadline <= this.now;
  }

  add(member: Member): void {
    if (this.#timer === undefined) {
      this.#readClock();
      this.#schedule();
    }
    member.place = this.#members.push(member) - 1;
  }

  /** Removes a member. The last one takes its place. */
  remove({ place }: Member): void {
    const last = this.#members.pop() as Member;
    if (place < this.#members.length) {
      this.#members[place] = last;
      last.place = place;
    }
    if (this.#members.length > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Visits more often from now on, because the server stops. */
  hurry(): void {
    this.#intervalMs = Math.min(this.#intervalMs, STOPPING_MS);
    this.#readClock();
    if (this.#timer === undefined) return;
    this.#timer.cancel();
    this.#schedule();
  }

  #schedule(): void {
    const ms = this.#intervalMs;
    // A limit of the loop: bytes that have arrived by then are received first.
    this.#timer = loopOf(this.#reactor).timers.limit(ms, () => this.#run(ms));
  }

  #readClock(): void {
    const { kernel } = loopOf(this.#reactor);
    const now = kernel.now();
    if (Number.isNaN(this.#origin)) this.#origin = now;
    this.now = now - this.#origin;
    this.date = dateField(kernel);
  }

  /** @param ms - The intended interval since the previous visit. */
  #run(ms: number): void {
    const before = this.now;
    this.#readClock();
    const late = this.now - before - ms;
    this.lateMs = late > ms ? late : 0;
    this.passedMs = this.now - before - this.lateMs;
    // From the last one, because a visit may remove members.
    for (let i = this.#members.length - 1; i >= 0; i--) {
      const member = this.#members[i];
      if (member !== undefined) this.#visit(member);
    }
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#members.length > 0) this.#schedule();
  }
}

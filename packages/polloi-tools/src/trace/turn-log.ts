import { ERRNO } from "polloi";
import type { TraceEvent, TurnEvent, Untimed } from "./event.ts";

/** Selects events and receives them. */
export interface TraceOptions {
  /** Only these connections: numbers, with or without a `#`, or addresses of peers, with or without a port. */
  readonly connections?: readonly string[];
  /** Only calls and operations whose name matches. */
  readonly calls?: RegExp;
  /** The trace ends after this number of turns with events. */
  readonly turns?: number;
  /** Called with each event. */
  event(event: TraceEvent): void;
  /** Called when the events so far should be written. */
  flush(): void;
  /** Called once, when the trace has ended by itself. */
  ended(reason: string): void;
  /** Called once, when the trace has failed. The traced program continues. */
  failed(error: Error): void;
}

/** Results of a wait that reported nothing: a timeout or a signal. */
const FOUND_NOTHING: ReadonlySet<number> = new Set([0, -ERRNO.EINTR, -ERRNO.ETIME]);
/** A turn may wait several times without a result. Only this many of the last events are held back. */
const MAX_HELD = 4;

/**
 * Groups events into turns, and drops those that were not selected.
 *
 * @remarks
 * The beginning of a turn, waits without a result and reads of the eventfd of a ring are held back until another event
 * follows in the same turn. Turns without events are thus not shown.
 */
export class TurnLog {
  readonly #options: TraceOptions;
  readonly #now: () => number;
  readonly #began: number;
  #turn = 0;
  #head: (Untimed<TurnEvent> & { readonly at: number }) | undefined;
  #held: { readonly event: Untimed; readonly at: number }[] = [];
  #shown = 0;
  #unshown = 0;
  /** The time of the last call. */
  #lastAt: number;
  /** Whether the last turn has returned to the runtime's loop. */
  #isOutside = false;
  #over = false;

  /** @param now - The time of the kernel, in milliseconds. */
  constructor(options: TraceOptions, now: () => number) {
    this.#options = options;
    this.#now = now;
    this.#began = now();
    this.#lastAt = this.#began;
  }

  /** Whether the trace has ended. */
  get over(): boolean {
    return this.#over;
  }

  /** Begins a turn. @param wokenBy - The runtime, if its loop calls. */
  begin(at: number, wokenBy?: string): void {
    if (this.#isEnough()) return;
    this.#dropHeld();
    this.#turn++;
    this.#isOutside = false;
    const woken = wokenBy === undefined ? {} : { wokenBy };
    const idleMs = rounded(Math.max(0, at - this.#lastAt));
    this.#head = { event: "turn", idleMs, ...woken, unshown: 0, at };
  }

  /** Has the events written, because the next call may take long. */
  flush(): void {
    if (!this.#over) this.#options.flush();
  }

  /** Ends a turn. */
  finish(at: number): void {
    this.#lastAt = at;
    this.#isOutside = true;
    this.#dropHeld();
    if (!this.#isEnough()) this.#options.flush();
  }

  /** Adds an event. @param at - Its time: of a call, when it returned. */
  add(event: Untimed, at: number): void {
    const idleMs = rounded(Math.max(0, at - this.#lastAt));
    this.#lastAt = at;
    if (this.#over || !this.#isWanted(event)) return;
    if (isIdle(event)) {
      if (this.#held.length === MAX_HELD) this.#held.shift();
      this.#held.push({ event, at });
      return;
    }
    if (this.#isOutside) {
      this.#isOutside = false;
      this.#emit({ event: "turn", idleMs, outside: true, unshown: 0 }, at);
    }
    this.#showHead();
    this.#emit(event, at);
  }

  /** Ends the trace with an event. */
  end(reason: string): void {
    if (this.#over) return;
    this.#emit({ event: "end", reason }, this.#now());
    this.#options.flush();
    this.#over = true;
    this.#options.ended(reason);
  }

  /** Ends the trace without an event, because nothing reads it any more. */
  drop(): void {
    this.#over = true;
  }

  fail(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#options.failed(error);
  }

  #isEnough(): boolean {
    const { turns = Number.POSITIVE_INFINITY } = this.#options;
    if (!this.#over && this.#shown >= turns) {
      this.end(`${turns} ${turns === 1 ? "turn was" : "turns were"} traced`);
    }
    return this.#over;
  }

  #isWanted(event: Untimed): boolean {
    const { calls, connections } = this.#options;
    if (calls !== undefined && !("call" in event && calls.test(event.call))) return false;
    if (connections === undefined) return true;
    const { connection, peer } = "connection" in event ? event : {};
    if (connection === undefined) return false;
    const names = [`${connection}`, `#${connection}`, peer, peer?.replace(/:\d+$/, "")];
    return connections.some((name) => names.includes(name));
  }

  #showHead(): void {
    if (this.#head !== undefined) {
      const { at, ...head } = this.#head;
      this.#head = undefined;
      this.#shown++;
      // A turn that the program took ends when the runtime's loop continues.
      if (this.#shown === this.#options.turns) setImmediate(() => this.#isEnough());
      this.#emit({ ...head, unshown: this.#unshown }, at);
      this.#unshown = 0;
    }
    for (const { event, at } of this.#held.splice(0)) this.#emit(event, at);
  }

  /** A turn has ended: drops its events that are held back. */
  #dropHeld(): void {
    if (this.#head !== undefined) this.#unshown++;
    this.#head = undefined;
    this.#held = [];
  }

  #emit(event: Untimed, at: number): void {
    const { event: name, ...rest } = event;
    const ms = rounded(at - this.#began);
    this.#options.event({ event: name, turn: this.#turn, ms, ...rest } as TraceEvent);
  }
}

/** Whether an event is shown only if another one follows. */
function isIdle(event: Untimed): boolean {
  if (event.event === "wait") return FOUND_NOTHING.has(event.result);
  return event.event === "call" && event.call === "read" && event.name === "eventfd";
}

/** Rounds milliseconds to microseconds. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

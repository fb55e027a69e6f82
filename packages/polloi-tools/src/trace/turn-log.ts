import { ERRNO } from "polloi";
import type { TraceEvent, TurnEvent, Untimed } from "./event.ts";

/** What is to be told, and to whom. */
export interface TraceOptions {
  /** Only of these connections: numbers, with or without a `#`, or addresses of peers, with or without a port. */
  readonly connections?: readonly string[];
  /** Only calls and operations whose name has this in it. */
  readonly calls?: RegExp;
  /** The trace ends after so many turns that had anything to show. */
  readonly turns?: number;
  /** Told of each event. */
  event(event: TraceEvent): void;
  /** What was told so far is a whole: it may be written now. */
  flush(): void;
  /** Told once, when the trace has come to its end by itself. */
  ended(reason: string): void;
  /** Told once, when the trace itself has failed and is over. What is traced goes on. */
  failed(error: Error): void;
}

/** Results of a wait that found nothing: the time ran out, or a signal came. */
const FOUND_NOTHING: ReadonlySet<number> = new Set([0, -ERRNO.EINTR, -ERRNO.ETIME]);
/** A turn may look several times, and has nothing to show for it: only the last looks are of interest then. */
const MAX_HELD = 4;

/**
 * Puts events into turns, and leaves out what nobody asked for.
 *
 * @remarks
 * A turn's head, a wait that found nothing, and what only tells that a ring has something to say are held
 * back until something follows them in the same turn, so that a loop which only looks around is not to be read about a thousand times.
 */
export class TurnLog {
  readonly #options: TraceOptions;
  readonly #began = performance.now();
  #turn = 0;
  #head: (Untimed<TurnEvent> & { readonly at: number }) | undefined;
  #held: { readonly event: Untimed; readonly at: number }[] = [];
  #shown = 0;
  #unshown = 0;
  /** When something was called last. */
  #lastAt: number = this.#began;
  /** The last turn has returned to the runtime's loop. */
  #isOutside = false;
  #over = false;

  constructor(options: TraceOptions) {
    this.#options = options;
  }

  /** Whether nothing is told any more. */
  get over(): boolean {
    return this.#over;
  }

  /** @param wokenBy - The runtime whose loop calls, when it does. */
  begin(at: number, wokenBy?: string): void {
    if (this.#isEnough()) return;
    this.#letGo();
    this.#turn++;
    this.#isOutside = false;
    const woken = wokenBy === undefined ? {} : { wokenBy };
    const idleMs = rounded(Math.max(0, at - this.#lastAt));
    this.#head = { event: "turn", idleMs, ...woken, unshown: 0, at };
  }

  /** What was told may be written now: nobody knows how long the next call takes. */
  flush(): void {
    if (!this.#over) this.#options.flush();
  }

  /** Nothing more is called before the next turn begins. */
  finish(at: number): void {
    this.#lastAt = at;
    this.#isOutside = true;
    this.#letGo();
    if (!this.#isEnough()) this.#options.flush();
  }

  /** @param at - When it was: of a call, when it returned. */
  tell(event: Untimed, at: number): void {
    const idleMs = rounded(Math.max(0, at - this.#lastAt));
    this.#lastAt = at;
    if (this.#over || !this.#isWanted(event)) return;
    if (saysNothing(event)) {
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

  /** Ends the trace, and says so. */
  end(reason: string): void {
    if (this.#over) return;
    this.#emit({ event: "end", reason }, performance.now());
    this.#options.flush();
    this.#over = true;
    this.#options.ended(reason);
  }

  /** Ends the trace when there is nobody left to tell it to. */
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
      // Where nobody says when a turn is over, it is when the runtime's loop goes on.
      if (this.#shown === this.#options.turns) setImmediate(() => this.#isEnough());
      this.#emit({ ...head, unshown: this.#unshown }, at);
      this.#unshown = 0;
    }
    for (const { event, at } of this.#held.splice(0)) this.#emit(event, at);
  }

  /** A turn is over: what is still held back of it has nothing to follow it. */
  #letGo(): void {
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

/** Whether an event is of no interest by itself. */
function saysNothing(event: Untimed): boolean {
  if (event.event === "wait") return FOUND_NOTHING.has(event.result);
  return event.event === "call" && event.call === "read" && event.name === "eventfd";
}

/** Milliseconds to the microsecond. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

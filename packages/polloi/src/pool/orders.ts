import type { Board } from "./board.ts";
import type { Hand } from "./hand.ts";

/** What a child that sleeps in the kernel is asked, and how it is woken to hear of it. */
export interface Orders {
  /** Readable when there is something to hear; -1 when it need not be watched. */
  readonly fd: number;
  /** Takes what there is to hear. */
  hear(): void;
  /** How long the child may take to stop, from now; null as long as it is not to. */
  leftMs(): number | null;
  /** The child is about to wait in the kernel, or has waited. */
  waiting(does: boolean): void;
}

/** By when to stop, for a time that is given from when it is first seen, and may be given anew. */
export class StopTime {
  #graceMs: number | null = null;
  #deadline = 0;

  /** @param graceMs - What is given, as it stands now. */
  leftMs(graceMs: number | null): number | null {
    if (graceMs === null) return null;
    if (graceMs !== this.#graceMs) {
      this.#graceMs = graceMs;
      this.#deadline = performance.now() + graceMs;
    }
    return Math.max(0, this.#deadline - performance.now());
  }
}

/** Orders to all threads of a server: a bell that is rung once, and a board that all of them see. */
export class ThreadOrders implements Orders {
  readonly #board: Board;
  readonly #hand: Hand;
  readonly #time = new StopTime();
  #bell: number;

  constructor(board: Board, hand: Hand, bell: number) {
    this.#board = board;
    this.#hand = hand;
    this.#bell = bell;
  }

  waiting(does: boolean): void {
    this.#hand.turns++;
    this.#hand.waits = does;
  }

  get fd(): number {
    return this.#bell;
  }

  hear(): void {
    // It goes on ringing, for the others. Whoever has heard it looks at the board now and then.
    this.#bell = -1;
  }

  leftMs(): number | null {
    return this.#time.leftMs(this.#board.stopWithinMs);
  }
}

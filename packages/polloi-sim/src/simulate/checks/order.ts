import type { Report } from "./report.ts";

/** The handlers of a connection. */
export type HandlerName =
  | "open"
  | "data"
  | "drain"
  | "end"
  | "stopping"
  | "timeout"
  | "error"
  | "close";

/**
 * Checks that the handlers of one connection are called in a legal order: `open` first and once, `close` last and once,
 * `end` once and no `data` after it, `drain` only after a write that returned false.
 */
export class HandlerOrder {
  /** A number for messages. */
  readonly #number: number;
  readonly #report: Report;
  #isOpen = false;
  #isClosed = false;
  #hasEnded = false;
  #isFull = false;

  constructor(number: number, report: Report) {
    this.#number = number;
    this.#report = report;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** `write` has returned this. */
  wrote(goesOn: boolean): void {
    if (!goesOn) this.#isFull = true;
  }

  /** A handler is called. */
  called(name: HandlerName): void {
    if (this.#isClosed) this.#fail(`${name} after close`);
    else if (name === "open" && this.#isOpen) this.#fail("open twice");
    else if (name !== "open" && !this.#isOpen && name !== "close" && name !== "error") {
      this.#fail(`${name} before open`);
    } else if (name === "data" && this.#hasEnded) this.#fail("data after end");
    else if (name === "end" && this.#hasEnded) this.#fail("end twice");
    else if (name === "drain" && !this.#isFull) this.#fail("drain without a full write");
    if (name === "open") this.#isOpen = true;
    else if (name === "end") this.#hasEnded = true;
    else if (name === "drain") this.#isFull = false;
    else if (name === "close") this.#isClosed = true;
  }

  #fail(what: string): void {
    this.#report.fail("order", `connection ${this.#number}: ${what}`);
  }
}

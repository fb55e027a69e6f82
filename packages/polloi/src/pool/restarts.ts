import { show, typeError } from "../base/misuse.ts";

/** What becomes of a pool, one child of which crashes again and again. */
export type CrashLoop = "continue" | "end";

/** @throws `ERR_INVALID_OPTION` */
export function checkCrashLoop(crashLoop: CrashLoop = "continue"): CrashLoop {
  if (crashLoop === "continue" || crashLoop === "end") return crashLoop;
  throw typeError(
    "ERR_INVALID_OPTION",
    `Cannot use ${show(crashLoop)} as crashLoop: give "continue" or "end"`,
  );
}

/** A child that ran for longer was healthy; its crash has nothing to do with its start. */
const HEALTHY_MS = 10_000;
/** After this many starts in a row that failed, the child is given up. */
const MAX_FAILED_STARTS = 4;
/** With {@link CrashLoop} `"end"`: after this many crashes in a row of a child that was not healthy. */
const MAX_CRASHES = 5;
/** The first delay before a restart, doubled with each crash of a child that was not healthy. */
const FIRST_RESTART_MS = 50;
const LAST_RESTART_MS = 1000;

/** Decides when a child that crashed, be it a thread or a process, is replaced, and when it is given up. */
export class Restarts {
  readonly #crashLoop: CrashLoop;
  #crashes = 0;
  #failedStarts = 0;

  constructor(crashLoop: CrashLoop) {
    this.#crashLoop = crashLoop;
  }

  /** Whether it is given up: nothing takes its place. */
  get givenUp(): boolean {
    if (this.#crashLoop === "end") return this.#crashes >= MAX_CRASHES;
    return this.#failedStarts >= MAX_FAILED_STARTS;
  }

  /** The delay before the next start, in milliseconds. */
  get delayMs(): number {
    return Math.min(FIRST_RESTART_MS * 2 ** (this.#crashes - 1), LAST_RESTART_MS);
  }

  /**
   * It has crashed.
   *
   * @param ranMs - The time since its start, in milliseconds.
   * @param wasReady - Whether this start had succeeded.
   */
  crashed(ranMs: number, wasReady: boolean): void {
    this.#crashes = ranMs > HEALTHY_MS ? 1 : this.#crashes + 1;
    this.#failedStarts = wasReady ? 0 : this.#failedStarts + 1;
  }
}

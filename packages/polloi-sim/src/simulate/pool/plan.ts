import type { CrashLoop, Sharing, WhenUnresponsive } from "polloi/models";
import type { Choices } from "../../base/choices.ts";

/** How a child of a pool fails, if it does. */
export type Failure =
  /** It serves until it is stopped. */
  | "none"
  /** Its module throws as it starts. */
  | "start"
  /** It never becomes ready. */
  | "hang"
  /** A signal kills it at some time, or at one of its system calls. */
  | "signal"
  | "call"
  /** It throws an error that nothing catches. */
  | "throw"
  /** It does nothing for some time. */
  | "stall"
  /** It does nothing from some time on: not even what a stop asks for. */
  | "freeze";

/** What becomes of one child, from its start on. */
export interface Life {
  /** How long its runtime takes to start. */
  readonly startMs: number;
  readonly failure: Failure;
  /** When it fails after it was ready; for `call`, the number of system calls until then. */
  readonly after: number;
  /** For how long it does nothing. */
  readonly stallMs: number;
}

/** A pool, and what becomes of its children. */
export interface PoolPlan {
  readonly children: number;
  readonly sharing: Sharing;
  readonly crashLoop: CrashLoop;
  readonly whenUnresponsive: WhenUnresponsive;
  readonly unresponsiveAfterMs: number;
  readonly startTimeoutMs: number;
  /** Whether its module sets up a listener of the reactor, instead of exporting handlers for all models. */
  readonly listens: boolean;
  /** When the pool is stopped, after it has started; 0 when all peers are done. */
  readonly stopMs: number;
  /** When the pool is asked again to stop, at once, after it was asked first; 0 for never. */
  readonly againMs: number;
  /** The lives of the children in the order of their starts. Those that start later are healthy. */
  readonly lives: readonly Life[];
}

const FAILURES: readonly Failure[] = [
  "signal",
  "call",
  "throw",
  "stall",
  "freeze",
  "start",
  "hang",
];

/** The pool of a seed. */
export function poolFrom(choices: Choices): PoolPlan {
  const children = choices.pick([2, 1, 3, 4]);
  const isHealthy = choices.oneIn(3);
  return {
    children,
    sharing: choices.pick(["exclusive", "reuseport"]),
    crashLoop: choices.oneIn(6) ? "end" : "continue",
    whenUnresponsive: choices.oneIn(3) ? "replace" : "wait",
    unresponsiveAfterMs: choices.pick([5000, 200, 40]),
    startTimeoutMs: choices.pick([30_000, 500]),
    listens: choices.oneIn(2),
    stopMs: choices.pick([0, 5, 30, 100, 400, 2000]),
    againMs: choices.oneIn(6) ? choices.pick([1, 50, 700]) : 0,
    lives: Array.from({ length: choices.between(children, children + 5) }, (_, start) =>
      // A pool whose first children fail does not start.
      lifeFrom(choices, start < children ? FIRST_FAILURES : FAILURES, isHealthy),
    ),
  };
}

const FIRST_FAILURES: readonly Failure[] = FAILURES.slice(0, 5);

function lifeFrom(choices: Choices, failures: readonly Failure[], isHealthy: boolean): Life {
  const startMs = choices.pick([1, 0, 20, 60]);
  const fails = choices.oneIn(2);
  // Once in a while a child fails before its pool has started.
  const failure = choices.oneIn(40) ? "start" : choices.pick(failures);
  const isCall = failure === "call";
  const after = isCall ? choices.between(1, 300) : choices.pick([5, 0, 1, 2, 12, 30, 100]);
  const stallMs = choices.pick([20, 3, 150, 700, 3000]);
  return { startMs, failure: fails && !isHealthy ? (failure ?? "none") : "none", after, stallMs };
}

/** A child that works, and one that does so at once. */
export const HEALTHY: Life = { startMs: 1, failure: "none", after: 0, stallMs: 0 };

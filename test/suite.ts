import { describe, test } from "node:test";

/** One property, told by its name, and what shows it. The same on every runtime. */
export interface Case {
  readonly name: string;
  /** Why it is not run here, by name. */
  readonly skip?: string | undefined;
  run(): void | Promise<void>;
}

/** Cases about one thing: an engine, a call, a program. */
export interface Suite {
  readonly title: string;
  readonly cases: readonly Case[];
}

/**
 * How much of it: `all`, as the runtime of the tests has it, or `abridged`, as the others have it, unless
 * `POLLOI_TEST_ALL=1` says otherwise.
 */
export type Extent = "all" | "abridged";
/** What the reason of every case ends with that is left out where the suites are abridged. */
export const RUNS_ALL = "POLLOI_TEST_ALL=1 runs it";

/** A case may take this long before it counts as hanging. */
export const CASE_TIMEOUT_MS = 30_000;
/** And all cases of a suite in which each starts programs, where other work has most of the processors. */
export const SUITE_TIMEOUT_MS = 180_000;

/** Hands a suite to Node's test runner. */
export function report(suite: Suite): void {
  describe(suite.title, () => {
    for (const { name, skip, run } of suite.cases) {
      test(name, { skip: skip ?? false, timeout: CASE_TIMEOUT_MS }, () => run());
    }
  });
}

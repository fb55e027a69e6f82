import process from "node:process";
import { describe, test } from "node:test";

/** One property, stated by its name, and the function that checks it. The same on every runtime. */
export interface Case {
  readonly name: string;
  /** The reason why it is skipped, if it is. */
  readonly skip?: string | undefined;
  run(): void | Promise<void>;
}

/** Cases about one subject: an engine, a call, a program. */
export interface Suite {
  readonly title: string;
  readonly cases: readonly Case[];
}

/**
 * How much of the suites runs.
 *
 * - `smoke`: the suites that find faults in a runtime's system calls and in the hosting of a loop. `npm test`
 *   runs them on Bun, Deno and the newest Node.
 * - `core`: `npm test` on the installed Node.
 * - `all`: everything, everywhere. `npm run test:all` sets `POLLOI_TEST_ALL=1` for it.
 */
export type Extent = "all" | "core" | "smoke";
/** Whether this run includes everything. */
export const TEST_ALL: boolean = Boolean(process.env.POLLOI_TEST_ALL);
/** The end of the reason of every case that `npm test` skips to save time. */
export const RUNS_ALL = "npm run test:all runs it";

/** The longest that a case may take. */
export const CASE_TIMEOUT_MS = 30_000;
/** The longest that a suite of cases that start programs may take, on a busy machine. */
export const SUITE_TIMEOUT_MS = 180_000;

/** Registers a suite with Node's test runner. */
export function report(suite: Suite): void {
  describe(suite.title, () => {
    for (const { name, skip, run } of suite.cases) {
      test(name, { skip: skip ?? false, timeout: CASE_TIMEOUT_MS }, () => run());
    }
  });
}

/** A suite, and the smallest extent that includes it. */
export interface Listed {
  readonly suite: Suite;
  readonly from: Extent;
}

/** The extents, from the smallest to the largest. */
const EXTENTS: readonly Extent[] = ["smoke", "core", "all"];

export function listed(from: Extent, ...suites: Suite[]): Listed[] {
  return suites.map((suite) => ({ suite, from }));
}

/** The suites of an extent. One skipped case stands for each suite that it leaves out. */
export function selected(all: readonly Listed[], extent: Extent): Suite[] {
  return all.map(({ suite, from }) =>
    EXTENTS.indexOf(from) <= EXTENTS.indexOf(extent) ? suite : leftOut(suite, extent),
  );
}

function leftOut({ title, cases }: Suite, extent: Extent): Suite {
  const skip = `not in the ${extent} suite; ${RUNS_ALL}`;
  return { title, cases: [{ name: `all ${cases.length} cases`, skip, run() {} }] };
}

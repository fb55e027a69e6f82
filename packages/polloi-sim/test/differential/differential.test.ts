/** Random programs of system calls on the simulated kernel and on the real one, side by side. */
import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { kernel } from "../../../polloi/src/sys/open.ts";
import { whyNotComparable } from "./comparable.ts";
import { compareMany, traceOf } from "./run.ts";

const PROGRAMS = process.env.POLLOI_TEST_ALL === undefined ? 500 : 4000;

const skip = whyNotComparable(kernel) ?? false;

test(`${PROGRAMS} random programs have the same results on both kernels`, { skip }, () => {
  const { failures } = compareMany(kernel, { seed: 1, programs: PROGRAMS, mostFailures: 3 });
  const lines = failures.map(({ seed, program }) =>
    [`npm run simulate:differential -- --seed ${seed}`, ...traceOf(kernel, program)].join("\n"),
  );
  assert.equal(failures.length, 0, lines.join("\n\n"));
});

/**
 * The conformance suites of the library on the simulated kernel, below the reactor. run.ts runs all of them, and prints
 * the failing cases by their errors.
 */
import "./simulated-thread.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { unknownIn } from "./not-applicable.ts";
import { reportSuites } from "./report.ts";
import { isOfReactor, SUITE_NAMES, suitesOf } from "./suites.ts";

const suites = await reportSuites(SUITE_NAMES.filter((name) => !isOfReactor(name)));

test("every case that is listed as not applicable exists", async () => {
  const others = await Promise.all(SUITE_NAMES.filter(isOfReactor).map(suitesOf));
  assert.deepEqual(unknownIn([...suites, ...others.flat()]), []);
});

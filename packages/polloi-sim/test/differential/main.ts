/**
 * Compares the simulated kernel with the real one: random programs of system calls run on both.
 *
 * ```sh
 * npm run simulate:differential -- --programs 1000
 * npm run simulate:differential -- --seed 4711      # one program, with the results of all calls
 * ```
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { kernel } from "../../../polloi/src/sys/open.ts";
import { whyNotComparable } from "./comparable.ts";
import { compareMany, traceOf } from "./run.ts";

const { values } = parseArgs({
  options: {
    programs: { type: "string" },
    seed: { type: "string", default: "1" },
    failures: { type: "string", default: "5" },
  },
});

const why = whyNotComparable(kernel);
if (why !== undefined) console.error(`Not every difference is a fault: ${why}`);
const seed = Number(values.seed);
const programs = Number(values.programs ?? 1);
const begun = performance.now();
const summary = compareMany(kernel, { seed, programs, mostFailures: Number(values.failures) });
const seconds = (performance.now() - begun) / 1000;
for (const { seed: failing, program, difference } of summary.failures) {
  const { operation } = difference.call;
  console.log(`\n${operation} differs: npm run simulate:differential -- --seed ${failing}`);
  for (const line of traceOf(kernel, program)) console.log(line);
}
for (const [why, count] of [...summary.allowed].sort(([, a], [, b]) => b - a)) {
  console.log(`${count} x allowed: ${why}`);
}
console.log(
  `${summary.programs} programs, ${summary.calls} calls, ${summary.failures.length} unexplained differences, ${seconds.toFixed(1)} s`,
);
process.exitCode = summary.failures.length === 0 ? 0 : 1;

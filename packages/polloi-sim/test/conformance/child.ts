/** Runs the cases of one suite for run.ts. Arguments: the name of the suite, the first case, a part of case names. */
import "./simulated-thread.ts";
import process from "node:process";
import { whereItApplies } from "./not-applicable.ts";
import type { CaseResult } from "./run.ts";
import { suitesOf } from "./suites.ts";

const [, , name = "", first = "0", part = ""] = process.argv;

function print(result: CaseResult): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

let failed: unknown;
process.on("uncaughtException", (error) => {
  failed ??= error;
});

const cases = (await suitesOf(name))
  .map(whereItApplies)
  .flatMap(({ title, cases }) => cases.map((each) => ({ title, ...each })));
for (const [index, { title, name, skip, run }] of cases.entries()) {
  if (index < Number(first) || !name.includes(part)) continue;
  const about = { index, suite: title, name };
  if (skip !== undefined) {
    print({ ...about, outcome: "skipped" });
    continue;
  }
  print({ ...about, outcome: "begins" });
  failed = undefined;
  try {
    await run();
  } catch (error) {
    failed = error;
  }
  // What a case throws later is reported with it.
  await new Promise((resolve) => setImmediate(resolve));
  const error = failed instanceof Error ? (failed.stack ?? failed.message) : String(failed);
  print(
    failed === undefined ? { ...about, outcome: "passes" } : { ...about, outcome: "fails", error },
  );
}
process.exit();

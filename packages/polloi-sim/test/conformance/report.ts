import { after } from "node:test";
import { report, type Suite } from "../../../../test/support/suite.ts";
import { whereItApplies } from "./not-applicable.ts";
import { suitesOf } from "./suites.ts";

/** Registers the suites of some names with Node's test runner, and prints how many cases apply and pass. */
export async function reportSuites(names: readonly string[]): Promise<readonly Suite[]> {
  let passed = 0;
  let applicable = 0;
  const suites: Suite[] = [];
  for (const name of names) suites.push(...(await suitesOf(name)));
  for (const { title, cases } of suites.map(whereItApplies)) {
    const counted = cases.map((each) => {
      if (each.skip !== undefined) return each;
      applicable++;
      const run = async (): Promise<void> => {
        await each.run();
        passed++;
      };
      return { ...each, run };
    });
    report({ title, cases: counted });
  }
  after(() => console.log(`${passed} of ${applicable} cases that apply pass`));
  return suites;
}

import { Choices } from "../base/choices.ts";
import type { Violation } from "./checks/report.ts";
import { nameOf, type Result, simulate, type Variant } from "./run.ts";
import { type Fixed, isUniform, type Scenario, scenarioOf } from "./scenario.ts";

/** A seed that fails. */
export interface Finding {
  readonly seed: number;
  /** The engine on which it fails; undefined when the engines differ. */
  readonly variant: Variant | undefined;
  readonly scenario: Scenario;
  readonly violations: readonly Violation[];
}

/** The decisions of the world of a seed. Those of its scenario are others. */
export function worldOf(seed: number): Choices {
  return Choices.seeded(0x1_0000_0000 + seed);
}

/** The scenario of a seed. */
export function seedScenario(seed: number, fixed: Fixed): Scenario {
  return scenarioOf(Choices.seeded(seed), fixed);
}

/** Runs a seed on engines, one after another. @returns The first failure. */
export function runSeed(
  seed: number,
  variants: readonly Variant[],
  fixed: Fixed,
): Promise<Finding | undefined> {
  return runScenario(seed, variants, seedScenario(seed, fixed));
}

/** The same with the scenario of the seed. */
export async function runScenario(
  seed: number,
  variants: readonly Variant[],
  scenario: Scenario,
): Promise<Finding | undefined> {
  const summaries: string[] = [];
  for (const variant of variants) {
    try {
      const running = simulate(scenario, variant, worldOf(seed));
      const { violations, summary }: Result = running instanceof Promise ? await running : running;
      if (violations.length > 0) return { seed, variant, scenario, violations };
      summaries.push(summary);
    } catch (error) {
      const violations = [{ rule: "crash", text: (error as Error).stack ?? String(error) }];
      return { seed, variant, scenario, violations };
    }
  }
  const [first] = summaries;
  const other = summaries.findIndex((summary) => summary !== first);
  if (other < 0 || !isUniform(scenario)) return undefined;
  const names = [variants[0], variants[other]].map((variant) => nameOf(variant as Variant));
  const text = `${names[0]}: ${first}; ${names[1]}: ${summaries[other]}`;
  return { seed, variant: undefined, scenario, violations: [{ rule: "engines", text }] };
}

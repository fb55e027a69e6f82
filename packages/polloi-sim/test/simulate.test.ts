/**
 * Runs programs on the simulated kernel: hundreds of seeds in `npm test`, thousands in `npm run test:rest`. A failure
 * prints the command that runs its seed again, and the smallest program that fails.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { VARIANTS } from "../src/simulate/run.ts";
import { runSeed } from "../src/simulate/seeds.ts";
import { shrink } from "../src/simulate/shrink.ts";
import { findingText, scenarioText } from "../src/simulate/text.ts";

const SEEDS = process.env.POLLOI_TEST_ALL === undefined ? 500 : 20_000;

test(`${SEEDS} seeds violate no rule on any engine`, async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const finding = await runSeed(seed, VARIANTS, {});
    if (finding === undefined) continue;
    const { variant, scenario } = finding;
    const smallest = variant && (await shrink(scenario, variant, seed));
    const program = smallest && variant ? scenarioText(smallest.scenario, variant) : "";
    assert.fail(`${findingText(finding, {})}\n${program}`);
  }
});

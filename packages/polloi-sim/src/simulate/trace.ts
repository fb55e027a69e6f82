import process from "node:process";
import { Tracer, textOf } from "polloi-tools/internal";
import type { Choices } from "../base/choices.ts";
import { type Result, simulate, type Variant } from "./run.ts";
import type { Scenario } from "./scenario.ts";

/** Runs a scenario, and prints its system calls as `polloi trace` does. */
export async function traced(
  scenario: Scenario,
  variant: Variant,
  choices: Choices,
): Promise<Result> {
  const plain = (_: string, text: string): string => text;
  return simulate(scenario, variant, choices, {
    wrap(kernel) {
      const tracer = new Tracer(kernel, {
        event: (event) => process.stdout.write(textOf(event, plain)),
        flush() {},
        ended() {},
        failed: (error) => console.error(error),
      });
      return tracer.kernel;
    },
  });
}

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { kernel } from "../../src/sys/open.ts";

/** The longest wait of a case. A hundred processes that start meanwhile keep the cores busy for ten seconds. */
const UNTIL_MS = 25_000;

/** Waits until `condition` holds. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + UNTIL_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) assert.fail(`on ${kernel.runtime}: never ${what}`);
    await sleep(1);
  }
}

/** Returns the error that `promise` is rejected with. */
export async function rejection(promise: Promise<unknown>): Promise<Error & { code?: string }> {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(error instanceof Error, `it is rejected, with an Error and not ${error}`);
  return error;
}

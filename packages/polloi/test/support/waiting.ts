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

/**
 * Starts something that never becomes ready, with longer and longer timeouts: on a busy machine it may not reach the
 * point where it hangs at first.
 *
 * @param doing - Matches the message that says where it hangs.
 * @param start - Starts it, and returns the error after `startTimeoutMs`.
 */
export async function assertLateStart(
  doing: RegExp,
  start: (startTimeoutMs: number) => Promise<Error & { code?: string }>,
): Promise<void> {
  let message = "";
  for (const timeoutMs of [1500, 4000, 8000]) {
    const error = await start(timeoutMs);
    assert.equal(error.code, "ETIMEDOUT", error.message);
    message = error.message;
    assert.match(message, new RegExp(`not ready after ${timeoutMs} ms: `));
    if (doing.test(message)) return;
  }
  assert.match(message, doing);
}

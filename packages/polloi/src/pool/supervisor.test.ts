import assert from "node:assert/strict";
import { test } from "node:test";
import { RestartPolicy } from "./supervisor.ts";

/** The delays before restarts after these exits; null when the child is given up. */
function delays(
  restarts: RestartPolicy,
  exits: readonly (readonly [ranMs: number, ready: boolean])[],
) {
  return exits.map(([ranMs, ready]) => {
    restarts.exited(ranMs, ready);
    return restarts.givenUp ? null : restarts.delayMs;
  });
}

test("a child that exits after each start is replaced each time, after at most a second", () => {
  const exits = Array.from({ length: 20 }, () => [100, true] as const);
  const expected = [50, 100, 200, 400, 800, ...Array.from({ length: 15 }, () => 1000)];
  assert.deepEqual(delays(new RestartPolicy("continue"), exits), expected);
});

test("a child that was healthy is replaced soon, and four failed starts in a row give it up", () => {
  const restarts = new RestartPolicy("continue");
  const failed = [100, false] as const;
  assert.deepEqual(delays(restarts, [failed, failed, failed, [100, true]]), [50, 100, 200, 400]);
  assert.deepEqual(delays(restarts, [[20_000, true]]), [50]);
  assert.deepEqual(delays(restarts, [failed, failed, failed, failed]), [100, 200, 400, null]);
});

test("a start that fails after a long time counts as a failure", () => {
  const hung = [30_000, false] as const;
  const exits = [hung, hung, hung, hung, hung];
  assert.deepEqual(delays(new RestartPolicy("continue"), exits.slice(1)), [50, 100, 200, null]);
  assert.deepEqual(delays(new RestartPolicy("end"), exits), [50, 100, 200, 400, null]);
});

test('crashLoop "end": five exits in a row give it up, whether or not it had started', () => {
  const exit = [100, true] as const;
  const expected = [50, 100, 200, 400, null];
  assert.deepEqual(delays(new RestartPolicy("end"), [exit, exit, exit, exit, exit]), expected);
});

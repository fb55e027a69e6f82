import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "./backoff.ts";

test("the delay doubles with each failure in a row, up to a second", () => {
  const backoff = new Backoff();
  const delays = Array.from({ length: 7 }, () => backoff.next().delayMs);
  assert.deepEqual(delays, [50, 100, 200, 400, 800, 1000, 1000]);
});

test("a failure is the first in a row at the beginning and after a success", () => {
  const backoff = new Backoff();
  assert.deepEqual(backoff.next(), { delayMs: 50, isFirst: true });
  assert.deepEqual(backoff.next(), { delayMs: 100, isFirst: false });
  backoff.reset();
  assert.deepEqual(backoff.next(), { delayMs: 50, isFirst: true });
});

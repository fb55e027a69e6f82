import assert from "node:assert/strict";
import { test } from "node:test";
import { pairedRatios, spreadOf } from "./spread.ts";

test("the median of an even number of values is the mean of the two in the middle", () => {
  assert.deepEqual(spreadOf([4, 1, 10, 2]), { median: 3, min: 1, max: 10 });
  assert.deepEqual(spreadOf([5, 1, 9]), { median: 5, min: 1, max: 9 });
  assert.equal(spreadOf([]), undefined);
});

test("each round is divided by its own reference; rounds without one are left out", () => {
  const ratio = spreadOf(pairedRatios([50, undefined, 30, 8], [100, 100, 10, undefined]));
  assert.deepEqual(ratio, { median: 1.75, min: 0.5, max: 3 });
  assert.deepEqual(pairedRatios([2, 3], [1, 0]), [2]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { orderOf } from "./rounds.ts";

test("rounds alternate their order, so that every server is first as often as last", () => {
  assert.deepEqual(orderOf(["a", "b", "c"], 1), ["a", "b", "c"]);
  assert.deepEqual(orderOf(["a", "b", "c"], 2), ["c", "b", "a"]);
});

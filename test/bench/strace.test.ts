import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSummary, totalOf } from "../../bench/strace.ts";
import { fixture } from "./fixtures.ts";

test("every call of a summary is counted, whether or not some of them failed", () => {
  const calls = parseSummary(fixture("strace-node.txt"));
  assert.equal(calls.futex, 166);
  assert.equal(calls.write, 3267);
  assert.equal(calls.accept4, 64);
  assert.equal(totalOf(calls), 7216);
  assert.deepEqual(parseSummary(fixture("strace-uring.txt")), { io_uring_enter: 201 });
});

test("the line of totals is not a call", () => {
  assert.ok(!("total" in parseSummary(fixture("strace-node.txt"))));
  assert.equal(totalOf(parseSummary("")), 0);
});

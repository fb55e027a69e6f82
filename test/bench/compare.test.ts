import assert from "node:assert/strict";
import { test } from "node:test";
import { type Comparison, compareFigure, summaryOf, verdictOf } from "../../bench/compare.ts";

const cpu: Comparison = {
  suite: "echo",
  where: "64 B x 50, epoll",
  unit: "CPU us/msg",
  better: "less",
  tree: 10,
  base: 10,
  ratios: [1, 1, 1],
  marks: "",
};
const rate: Comparison = { ...cpu, unit: "msg/s", better: "more" };

function summary(...comparisons: Comparison[]): string {
  const settings = { rounds: 3, seconds: 1, warmup: 1, against: "abc", suites: ["echo"] as const };
  return summaryOf({ comparisons, settings } as unknown as Parameters<typeof summaryOf>[0]);
}

test("a figure is worse only if every round and the median say so", () => {
  assert.equal(verdictOf({ ...cpu, ratios: [1.03, 1.05, 1.2] }), "worse");
  assert.equal(verdictOf({ ...cpu, ratios: [0.99, 1.3, 1.4] }), "similar");
  assert.equal(verdictOf({ ...cpu, ratios: [1.001, 1.01, 1.3] }), "similar");
  assert.equal(verdictOf({ ...cpu, ratios: [0.8, 0.9, 0.95] }), "better");
  assert.equal(verdictOf({ ...rate, ratios: [0.8, 0.9, 0.95] }), "worse");
});

test("fewer than three rounds have no verdict, nor has the throughput of an unsaturated server", () => {
  assert.equal(verdictOf({ ...cpu, ratios: [2, 2] }), "too few rounds");
  assert.equal(verdictOf({ ...rate, ratios: [0.5, 0.5, 0.5], marks: "*" }), "not saturated");
  assert.equal(verdictOf({ ...cpu, ratios: [2, 2, 2], marks: "*" }), "worse");
});

test("the summary names every figure that is worse", () => {
  const worse = { ...cpu, ratios: [1.1, 1.1, 1.1] };
  assert.equal(
    summary(cpu, worse),
    "Worse than abc by more than the spread: echo 64 B x 50, epoll (CPU us/msg).",
  );
  assert.match(summary(cpu, rate), /^No figure is worse than that of abc .* \(2 of 2 compared\)/);
  assert.match(summary({ ...cpu, ratios: [1] }), /^Too few rounds/);
});

test("the table has both medians, the ratio and the verdict", () => {
  const { table } = compareFigure("echo", [{ ...cpu, base: 8 }], "abc");
  assert.deepEqual(table.rows, [
    ["64 B x 50, epoll", "CPU us/msg", "8.00", "10.00", "1.000 (1.000-1.000)", "similar"],
  ]);
});

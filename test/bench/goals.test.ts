import assert from "node:assert/strict";
import { test } from "node:test";
import { type Goal, goalRows, goalTable, verdictOf, verdictText } from "../../bench/goals.ts";
import { missedMarkdown } from "../../bench/report.ts";

const goal: Goal = { what: "a : b", where: "64 B x 50", limit: { atLeast: 1 }, values: [1] };

function verdict(more: Partial<Goal>): string | undefined {
  const found = verdictOf({ ...goal, ...more });
  return found && verdictText(found);
}

test("a goal is reached by the median of its rounds, not by the best one", () => {
  assert.equal(verdict({ values: [0.9, 1, 1.1] }), "reached");
  assert.equal(verdict({ values: [0.9, 0.99, 7] }), "MISSED");
  assert.equal(verdictOf({ ...goal, values: [0.9, 0.99, 7] })?.rounds, 1);
});

test("an upper limit is reached from below, and by exactly the limit", () => {
  assert.equal(verdict({ limit: { atMost: 0.15 }, values: [0.15] }), "reached");
  assert.equal(verdict({ limit: { atMost: 0.15 }, values: [0.16] }), "MISSED");
  assert.equal(
    verdict({ limit: { atMost: 0.15, record: 0.05 }, values: [0.05] }),
    "reached, a record",
  );
  assert.equal(
    verdict({ limit: { atLeast: 1, record: 1.08 }, values: [1.08] }),
    "reached, a record",
  );
  assert.equal(verdict({ limit: { atLeast: 1, record: 1.08 }, values: [1.07] }), "reached");
});

test("an unreliable figure is not proven, with the reason", () => {
  const doubtful = { ...goal, values: [2], doubt: "a server did not saturate its core" };
  assert.equal(verdict(doubtful), "not proven (reached)");
  assert.equal(verdict({ ...doubtful, values: [0.5] }), "not proven (MISSED)");
  assert.match(
    goalTable([doubtful]).rows[0]?.at(-1) ?? "",
    /^not proven \(reached\): a server did not saturate its core$/,
  );
});

test("a goal without a figure is left out, not missed", () => {
  assert.equal(verdict({ values: [] }), undefined);
  assert.deepEqual(goalTable([{ ...goal, values: [] }]).rows, []);
  assert.deepEqual(goalRows([{ ...goal, values: [] }]), []);
});

test("cases of one goal share a row, and its verdict counts those that missed it or are not proven", () => {
  const cases = ["64 B x 50", "64 B x 500", "16 KiB x 50"].map((where) => ({ ...goal, where }));
  const [row, ...more] = goalRows(cases);
  assert.deepEqual(more, []);
  assert.equal(row?.where, "64 B x 50 / 500, 16 KiB x 50");
  assert.deepEqual(
    row?.cases.map(({ median }) => median),
    ["1.00", "1.00", "1.00"],
  );
  assert.equal(row?.verdict, "reached");
  const [mixed] = goalRows([{ ...goal, values: [0.5] }, goal]);
  assert.equal(mixed?.verdict, "1 of 2 MISSED");
  const [doubtful] = goalRows([{ ...goal, doubt: "noise" }, goal]);
  assert.equal(doubtful?.verdict, "1 not proven");
});

test("the summary counts the goals that are reached and not proven, and lists those that are not reached", () => {
  const named = (what: string, more: Partial<Goal> = {}): Goal => ({ ...goal, what, ...more });
  const all = [
    named("sure : b"),
    named("likely : b", { doubt: "noise" }),
    named("short : b", { values: [0.5] }),
    named("perhaps short : b", { values: [0.5], doubt: "noise" }),
  ];
  const text = missedMarkdown(all);
  assert.match(
    text,
    /^1 of 4 goals are reached in every case, 1 by every median but not proven; 2 are not /,
  );
  assert.doesNotMatch(text, /sure : b|likely : b/);
  assert.match(text, /^\| short : b .*\*\*0\.50\*\* .*\*\*missed\*\* \|$/m);
  assert.match(text, /^\| perhaps short : b .*\(\*\*0\.50\*\*\)/m);
  assert.equal(missedMarkdown([named("sure : b")]), "1 of 1 goals are reached in every case.");
});

test("figures have the precision of the limit: bytes are whole numbers", () => {
  const [row] = goalRows([{ ...goal, limit: { atMost: 300 }, values: [289.4506] }]);
  assert.equal(row?.cases[0]?.median, "289");
});

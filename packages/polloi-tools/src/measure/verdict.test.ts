import assert from "node:assert/strict";
import { test } from "node:test";
import type { Cell, Grid, Measure, Sample } from "./grid.ts";
import { figureText, gridTable, growthIn } from "./grid.ts";
import { whole } from "./table.ts";
import { growthTexts, rank, rankAtLargest, rankingText } from "./verdict.ts";

interface Speed extends Sample {
  readonly speed: number;
}

const SPEED: Measure<Speed> = {
  title: "Speed",
  unit: "messages/s",
  value: ({ speed }) => speed,
  format: whole,
};

function cell(name: string, at: number, speeds: readonly number[]): Cell<Speed> {
  return { name, at, samples: speeds.map((speed, i) => ({ round: i + 1, speed })) };
}

function gridOf(...cells: Cell<Speed>[]): Grid<Speed> {
  const names = [...new Set(cells.map(({ name }) => name))];
  const contenders = names.map((name) => ({ name, label: name.toUpperCase() }));
  return { of: "connections", contenders, cells };
}

function sentence(grid: Grid<Speed>, measure = SPEED): string {
  const ranking = rankAtLargest(grid, measure, "more");
  assert.ok(ranking !== undefined);
  return rankingText(grid, ranking, {
    measure,
    best: "had the highest throughput",
    ratio: (ratio, label) => `${ratio} times that of ${label}`,
    caveats: [["~", "it was disturbed"]],
  });
}

test("a contender that is behind in every round has a ratio; one that is not has no significant difference", () => {
  const grid = gridOf(
    cell("a", 10, [100, 110, 120]),
    cell("b", 10, [99, 112, 100]),
    cell("c", 10, [50, 50, 60]),
  );
  assert.equal(
    sentence(grid),
    "At 10 connections, A had the highest throughput: 110 (100-120) messages/s; no significant difference from B; 2.00 (2.00-2.20) times that of C",
  );
});

test("a difference of less than 5 % is not significant, even if all rounds agree", () => {
  const grid = gridOf(cell("a", 10, [103, 103, 103]), cell("b", 10, [100, 100, 100]));
  assert.match(sentence(grid), /no significant difference from B$/);
});

test("equal figures have no significant difference", () => {
  const grid = gridOf(cell("a", 10, [7, 7, 7]), cell("b", 10, [7, 7, 7]), cell("c", 10, [7, 7, 7]));
  assert.match(sentence(grid), /no significant difference from B and C$/);
});

test("contenders with fewer than three rounds in common are not compared", () => {
  const grid = gridOf(cell("a", 10, [100, 100, 100]), cell("b", 10, [50, 50]));
  assert.match(sentence(grid), /not compared with B: fewer than 3 rounds in common$/);
  assert.doesNotMatch(sentence(grid), /times that/);
});

test("the sentence names the contender with the best figures", () => {
  const grid = gridOf(cell("a", 10, [50, 50, 50]), cell("b", 10, [100, 100, 100]));
  assert.match(
    sentence(grid),
    /^At 10 connections, B had the highest throughput: 100 .* 2.00 .* that of A$/,
  );
});

test("sizes with a single contender are passed over", () => {
  const grid = gridOf(
    cell("a", 10, [100, 100, 100]),
    cell("b", 10, [50, 50, 50]),
    cell("a", 100, [200, 200, 200]),
    { name: "b", at: 100, samples: [], absent: { reason: "no room", failed: false } },
  );
  assert.match(sentence(grid), /^At 10 connections/);
  assert.equal(rank([cell("a", 10, [1])], SPEED, "more"), undefined);
});

test("a caveat of any compared figure is added once", () => {
  const grid = gridOf(cell("a", 10, [100, 100, 100]), cell("b", 10, [50, 50, 50]));
  const mark = ({ name }: Cell<Speed>): string => (name === "b" ? "~" : "");
  assert.match(sentence(grid, { ...SPEED, mark }), /that of B; it was disturbed$/);
  assert.doesNotMatch(sentence(grid, { ...SPEED, mark: () => "" }), /disturbed/);
});

test("where less is better, the larger figure is divided by the smaller one", () => {
  const cells = [cell("a", 10, [10, 10, 10]), cell("b", 10, [30, 30, 33])];
  const ranking = rank(cells, SPEED, "less");
  assert.equal(ranking?.best.name, "a");
  assert.deepEqual(ranking?.behind[0]?.ratio, { median: 3, min: 3, max: 3.3 });
});

test("growth is reported when all rounds agree on it, and otherwise that there is no significant change", () => {
  const grid = gridOf(
    cell("a", 10, [1, 1, 1]),
    cell("a", 1000, [9, 10, 11]),
    cell("b", 10, [1, 1, 1]),
    cell("b", 1000, [0.9, 1, 1.3]),
    cell("c", 10, [2, 2, 2]),
    cell("c", 500, [1, 1, 1]),
  );
  assert.deepEqual(
    growthTexts(growthIn(grid, SPEED.value), { of: "connections", what: "a wait" }),
    [
      "From 10 to 1,000 connections, a wait grew 10.0-fold (9.00-11.0) with A; it did not change significantly with B",
      "From 10 to 500 connections, a wait fell to 50.0 % (50.0 %-50.0 %) with C",
    ],
  );
});

test("a figure below the detection limit is a bound in the table, and one round has no range", () => {
  const measure: Measure<Speed> = { ...SPEED, least: (at) => 1000 / at };
  assert.equal(figureText(cell("a", 10, [50, 60, 70]), measure), "< 100");
  assert.equal(figureText(cell("a", 100, [50, 60, 70]), measure), "60 (50-70)");
  assert.equal(figureText(cell("a", 100, [50]), measure), "50");
  assert.equal(figureText(undefined, measure), "-");
  const grid = gridOf(cell("a", 10, [5, 6, 7]), cell("b", 20, [5]));
  assert.deepEqual(gridTable(grid, (each) => figureText(each, SPEED)).rows, [
    ["10", "6 (5-7)", "-"],
    ["20", "-", "5"],
  ]);
});

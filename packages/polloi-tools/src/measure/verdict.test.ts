import assert from "node:assert/strict";
import { test } from "node:test";
import type { Grid, GridCell, Measure } from "./grid.ts";
import { figureText, gridTable, growthIn } from "./grid.ts";
import { whole } from "./table.ts";
import { growthTexts, rank, rankAtLargest, rankingText } from "./verdict.ts";

interface Sample {
  readonly round: number;
  readonly speed: number;
}

const SPEED: Measure<Sample> = {
  title: "Speed",
  unit: "messages a second",
  value: ({ speed }) => speed,
  format: whole,
};

function cell(name: string, at: number, speeds: readonly number[]): GridCell<Sample> {
  return { name, at, samples: speeds.map((speed, i) => ({ round: i + 1, speed })) };
}

function gridOf(...cells: GridCell<Sample>[]): Grid<Sample> {
  const names = [...new Set(cells.map(({ name }) => name))];
  const contenders = names.map((name) => ({ name, label: name.toUpperCase() }));
  return { of: "connections", contenders, cells };
}

function told(grid: Grid<Sample>, measure = SPEED): string {
  const ranking = rankAtLargest(grid, measure, "more");
  assert.ok(ranking !== undefined);
  return rankingText(grid, ranking, {
    measure,
    led: "gave most",
    ratio: (ratio, label) => `${ratio} times what ${label} gave`,
    doubts: [["~", "it was disturbed"]],
  });
}

test("who is ahead in every round is told by how much; who is not in one of them is not told apart", () => {
  const grid = gridOf(
    cell("a", 10, [100, 110, 120]),
    cell("b", 10, [99, 112, 100]),
    cell("c", 10, [50, 50, 60]),
  );
  assert.equal(
    told(grid),
    "At 10 connections, A gave most: 110 (100-120) messages a second; B is not told apart from it; 2.00 (2.00-2.20) times what C gave",
  );
});

test("a difference of a twentieth is none, however surely it is there", () => {
  const grid = gridOf(cell("a", 10, [103, 103, 103]), cell("b", 10, [100, 100, 100]));
  assert.match(told(grid), /B is not told apart from it$/);
});

test("equal figures are not told apart", () => {
  const grid = gridOf(cell("a", 10, [7, 7, 7]), cell("b", 10, [7, 7, 7]), cell("c", 10, [7, 7, 7]));
  assert.match(told(grid), /B and C are not told apart from it$/);
});

test("fewer than three rounds that both ran are too few to compare", () => {
  const grid = gridOf(cell("a", 10, [100, 100, 100]), cell("b", 10, [50, 50]));
  assert.match(told(grid), /fewer than 3 rounds have both it and B, too few to compare$/);
  assert.doesNotMatch(told(grid), /times what/);
});

test("other figures make another sentence: whoever is ahead is named", () => {
  const grid = gridOf(cell("a", 10, [50, 50, 50]), cell("b", 10, [100, 100, 100]));
  assert.match(told(grid), /^At 10 connections, B gave most: 100 .* 2.00 .* what A gave$/);
});

test("sizes at which nobody is left to compare with are passed over", () => {
  const grid = gridOf(
    cell("a", 10, [100, 100, 100]),
    cell("b", 10, [50, 50, 50]),
    cell("a", 100, [200, 200, 200]),
    { name: "b", at: 100, samples: [], absent: { reason: "no room", failed: false } },
  );
  assert.match(told(grid), /^At 10 connections/);
  assert.equal(rank([cell("a", 10, [1])], SPEED, "more"), undefined);
});

test("a doubt about any of the figures that are compared is told with them, once", () => {
  const grid = gridOf(cell("a", 10, [100, 100, 100]), cell("b", 10, [50, 50, 50]));
  const mark = ({ name }: GridCell<Sample>): string => (name === "b" ? "~" : "");
  assert.match(told(grid, { ...SPEED, mark }), /what B gave; it was disturbed$/);
  assert.doesNotMatch(told(grid, { ...SPEED, mark: () => "" }), /disturbed/);
});

test("less is better where it is: the dearer one's figure is taken by the cheaper one's", () => {
  const cells = [cell("a", 10, [10, 10, 10]), cell("b", 10, [30, 30, 33])];
  const ranking = rank(cells, SPEED, "less");
  assert.equal(ranking?.best.name, "a");
  assert.deepEqual(ranking?.behind[0]?.ratio, { median: 3, min: 3, max: 3.3 });
});

test("a growth is told when all rounds agree on it, and else that none can be told", () => {
  const grid = gridOf(
    cell("a", 10, [1, 1, 1]),
    cell("a", 1000, [9, 10, 11]),
    cell("b", 10, [1, 1, 1]),
    cell("b", 1000, [0.9, 1, 1.3]),
    cell("c", 10, [2, 2, 2]),
    cell("c", 500, [1, 1, 1]),
  );
  assert.deepEqual(growthTexts(growthIn(grid, SPEED), { of: "connections", what: "a wait" }), [
    "From 10 to 1,000 connections, a wait became so many times what it was: 10.0 (9.00-11.0) with A; with B no change can be told",
    "From 10 to 500 connections, a wait became so many times what it was: 0.500 (0.500-0.500) with C",
  ]);
});

test("what is too little to be told is a bound in the table, and one round has no range", () => {
  const measure: Measure<Sample> = { ...SPEED, least: (at) => 1000 / at };
  assert.equal(figureText(cell("a", 10, [50, 60, 70]), measure), "< 100");
  assert.equal(figureText(cell("a", 100, [50, 60, 70]), measure), "60 (50-70)");
  assert.equal(figureText(cell("a", 100, [50]), measure), "50");
  assert.equal(figureText(undefined, measure), "-");
  const grid = gridOf(cell("a", 10, [5, 6, 7]), cell("b", 20, [5]));
  assert.deepEqual(gridTable(grid, SPEED).rows, [
    ["10", "6 (5-7)", "-"],
    ["20", "-", "5"],
  ]);
});

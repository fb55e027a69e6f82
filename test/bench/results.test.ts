/** From what was measured to what is said of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { churnGoals, churnTable } from "../../bench/churn-text.ts";
import { type EchoResult, roundFrom, roundOf, summarize } from "../../bench/echo.ts";
import { echoChart } from "../../bench/echo-chart.ts";
import { cellText, disturbanceOf, echoGoals, marksOf } from "../../bench/echo-text.ts";
import type { IdleResult } from "../../bench/idle.ts";
import { idleGoals } from "../../bench/idle-text.ts";
import { type LatencyResult, wasReached } from "../../bench/latency.ts";
import { latencyGoals, latencyTable } from "../../bench/latency-text.ts";
import type { LoadResult } from "../../bench/load.ts";
import { headlineMarkdown } from "../../bench/markdown.ts";
import { goalsOf, sectionsOf } from "../../bench/report.ts";
import type { SyscallsResult } from "../../bench/syscalls.ts";
import { syscallsGoals, syscallsTable } from "../../bench/syscalls-text.ts";
import { coresFor } from "../../bench/workers.ts";
import { jsonFixture } from "./fixtures.ts";

const echo: EchoResult = jsonFixture("echo.json");
const churn: EchoResult = jsonFixture("churn.json");
const latency: LatencyResult = jsonFixture("latency.json");
const syscalls: SyscallsResult = jsonFixture("syscalls.json");
const idle: IdleResult = jsonFixture("idle.json");

/** The same cells under other names, as if that engine had been measured. */
function renamed<T>(result: T, from: string, to: string): T {
  return JSON.parse(JSON.stringify(result).replaceAll(`"${from}"`, `"${to}"`)) as T;
}

test("a load's line becomes a round: rates by the window, CPU by the message", () => {
  const line: LoadResult = jsonFixture("load-churn.json");
  const round = roundFrom(line);
  assert.equal(round.messagesPerSecond, 8099 / 0.304378);
  assert.equal(round.connectionsPerSecond, 818 / 0.304378);
  assert.equal(round.serverCpuUs, (0.107406 / 8099) * 1e6);
  assert.equal(round.loadEngine, "c epoll");
  assert.ok(!("connectionsPerSecond" in roundFrom(jsonFixture("load-rate.json"))));
});

test("a server whose core was idle is marked as limited by the load, one that was kept from it otherwise", () => {
  const [cell] = echo.cells;
  const [row] = cell?.rows ?? [];
  assert.ok(cell && row);
  const summary = summarize(cell, row);
  assert.equal(marksOf({ ...summary, serverBusy: 0.99, coreIdle: 0 }), "");
  assert.equal(marksOf({ ...summary, serverBusy: 0.9, coreIdle: 0.08 }), "*");
  assert.equal(marksOf({ ...summary, serverBusy: 0.9, coreIdle: 0 }), "~");
  assert.equal(marksOf({ ...summary, serverBusy: 0.99, coreIdle: 0, faulty: true }), "!");
});

test("a server that idles proves as much about CPU as a busy one, unless others ran beside it", () => {
  assert.equal(
    disturbanceOf([
      { busy: 0.99, idle: 0 },
      { busy: 0.6, idle: 0.35 },
    ]),
    undefined,
  );
  const disturbed = disturbanceOf([
    { busy: 0.99, idle: 0 },
    { busy: 0.6, idle: 0.1 },
  ]);
  assert.equal(disturbed, "other processes ran on a server's core");
});

test("the yardstick is exactly itself in every round", () => {
  for (const cell of echo.cells) {
    const [row] = cell.rows;
    assert.equal(row?.name, "c-epoll");
    assert.deepEqual(row && summarize(cell, row).ratio, { median: 1, min: 1, max: 1 });
    assert.match(cellText(cell), /C, raw epoll loop/);
  }
});

test("io_uring is held to the C loop with small messages only, and to its own epoll with large ones", () => {
  assert.ok(echoGoals(echo.cells).every(({ what }) => !what.includes("io_uring")));
  const goals = echoGoals(renamed(echo, "polloi-epoll", "polloi-uring").cells);
  const small = goals.filter(({ limit }) => limit.atLeast === 1);
  assert.deepEqual(
    small.map(({ where }) => where),
    ["64 B x 50"],
  );
  assert.equal(small[0]?.values.length, echo.settings.rounds);
  const own = echoGoals(renamed(echo, "c-epoll", "polloi-uring").cells);
  assert.deepEqual(
    own.map(({ where, limit }) => [where, limit.atLeast]),
    [["16 KiB x 50", 0.95]],
  );
});

test("churn is judged by connections per second of server CPU, against the own epoll engine", () => {
  assert.deepEqual(churnGoals(churn.cells), []);
  const [goal] = churnGoals(renamed(churn, "c-epoll", "polloi-uring").cells);
  const [c, own] = churn.cells[0]?.rows ?? [];
  const expected = c?.rounds.map(
    (round, i) => (own?.rounds[i]?.serverCpuUs ?? 0) / (round?.serverCpuUs ?? 0),
  );
  assert.deepEqual(goal?.values, expected);
  const [cell] = churn.cells;
  assert.ok(cell);
  assert.equal(churnTable(cell, 10).rows.length, 2);
});

test("a rate that was not reached is marked, and puts the goal in doubt", () => {
  const [goal] = latencyGoals(latency);
  assert.equal(goal?.limit.atMost, 1.2);
  assert.equal(goal?.values.length, latency.settings.rounds);
  const slow: LatencyResult = {
    ...latency,
    rows: latency.rows.map((row) => ({
      ...row,
      rounds: row.rounds.map((round) => round && { ...round, achieved: round.wanted * 0.9 }),
    })),
  };
  for (const round of slow.rows[0]?.rounds ?? []) assert.ok(round && !wasReached(round));
  assert.equal(latencyGoals(slow)[0]?.doubt, "the rate was not reached");
  for (const row of latencyTable(slow).rows) assert.match(row[3] ?? "", / <$/);
});

test("calls per message are all calls of a window by all of its messages", () => {
  const epoll = syscalls.rows.find(({ name }) => name === "polloi-epoll");
  const [round] = epoll?.rounds ?? [];
  assert.ok(round);
  assert.equal(round.messages, syscalls.settings.connections * syscalls.settings.perConnection);
  const [goal] = syscallsGoals(syscalls);
  assert.equal(goal?.limit.atMost, 2.1);
  const calls = Object.values(round.calls).reduce((sum, count) => sum + count, 0);
  assert.equal(goal?.values[0], calls / round.messages);
  assert.match(syscallsTable(syscalls).rows[1]?.[2] ?? "", /recvfrom 1\.\d+/);
});

test("every engine is held to the memory goal, and only those that scale to the growth", () => {
  const whats = idleGoals(idle).map(({ what }) => what);
  assert.deepEqual(whats, [
    "polloi, epoll, bytes per idle connection",
    "polloi, epoll, growth of CPU per message",
  ]);
  assert.equal(idleGoals(renamed(idle, "polloi-epoll", "polloi-poll")).length, 1);
});

test("memory that shrank while connections came has not been measured", () => {
  const rows = idle.rows.map((row) => ({ ...row, bytesPerConnection: [-197] }));
  assert.equal(idleGoals({ ...idle, rows })[0]?.doubt, "memory had not settled");
});

test("workers and load have cores of their own where there are enough; else each worker's core has a load", () => {
  const machine = { serverCore: 1, loadCore: 0 };
  assert.deepEqual(coresFor(2, { ...machine, cores: 4 }), {
    one: { server: "1", loads: ["0"] },
    many: { server: "1,2", loads: ["0"] },
    shared: false,
  });
  assert.deepEqual(coresFor(2, { ...machine, cores: 2 }), {
    one: { server: "1", loads: ["1"] },
    many: { server: "1,0", loads: ["1", "0"] },
    shared: true,
  });
});

test("loads at the same time add up their messages, and see the same CPU time of the server", () => {
  const line: LoadResult = jsonFixture("load-rate.json");
  const alone = roundFrom(line);
  const both = roundOf([line, line]);
  assert.equal(both.messagesPerSecond, alone.messagesPerSecond * 2);
  assert.equal(both.serverBusy, alone.serverBusy);
  assert.ok(Math.abs(both.serverCpuUs - alone.serverCpuUs / 2) < 1e-9);
});

test("the report has a place for every benchmark, and says which have no figures yet", () => {
  const sections = sectionsOf({ echo, idle });
  const unmeasured = sections.filter(({ text }) => text.startsWith("No figures yet"));
  assert.deepEqual(
    unmeasured.map(({ marker }) => marker),
    ["http-headline", "churn", "syscalls", "latency", "workers", "http", "load"],
  );
  for (const { text } of sectionsOf({ echo, churn, syscalls, latency, idle })) {
    assert.doesNotMatch(text, /undefined|NaN/);
  }
  assert.equal(goalsOf({}).length, 0);
});

test("every table says on what, from which commit and by which command it was taken", () => {
  const { machine } = echo;
  const text = headlineMarkdown(echo);
  for (const said of [machine.cpu, machine.kernel, machine.commit, machine.command, "node 20"]) {
    assert.ok(text.includes(said), said);
  }
  assert.ok(!text.includes("16 KiB"));
});

test("a chart has a bar for each server that was measured, and none for one that was not", () => {
  const chart = echoChart(echo, 64, ["polloi-uring", "polloi-epoll", "c-epoll"]);
  assert.deepEqual(chart.groups, ["50 connections"]);
  assert.deepEqual(
    chart.series.map(({ key }) => key),
    ["epoll", "c-epoll"],
  );
  assert.deepEqual(chart.series[1]?.values, [{ value: 1, low: 1, high: 1 }]);
});

test("a server that was left out is named with its reason beside the figures", () => {
  const figures = sectionsOf({ echo }).find(({ marker }) => marker === "echo");
  assert.match(figures?.text ?? "", /not measured: polloi, io_uring \(TypeError: Cannot use/);
});

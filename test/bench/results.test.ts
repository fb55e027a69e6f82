/** The reports of all other benchmarks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { churnGoals, type EchoResult, echoChart, echoFigure, echoGoals } from "../../bench/echo.ts";
import { type IdleResult, idleReport } from "../../bench/idle.ts";
import { type LatencyResult, latencyReport, wasReached } from "../../bench/latency.ts";
import type { LoadResult } from "../../bench/load.ts";
import { goalsOf, headline, sectionsOf } from "../../bench/report.ts";
import { type SyscallsResult, syscallsReport } from "../../bench/syscalls.ts";
import { disturbanceOf, marksOf, rateOf, throughputOf } from "../../bench/throughput.ts";
import { coresFor } from "../../bench/workers.ts";
import { ratiosOf } from "../../packages/polloi-tools/src/measure/grid.ts";
import { figureText } from "../../packages/polloi-tools/src/measure/report.ts";
import { jsonFixture } from "./fixtures.ts";

const echo: EchoResult = jsonFixture("echo.json");
const churn: EchoResult = jsonFixture("churn.json");
const latency: LatencyResult = jsonFixture("latency.json");
const syscalls: SyscallsResult = jsonFixture("syscalls.json");
const idle: IdleResult = jsonFixture("idle.json");

/** The same result under another name, as if that engine had been measured. */
function renamed<T>(result: T, from: string, to: string): T {
  return JSON.parse(JSON.stringify(result).replaceAll(`"${from}"`, `"${to}"`)) as T;
}

test("the report of a load becomes a sample: rates by the window, CPU time by the message", () => {
  const line: LoadResult = jsonFixture("load-churn.json");
  const round = throughputOf([line], 1);
  assert.equal(round.messagesPerSecond, 8099 / 0.304378);
  assert.equal(round.connectionsPerSecond, 818 / 0.304378);
  assert.ok(Math.abs(round.serverCpuUs - (0.107406 / 8099) * 1e6) < 1e-9);
  assert.equal(round.loadEngine, "c epoll");
  assert.ok(!("connectionsPerSecond" in throughputOf([jsonFixture("load-rate.json")], 1)));
});

test("a server whose core was idle has one mark, and one that was kept from its core another", () => {
  const summary = { faulty: false };
  assert.equal(marksOf({ ...summary, serverBusy: 0.99, coreIdle: 0 }), "");
  assert.equal(marksOf({ ...summary, serverBusy: 0.9, coreIdle: 0.08 }), "*");
  assert.equal(marksOf({ ...summary, serverBusy: 0.9, coreIdle: 0 }), "~");
  assert.equal(marksOf({ ...summary, serverBusy: 0.99, coreIdle: 0, faulty: true }), "!");
});

test("CPU time is reliable for idle servers too, unless other processes used their core", () => {
  assert.equal(
    disturbanceOf([
      { serverBusy: 0.99, coreIdle: 0 },
      { serverBusy: 0.6, coreIdle: 0.35 },
    ]),
    undefined,
  );
  const disturbed = disturbanceOf([
    { serverBusy: 0.99, coreIdle: 0 },
    { serverBusy: 0.6, coreIdle: 0.1 },
  ]);
  assert.equal(disturbed, "other processes ran on a server's core");
});

test("the ratio of the reference to itself is 1 in every round", () => {
  for (const each of echo.cases) {
    const [row] = each.rows;
    assert.equal(row?.name, "c-epoll");
    assert.deepEqual([...new Set(ratiosOf(rateOf, row, row))], [1]);
    assert.match(figureText(echoFigure(each)), /^C, raw epoll loop .* 1\.00 \(1\.00-1\.00\)/m);
  }
});

test("io_uring is compared with the C loop for small messages only, and with its own epoll for large ones", () => {
  assert.ok(echoGoals(echo.cases).every(({ what }) => !what.includes("io_uring")));
  const goals = echoGoals(renamed(echo, "polloi-epoll", "polloi-uring").cases);
  const small = goals.filter(({ limit }) => limit.atLeast === 1);
  assert.deepEqual(
    small.map(({ where }) => where),
    ["64 B x 50"],
  );
  assert.equal(small[0]?.values.length, echo.settings.rounds);
  const own = echoGoals(renamed(echo, "c-epoll", "polloi-uring").cases);
  assert.deepEqual(
    own.map(({ where, limit }) => [where, limit.atLeast]),
    [["16 KiB x 50", 0.95]],
  );
});

test("the goal of churn compares connections per second of CPU time with the epoll engine", () => {
  assert.deepEqual(churnGoals(churn.cases), []);
  const [goal] = churnGoals(renamed(churn, "c-epoll", "polloi-uring").cases);
  const [c, own] = churn.cases[0]?.rows ?? [];
  const expected = c?.samples.map(
    ({ serverCpuUs }, i) => (own?.samples[i]?.serverCpuUs ?? 0) / serverCpuUs,
  );
  assert.deepEqual(goal?.values, expected);
  const [first] = churn.cases;
  assert.ok(first);
  assert.equal(echoFigure(first, 10).table.rows.length, 2);
});

test("a rate that was not reached is marked, and the goal is not proven", () => {
  const [goal] = latencyReport(latency).goals;
  assert.equal(goal?.limit.atMost, 1.2);
  assert.equal(goal?.values.length, latency.settings.rounds);
  const slow: LatencyResult = {
    ...latency,
    rows: latency.rows.map((row) => ({
      ...row,
      samples: row.samples.map((sample) => ({ ...sample, achieved: sample.wanted * 0.9 })),
    })),
  };
  for (const sample of slow.rows[0]?.samples ?? []) assert.ok(!wasReached(sample));
  assert.equal(latencyReport(slow).goals[0]?.doubt, "the rate was not reached");
  for (const row of latencyReport(slow).figures[0]?.table.rows ?? [])
    assert.match(row[3] ?? "", / <$/);
});

test("calls per message are all calls of a window divided by all of its messages", () => {
  const epoll = syscalls.rows.find(({ name }) => name === "polloi-epoll");
  const [round] = epoll?.samples ?? [];
  assert.ok(round);
  assert.equal(round.messages, syscalls.settings.connections * syscalls.settings.perConnection);
  const [goal] = syscallsReport(syscalls).goals;
  assert.equal(goal?.limit.atMost, 2.1);
  const calls = Object.values(round.calls).reduce((sum, count) => sum + count, 0);
  assert.equal(goal?.values[0], calls / round.messages);
  assert.match(syscallsReport(syscalls).figures[0]?.table.rows[1]?.[2] ?? "", /recvfrom 1\.\d+/);
});

test("every engine has a goal for memory, and only those that scale have one for growth", () => {
  const whats = idleReport(idle).goals.map(({ what }) => what);
  assert.deepEqual(whats, [
    "polloi, epoll, bytes per idle connection",
    "polloi, epoll, growth of CPU per message",
  ]);
  assert.equal(idleReport(renamed(idle, "polloi-epoll", "polloi-poll")).goals.length, 1);
});

test("memory that shrank while connections opened is not proven", () => {
  const rows = idle.rows.map((row) => ({
    ...row,
    samples: row.samples.map((sample) => ({ ...sample, bytesPerConnection: -197 })),
  }));
  assert.equal(idleReport({ ...idle, rows }).goals[0]?.doubt, "memory had not settled");
});

test("workers and load have cores of their own where there are enough; otherwise each worker's core has a load", () => {
  const machine = { serverCore: 1, loadCore: 0 };
  assert.deepEqual(coresFor(2, { ...machine, cores: 4 }), {
    one: { server: [1], loads: [0] },
    many: { server: [1, 2], loads: [0] },
    shared: false,
  });
  assert.deepEqual(coresFor(2, { ...machine, cores: 2 }), {
    one: { server: [1], loads: [1] },
    many: { server: [1, 0], loads: [1, 0] },
    shared: true,
  });
});

test("concurrent loads add up their messages, and share the CPU time of the server", () => {
  const line: LoadResult = jsonFixture("load-rate.json");
  const alone = throughputOf([line], 1);
  const both = throughputOf([line, line], 1);
  assert.equal(both.messagesPerSecond, alone.messagesPerSecond * 2);
  assert.equal(both.serverBusy, alone.serverBusy);
  assert.ok(Math.abs(both.serverCpuUs - alone.serverCpuUs / 2) < 1e-9);
});

test("the report has a section for every benchmark, and says which have no figures yet", () => {
  const sections = sectionsOf({ echo, idle });
  const unmeasured = sections.filter(({ text }) => text.startsWith("No figures yet"));
  assert.deepEqual(
    unmeasured.map(({ marker }) => marker),
    [
      ...["http-headline", "churn", "syscalls", "latency", "workers"],
      ...["http", "bodies", "keepAlive", "tls", "load"],
    ],
  );
  assert.ok(unmeasured.some(({ text }) => text.includes("-- http --cases post,chunked,hono`")));
  for (const { text } of sectionsOf({ echo, churn, syscalls, latency, idle })) {
    assert.doesNotMatch(text, /undefined|NaN/);
  }
  assert.equal(goalsOf({}).length, 0);
});

test("every table names the machine, the commit and the command", () => {
  const { machine } = echo;
  const text = headline(echo);
  for (const said of [
    machine.cpu,
    machine.kernel,
    machine.commit ?? "",
    machine.command,
    "node 20",
  ]) {
    assert.ok(text.includes(said), said);
  }
  assert.ok(!text.includes("16 KiB"));
});

test("a chart has a bar for each measured server, and none for others", () => {
  const chart = echoChart(echo, 64, ["polloi-uring", "polloi-epoll", "c-epoll"]);
  assert.deepEqual(chart.groups, ["50 connections"]);
  assert.deepEqual(
    chart.series.map(({ key }) => key),
    ["epoll", "c-epoll"],
  );
  assert.deepEqual(chart.series[1]?.values, [{ value: 1, low: 1, high: 1 }]);
});

test("a server that was left out is named with the reason below the figures", () => {
  const figures = sectionsOf({ echo }).find(({ marker }) => marker === "echo");
  assert.match(figures?.text ?? "", /not measured: polloi, io_uring \(TypeError: Cannot use/);
});

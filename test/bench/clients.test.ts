/** The report of the client benchmark. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type ClientFigures,
  type ClientsResult,
  type ClientsRow,
  clientsReport,
} from "../../bench/clients.ts";
import type { Goal } from "../../bench/goals.ts";
import { goalsOf as allGoals, sectionsOf } from "../../bench/report.ts";
import { figureText } from "../../packages/polloi-tools/src/measure/report.ts";
import { jsonFixture } from "./fixtures.ts";

const load: ClientsResult = jsonFixture("load.json");

/** The goals of these rows. */
function goalsOf({ rows }: Pick<ClientsResult, "rows">): readonly Goal[] {
  return clientsReport({ ...load, rows }).goals;
}

/** The rows of a kind, with other figures in every round. */
function changed(
  kind: ClientsRow["kind"],
  figures: { polloi?: Partial<ClientFigures>; other?: Partial<ClientFigures> },
): ClientsRow[] {
  return load.rows
    .filter((row) => row.kind === kind)
    .map((row) => ({
      ...row,
      samples: row.samples.map((sample) => ({
        ...sample,
        polloi: { ...sample.polloi, ...figures.polloi },
        other: { ...sample.other, ...figures.other },
      })),
    }));
}

test("each comparison is a row of the table, with a figure for both clients", () => {
  const [figure] = clientsReport(load).figures;
  assert.ok(figure);
  const { header, rows } = figure.table;
  assert.equal(rows.length, load.rows.length);
  for (const row of rows) assert.equal(row.length, header.length);
  const text = figureText(figure);
  assert.doesNotMatch(text, /undefined|NaN/);
  assert.match(text, /echo, C loop : epoll in C +10,000 /);
  // wrk does not report when all connections are open.
  for (const row of rows) assert.equal(row.at(-1) === "-", row[0]?.endsWith("wrk"), row[0]);
});

test("CPU time is a ratio, p99 a ratio in either direction, opening a time", () => {
  const even = { serverBusy: 0.9, coreIdle: 0.1 };
  const other = { cpuUs: 10, p99Us: 1000, ...even };
  for (const p99Us of [800, 1250]) {
    const rows = changed("http", { polloi: { cpuUs: 12, p99Us, ...even }, other });
    const goals = goalsOf({ rows });
    assert.equal(goals.length, 2 * rows.length);
    for (const { what, limit, values, doubt } of goals) {
      assert.deepEqual([...new Set(values)], [what.endsWith("apart") ? 1.25 : 1.2], what);
      assert.equal(limit.atMost, what.endsWith("apart") ? 1.15 : 1.3);
      assert.equal(doubt, undefined);
    }
  }
  const echo = goalsOf({ rows: changed("echo", { polloi: { openMs: 900 } }) });
  const opened = echo.filter(({ what }) => what.includes("open"));
  assert.deepEqual(
    opened.map(({ where, limit, values }) => [where, limit.atMost, values[0]]),
    [["10,000 connections", 3000, 900]],
  );
});

test("a figure with other processes on the server's core is not proven", () => {
  const rows = changed("echo", { polloi: { serverBusy: 0.5, coreIdle: 0.2 } });
  for (const { doubt } of goalsOf({ rows })) assert.match(doubt ?? "", /other processes/);
});

test("the report has the table and the goals", () => {
  const section = sectionsOf({ load }).find(({ marker }) => marker === "load");
  assert.equal(section?.file, "docs/figures.md");
  assert.match(section?.text ?? "", /\| polloi load : other \| connections \|/);
  assert.match(section?.text ?? "", /npm run bench -- load/);
  assert.equal(allGoals({ load }).length, clientsReport(load).goals.length);
});

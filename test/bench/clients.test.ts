/** From what was measured of two clients to what is said of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClientRun, ClientsResult, ClientsRow } from "../../bench/clients.ts";
import { clientsGoals, clientsTable, clientsText } from "../../bench/clients-text.ts";
import { goalsOf, sectionsOf } from "../../bench/report.ts";
import { jsonFixture } from "./fixtures.ts";

const load: ClientsResult = jsonFixture("load.json");

/** The rows of a kind, with other figures in every round. */
function changed(
  kind: ClientsRow["kind"],
  figures: { polloi?: Partial<ClientRun>; other?: Partial<ClientRun> },
): ClientsRow[] {
  return load.rows
    .filter((row) => row.kind === kind)
    .map((row) => ({
      ...row,
      rounds: row.rounds.map(
        (round) =>
          round && {
            polloi: { ...round.polloi, ...figures.polloi },
            other: { ...round.other, ...figures.other },
          },
      ),
    }));
}

test("each comparison is a row of the table, with a figure for both clients", () => {
  const { header, rows } = clientsTable(load);
  assert.equal(rows.length, load.rows.length);
  for (const row of rows) assert.equal(row.length, header.length);
  const text = clientsText(load);
  assert.doesNotMatch(text, /undefined|NaN/);
  assert.match(text, /echo, C loop : epoll in C +10,000 /);
  // wrk does not say when all are open.
  for (const row of rows) assert.equal(row.at(-1) === "-", row[0]?.endsWith("wrk"), row[0]);
});

test("CPU per message is a ratio, p99 is as wrong above wrk's as below it, opening is a time", () => {
  const even = { serverBusy: 0.9, coreIdle: 0.1 };
  const other = { cpuUs: 10, p99Us: 1000, ...even };
  for (const p99Us of [800, 1250]) {
    const rows = changed("http", { polloi: { cpuUs: 12, p99Us, ...even }, other });
    const goals = clientsGoals({ rows });
    assert.equal(goals.length, 2 * rows.length);
    for (const { what, limit, values, doubt } of goals) {
      assert.deepEqual([...new Set(values)], [what.endsWith("apart") ? 1.25 : 1.2], what);
      assert.equal(limit.atMost, what.endsWith("apart") ? 1.15 : 1.3);
      assert.equal(doubt, undefined);
    }
  }
  const echo = clientsGoals({ rows: changed("echo", { polloi: { openMs: 900 } }) });
  const opened = echo.filter(({ what }) => what.includes("open"));
  assert.deepEqual(
    opened.map(({ where, limit, values }) => [where, limit.atMost, values[0]]),
    [["10,000 connections", 3000, 900]],
  );
});

test("a server that did not have its core to itself proves nothing", () => {
  const rows = changed("echo", { polloi: { serverBusy: 0.5, coreIdle: 0.2 } });
  for (const { doubt } of clientsGoals({ rows })) assert.match(doubt ?? "", /other processes/);
});

test("the report has the table and the goals", () => {
  const section = sectionsOf({ load }).find(({ marker }) => marker === "load");
  assert.equal(section?.file, "docs/figures.md");
  assert.match(section?.text ?? "", /\| polloi load : other \| connections \|/);
  assert.match(section?.text ?? "", /npm run bench -- load/);
  assert.equal(goalsOf({ load }).length, clientsGoals(load).length);
});

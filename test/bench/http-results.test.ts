/** From what was measured of HTTP servers to what is said of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { summarize } from "../../bench/echo.ts";
import type { HttpCell, HttpResult } from "../../bench/http.ts";
import { httpHeadline, httpMarkdown } from "../../bench/http-markdown.ts";
import { HTTP_NAMES, takesPart } from "../../bench/http-plans.ts";
import { httpCellText, httpGoals, httpTable } from "../../bench/http-text.ts";
import { portOf } from "../../bench/processes.ts";
import { SERVERS } from "../../bench/runs.ts";
import { parseWrk } from "../../bench/wrk.ts";
import { fixture, jsonFixture } from "./fixtures.ts";

const http: HttpResult = jsonFixture("http.json");

function cellOf(name: HttpCell["name"]): HttpCell {
  return http.cells.find((cell) => cell.name === name) as HttpCell;
}

/** The same cell with other figures in every round. */
function changed(cell: HttpCell, figures: Partial<Record<string, object>>): HttpCell {
  const rows = cell.rows.map((row) => ({
    ...row,
    rounds: row.rounds.map((round) => round && { ...round, ...figures[row.name] }),
  }));
  return { ...cell, rows };
}

test("every server that the benchmark takes by default exists, and has something to do", () => {
  for (const name of SERVERS.http) assert.ok(HTTP_NAMES.includes(name), name);
  for (const name of HTTP_NAMES) {
    const cells = (["hello", "pipelined", "file", "paced"] as const).filter((cell) =>
      takesPart(name, cell),
    );
    assert.ok(cells.length > 0, name);
  }
});

test("each way to ask has its table, with the server that its ratios are taken to", () => {
  const headers = http.cells.map((cell) => httpTable(cell).header.join(" "));
  const expected = [/of C /, /of C /, /of nginx /, /by node:http's/];
  expected.forEach((header, i) => {
    assert.match(headers[i] as string, header);
  });
  for (const cell of http.cells) assert.doesNotMatch(httpCellText(cell), /undefined|NaN/);
});

test("throughput is judged by requests/s, and the paced cell by CPU for each", () => {
  const even = { serverBusy: 0.99, coreIdle: 0, mismatches: 0, lost: 0 };
  const hello = changed(cellOf("hello"), {
    "polloi-handler-uring": { ...even, messagesPerSecond: 46_000, serverCpuUs: 1 },
    "node-http": { ...even, messagesPerSecond: 20_000, serverCpuUs: 1 },
  });
  const paced = changed(cellOf("paced"), {
    "polloi-handler-uring": { ...even, messagesPerSecond: 10_000, serverCpuUs: 15 },
    "node-http": { ...even, messagesPerSecond: 10_000, serverCpuUs: 60 },
  });
  const [throughput, cpu, ...more] = httpGoals([hello, paced]);
  assert.deepEqual(more, []);
  assert.deepEqual(throughput?.values, [2.3, 2.3]);
  assert.deepEqual(throughput?.limit, { atLeast: 1.8, record: 2.3 });
  assert.equal(throughput?.where, "not pipelined x 64");
  assert.deepEqual(cpu?.values, [0.25, 0.25]);
  assert.deepEqual(cpu?.limit, { atMost: 0.5, record: 0.35 });
  assert.deepEqual([throughput?.doubt, cpu?.doubt], [undefined, undefined]);
});

test("servers that had little of their core prove nothing, however even", () => {
  const even = { serverBusy: 0.3, coreIdle: 0, messagesPerSecond: 1000, mismatches: 0, lost: 0 };
  const names = ["polloi-handler-uring", "node-http"];
  const figures = Object.fromEntries(names.map((name) => [name, even]));
  const [goal] = httpGoals([changed(cellOf("hello"), figures)]);
  assert.equal(goal?.doubt, "a server had less than half of its core");
});

test("CPU at a rate that a server did not reach proves nothing", () => {
  const slow = { messagesPerSecond: 9000, mismatches: 0, lost: 0 };
  const [goal] = httpGoals([changed(cellOf("paced"), { "node-http": slow })]);
  assert.equal(goal?.doubt, "the rate was not reached");
});

test("answers that were not all the same mark a row, at a fixed rate too", () => {
  const wrong = changed(cellOf("paced"), { "node-http": { mismatches: 1 } });
  const row = wrong.rows.find(({ name }) => name === "node-http");
  assert.ok(row && summarize(wrong, row).faulty);
  assert.match(httpCellText(wrong), /bytes came back changed/);
});

test("the report says what was not measured, and its headline is of Hello, world! alone", () => {
  assert.match(httpMarkdown(http), /not measured: polloi serve http --dir, io_uring/);
  const headline = httpHeadline(http);
  assert.match(headline, /\| not pipelined x 64 \| 16 pipelined x 64 \|/);
  assert.doesNotMatch(headline, /KiB|5,000|undefined|NaN/);
});

test("what wrk prints is read with its units, and the shell's times with it", () => {
  const report = parseWrk(fixture("wrk.txt"));
  assert.equal(report.messages, 1880);
  assert.equal(report.seconds, 1.01);
  assert.equal(report.bytes, 328.63 * 1024);
  assert.deepEqual([report.p50Us, report.p99Us], [24_440, 767_110]);
  assert.equal(report.cpuSeconds, 0.07);
  assert.deepEqual([report.lost, report.mismatches], [0, 0]);
  const faulty = fixture("wrk.txt").replace(
    "Requests/sec",
    "  Socket errors: connect 0, read 2, write 1, timeout 4\n  Non-2xx or 3xx responses: 5\nRequests/sec",
  );
  const { lost, mismatches } = parseWrk(faulty);
  assert.deepEqual([lost, mismatches], [7, 5]);
  assert.throws(() => parseWrk("unable to connect to 127.0.0.1"), /wrk said: unable to connect/);
});

test("a server says its port by itself, or for each listener as the command line does", () => {
  assert.equal(portOf({ first: { ready: true, port: 7 } }), 7);
  assert.equal(portOf({ first: { ready: true, listeners: [{ port: 8 }] } }), 8);
});

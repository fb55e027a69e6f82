/** The report of the HTTP benchmark. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { portOf } from "../../bench/children.ts";
import {
  HTTP_SERVERS,
  type HttpCase,
  type HttpResult,
  httpFigure,
  httpGoals,
  httpReport,
} from "../../bench/http.ts";
import { CASE_NAMES, HTTP_NAMES, takesPart } from "../../bench/http-plans.ts";
import { httpHeadline, sectionsOf } from "../../bench/report.ts";
import { usageOf } from "../../bench/throughput.ts";
import { parseWrk } from "../../bench/wrk.ts";
import { figureText } from "../../packages/polloi-tools/src/measure/report.ts";
import { fixture, jsonFixture } from "./fixtures.ts";

const http: HttpResult = jsonFixture("http.json");

function caseOf(name: HttpCase["name"]): HttpCase {
  return http.cases.find((cell) => cell.name === name) as HttpCase;
}

/** The same case with other figures in every round. */
function changed(of: HttpCase, figures: Partial<Record<string, object>>): HttpCase {
  const rows = of.rows.map((row) => ({
    ...row,
    samples: row.samples.map((sample) => ({ ...sample, ...figures[row.name] })),
  }));
  return { ...of, rows };
}

test("every server that the benchmark measures by default exists, and takes part in a case", () => {
  for (const name of HTTP_SERVERS) assert.ok(HTTP_NAMES.includes(name), name);
  for (const name of HTTP_NAMES) {
    const cells = CASE_NAMES.filter((cell) => takesPart(name, cell));
    assert.ok(cells.length > 0, name);
  }
});

test("each case has a table, with ratios to the server that it names", () => {
  const headers = http.cases.map((each) => httpFigure(each).table.header.join(" "));
  const expected = [/of C /, /of C /, /of nginx /, /ratio to node:http /];
  expected.forEach((header, i) => {
    assert.match(headers[i] as string, header);
  });
  for (const each of http.cases) {
    assert.doesNotMatch(figureText(httpFigure(each)), /undefined|NaN/);
  }
});

test("goals compare requests/s, and in the paced case CPU time per request", () => {
  const even = { serverBusy: 0.99, coreIdle: 0, mismatches: 0, lost: 0 };
  const hello = changed(caseOf("hello"), {
    "polloi-handler-uring": { ...even, messagesPerSecond: 46_000, serverCpuUs: 1 },
    "node-http": { ...even, messagesPerSecond: 20_000, serverCpuUs: 1 },
  });
  const paced = changed(caseOf("paced"), {
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

test("a goal may compare CPU time per request of saturated servers, or p99 at a rate", () => {
  const even = { serverBusy: 0.99, coreIdle: 0, mismatches: 0, lost: 0 };
  const row = caseOf("hello").rows.find(({ name }) => name === "polloi-handler-uring");
  assert.ok(row);
  const rows = (own: object, other: object): HttpCase["rows"] => [
    { ...row, samples: row.samples.map((sample) => ({ ...sample, ...even, ...own })) },
    {
      ...{ ...row, name: "uws", label: "uWebSockets.js" },
      samples: row.samples.map((sample) => ({ ...sample, ...even, ...other })),
    },
  ];
  const fast = { messagesPerSecond: 20_000, serverCpuUs: 9, p99Us: 100 };
  const slow = { messagesPerSecond: 20_000, serverCpuUs: 10, p99Us: 200 };
  const hello = { ...caseOf("hello"), rows: rows(fast, slow) };
  const paced = { ...caseOf("paced"), rate: 20_000, rows: rows(fast, slow) };
  const goals = httpGoals([hello, paced]).map(({ what, values, doubt }) => [what, values, doubt]);
  const what = `${row.label} : uWebSockets.js`;
  assert.deepEqual(goals, [
    [what, [1, 1], undefined],
    [`${what}, CPU per request`, [0.9, 0.9], undefined],
    [`${what}, CPU per request`, [0.9, 0.9], undefined],
    [`${what}, p99`, [0.5, 0.5], undefined],
  ]);
});

test("goals of servers with little of their core are not proven", () => {
  const even = { serverBusy: 0.3, coreIdle: 0, messagesPerSecond: 1000, mismatches: 0, lost: 0 };
  const names = ["polloi-handler-uring", "node-http"];
  const figures = Object.fromEntries(names.map((name) => [name, even]));
  const [goal] = httpGoals([changed(caseOf("hello"), figures)]);
  assert.equal(goal?.doubt, "a server had less than half of its core");
});

test("CPU time at a rate that a server did not reach is not proven", () => {
  const slow = { messagesPerSecond: 9000, mismatches: 0, lost: 0 };
  const [goal] = httpGoals([changed(caseOf("paced"), { "node-http": slow })]);
  assert.equal(goal?.doubt, "the rate was not reached");
});

test("damaged answers mark a row, also at a fixed rate", () => {
  const wrong = changed(caseOf("paced"), { "node-http": { mismatches: 1 } });
  const row = wrong.rows.find(({ name }) => name === "node-http");
  assert.ok(row && usageOf(row).faulty);
  assert.match(figureText(httpFigure(wrong)), /bytes came back changed/);
});

test("the report names what was not measured, and its headline has only the cases of Hello, world!", () => {
  const section = sectionsOf({ http }).find(({ marker }) => marker === "http");
  assert.match(section?.text ?? "", /not measured: polloi serve http --dir, io_uring/);
  const headline = httpHeadline(http);
  assert.match(headline, /\| not pipelined x 64 \| 16 pipelined x 64 \|/);
  assert.doesNotMatch(headline, /KiB|5,000|undefined|NaN/);
});

test("the output of wrk is parsed with its units, and that of the shell's times", () => {
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
  assert.throws(() => parseWrk("unable to connect to 127.0.0.1"), /wrk failed: unable to connect/);
});

test("a server prints its port by itself, or for each listener as the polloi command does", () => {
  assert.equal(portOf({ first: { ready: true, port: 7 } }), 7);
  assert.equal(portOf({ first: { ready: true, listeners: [{ port: 8 }] } }), 8);
});

test("the memory of idle connections has a table, and goals for the servers of polloi", () => {
  const row = (name: string, ...bytes: number[]) => ({
    ...{ name, label: name },
    samples: bytes.map((bytesPerConnection, i) => ({ round: i + 1, bytesPerConnection })),
  });
  const idle = [row("polloi-handler-uring", 300, 390), row("node-http", 3000, 3900)];
  const settings = { ...http.settings, idle: 15_000 };
  const { figures, goals, method } = httpReport({ ...http, cases: [], settings, idle });
  assert.match(method, /^Memory: /);
  const [figure, ...others] = figures;
  assert.ok(figure);
  assert.deepEqual(others, []);
  assert.equal(figure.title, "15,000 idle keep-alive connections after one request");
  assert.match(figureText(figure), /polloi-handler-uring +345 .* 0\.10 /);
  assert.deepEqual(
    goals.map(({ what, limit, values }) => ({ what, limit, values })),
    [
      {
        what: "polloi-handler-uring, bytes per idle connection",
        limit: { atMost: 400, record: 250 },
        values: [300, 390],
      },
    ],
  );
});

import { pairedRatios, spreadOf } from "../packages/polloi-tools/src/measure/spread.ts";
import {
  percent,
  spreadText,
  textTable,
  whole,
} from "../packages/polloi-tools/src/measure/table.ts";
import { type RowSummary, summarize } from "./echo.ts";
import { disturbanceOf, doubtOf, failuresOf, marksOf, notesFor } from "./echo-text.ts";
import type { Goal, Limit } from "./goals.ts";
import { type HttpCell, type HttpCellPlan, REFERENCES } from "./http.ts";
import type { CellName } from "./http-plans.ts";
import { sizeText, type Table } from "./table.ts";

/** Below this share of the rate that was asked for, a server did not keep up. */
const REACHED = 0.99;

/** With less of its core than this, a server was measured half asleep: its code cold, its caches another's. */
const AWAKE = 0.5;

/** What a cell is: `"Hello, world!", 16 requests in flight on each of 64 connections`. */
export function titleOf({ name, connections, depth, rate, size }: HttpCellPlan): string {
  const what = name === "file" ? `a file of ${sizeText(size)}` : '"Hello, world!"';
  if (rate > 0) return `${what}, ${whole(rate)} requests/s over ${whole(connections)} connections`;
  return depth === 1
    ? `${what}, ${whole(connections)} connections`
    : `${what}, ${depth} requests in flight on each of ${whole(connections)} connections`;
}

/** Which case of a goal a cell is: those that differ only behind the x share a row. */
export function caseOf({ name, connections, depth, rate, size }: HttpCellPlan): string {
  const kinds: Record<CellName, string> = {
    hello: "not pipelined",
    pipelined: `${depth} pipelined`,
    file: sizeText(size),
    paced: `${whole(rate)}/s`,
  };
  return `${kinds[name]} x ${whole(connections)}`;
}

/** A cell as a table, and the marks that occur in it. */
export function httpTable(cell: HttpCell): Table & { readonly marks: string } {
  const { name, label } = REFERENCES[cell.name];
  const paced = cell.rate > 0;
  let seen = "";
  const rows = cell.rows.map((row) => {
    const summary = summarize(cell, row, name);
    const marks = paced ? (summary.faulty ? "!" : "") : marksOf(summary);
    seen += marks;
    const ratios = paced
      ? [spreadText(summary.cpuUs), spreadText(spreadOf(costRatios(cell, row.name, name)))]
      : [spreadText(summary.ratio), spreadText(summary.cpuUs), spreadText(summary.cpuRatio)];
    return [
      row.label,
      spreadText(summary.rate, whole),
      ...ratios,
      `${percent(summary.serverBusy)}${marks}`,
      percent(summary.loadBusy),
      summary.p50Us === undefined ? "-" : whole(summary.p50Us),
      summary.p99Us === undefined ? "-" : whole(summary.p99Us),
    ];
  });
  const ratios = paced
    ? ["CPU us/request (min-max)", `by ${label}'s (min-max)`]
    : [`of ${label} (min-max)`, "CPU us/request (min-max)", `of ${label} by CPU (min-max)`];
  const header = ["server", "requests/s (min-max)", ...ratios];
  return { header: [...header, "server", "load", "p50 us", "p99 us"], rows, marks: seen };
}

/** A cell as it is shown on the terminal. */
export function httpCellText(cell: HttpCell): string {
  const { header, rows, marks } = httpTable(cell);
  const table = textTable(header, rows);
  return [`\n${titleOf(cell)}`, table, ...notesFor(marks), ...failuresOf(cell.rows)].join("\n");
}

/** CPU per request of one server by that of another, a figure a round. */
function costRatios(cell: HttpCell, name: string, other: string): number[] {
  const costs = (of: string): (number | undefined)[] =>
    cell.rows.find((row) => row.name === of)?.rounds.map((round) => round?.serverCpuUs) ?? [];
  return pairedRatios(costs(name), costs(other));
}

/** What is to be reached, by whom, of whom, in which cell. */
interface Aim {
  readonly by: readonly string[];
  readonly of: string;
  readonly cell: CellName;
  readonly limit: Limit;
}

/** What `serve` takes where it may choose, in both hosts; the other engines are in the tables. */
const HANDLER = ["polloi-handler-uring-run", "polloi-handler-uring"];
const FETCH = ["polloi-fetch-uring-run", "polloi-fetch-uring"];

const AIMS: readonly Aim[] = [
  { by: HANDLER, of: "node-http", cell: "hello", limit: { atLeast: 1.8, record: 2.3 } },
  {
    by: [...HANDLER, "polloi-handler-uring-bun"],
    of: "bun-serve",
    cell: "hello",
    limit: { atLeast: 1.05, record: 1.2 },
  },
  { by: HANDLER, of: "uws", cell: "hello", limit: { atLeast: 0.95, record: 1.1 } },
  { by: HANDLER, of: "node-http", cell: "pipelined", limit: { atLeast: 9, record: 14 } },
  { by: HANDLER, of: "uws", cell: "pipelined", limit: { atLeast: 0.9, record: 1.2 } },
  { by: FETCH, of: "node-http", cell: "hello", limit: { atLeast: 1, record: 1.4 } },
  {
    by: [...FETCH, "polloi-fetch-uring-bun"],
    of: "bun-serve",
    cell: "hello",
    limit: { atLeast: 0.7, record: 1 },
  },
  {
    by: ["polloi-files-uring", "polloi-files-epoll"],
    of: "nginx",
    cell: "file",
    limit: { atLeast: 0.8, record: 1 },
  },
  { by: HANDLER, of: "node-http", cell: "paced", limit: { atMost: 0.5, record: 0.35 } },
];

/** The goals of HTTP; those whose server or control was left out are not among them. */
export function httpGoals(cells: readonly HttpCell[]): Goal[] {
  return AIMS.flatMap(({ by, of, cell: name, limit }) =>
    by.flatMap((server) =>
      cells.filter((cell) => cell.name === name).flatMap((cell) => goalIn(cell, server, of, limit)),
    ),
  );
}

function goalIn(cell: HttpCell, name: string, of: string, limit: Limit): Goal[] {
  const row = cell.rows.find((candidate) => candidate.name === name);
  const other = cell.rows.find((candidate) => candidate.name === of);
  if (row === undefined || other === undefined) return [];
  const one = summarize(cell, row, of);
  const two = summarize(cell, other, of);
  const paced = cell.rate > 0;
  const values = paced ? costRatios(cell, name, of) : one.ratios;
  if (values.length === 0) return [];
  return [
    {
      what: `${row.label} : ${other.label}${paced ? ", CPU per request" : ""}`,
      where: caseOf(cell),
      limit,
      values,
      doubt: paced ? pacedDoubt(cell, [one, two]) : (doubtOf(one, two) ?? asleep([one, two])),
    },
  ];
}

function asleep(summaries: readonly RowSummary[]): string | undefined {
  const some = summaries.some(({ serverBusy = 1 }) => serverBusy < AWAKE);
  return some ? "a server had less than half of its core" : undefined;
}

/** Why CPU per request at a fixed rate proves nothing. */
function pacedDoubt({ rate }: HttpCell, summaries: readonly RowSummary[]): string | undefined {
  if (summaries.some(({ faulty }) => faulty)) return "answers or connections were lost";
  const slow = summaries.some((each) => (each.rate?.median ?? 0) < rate * REACHED);
  if (slow) return "the rate was not reached";
  return disturbanceOf(
    summaries.map(({ serverBusy, coreIdle }) => ({ busy: serverBusy, idle: coreIdle })),
  );
}

import {
  pairedRatio,
  pairedRatios,
  spreadOf,
} from "../packages/polloi-tools/src/measure/spread.ts";
import {
  percent,
  spreadText,
  textTable,
  whole,
} from "../packages/polloi-tools/src/measure/table.ts";
import type { RowOf } from "./echo.ts";
import { disturbanceOf, failuresOf } from "./echo-text.ts";
import type { Goal } from "./goals.ts";
import { type LatencyResult, type LatencyRound, wasReached } from "./latency.ts";
import { YARDSTICK } from "./plans.ts";
import type { Table } from "./table.ts";

/** What the mark beside a rate means. */
export const NOT_REACHED =
  "< in half of the rounds or more the rate was not reached: the latency is that of a growing queue";

function median(row: RowOf<LatencyRound>, key: keyof LatencyRound): number | undefined {
  return spreadOf(row.rounds.flatMap((round) => (round === null ? [] : [round[key]])))?.median;
}

function p99s(row: RowOf<LatencyRound> | undefined): (number | undefined)[] {
  return row?.rounds.map((round) => round?.p99Us) ?? [];
}

/** Whether most rounds of a row had the rate that they were to have. */
function reachedIn({ rounds }: RowOf<LatencyRound>): boolean {
  const done = rounds.filter((round) => round !== null);
  return done.filter(wasReached).length > done.length / 2;
}

/** Latency at a share of the peak. */
export function latencyTable({ rows, settings }: LatencyResult): Table {
  const c = rows.find(({ name }) => name === YARDSTICK);
  const figure = (row: RowOf<LatencyRound>, key: keyof LatencyRound): string => {
    const value = median(row, key);
    return value === undefined ? "-" : whole(value);
  };
  return {
    header: [
      "server",
      "peak, messages/s",
      `rate wanted (${percent(settings.share)})`,
      "rate reached",
      "p50 us",
      "p99 us (min-max)",
      "p99.9 us",
      "p99 : C's (min-max)",
      "server",
      "load",
    ],
    rows: rows.map((row) => [
      row.label,
      figure(row, "peak"),
      figure(row, "wanted"),
      `${figure(row, "achieved")}${reachedIn(row) ? "" : " <"}`,
      figure(row, "p50Us"),
      spreadText(spreadOf(p99s(row).filter((value) => value !== undefined)), whole),
      figure(row, "p999Us"),
      spreadText(pairedRatio(p99s(row), p99s(c))),
      percent(median(row, "serverBusy")),
      percent(median(row, "loadBusy")),
    ]),
  };
}

/** How the figures came about, for those who read only the table. */
export const LATENCY_METHOD =
  "Open loop: messages are due at even distances, each connection in its turn, and latency counts from when a message was due, not from when it could be sent (corrected for coordinated omission).";

/** As it is shown on the terminal. */
export function latencyText(result: LatencyResult): string {
  const { connections, size } = result.settings;
  const { header, rows } = latencyTable(result);
  return [
    `\nlatency at a fixed rate: ${whole(connections)} connections, ${size} B`,
    textTable(header, rows),
    LATENCY_METHOD,
    ...(result.rows.every(reachedIn) ? [] : [NOT_REACHED]),
    ...failuresOf(result.rows),
  ].join("\n");
}

function doubtOf(rows: readonly RowOf<LatencyRound>[]): string | undefined {
  if (!rows.every(reachedIn)) return "the rate was not reached";
  return disturbanceOf(
    rows.map((row) => ({ busy: median(row, "serverBusy"), idle: median(row, "coreIdle") })),
  );
}

const CANDIDATES = ["polloi-uring", "polloi-epoll"];

/** The p99 of polloi, by that of the C loop at the same share of its own peak. */
export function latencyGoals({ rows, settings }: LatencyResult): Goal[] {
  const c = rows.find(({ name }) => name === YARDSTICK);
  if (c === undefined) return [];
  return rows
    .filter(({ name }) => CANDIDATES.includes(name))
    .map((row) => ({
      what: `${row.label} : ${c.label}, p99 at ${percent(settings.share)} of own peak`,
      where: `${whole(settings.connections)} connections`,
      limit: { atMost: 1.2, record: 1 },
      values: pairedRatios(p99s(row), p99s(c)),
      doubt: doubtOf([row, c]),
    }));
}

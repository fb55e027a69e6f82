import {
  percent,
  spreadText,
  textTable,
  whole,
} from "../packages/polloi-tools/src/measure/table.ts";
import { type Cell, summarize } from "./echo.ts";
import { disturbanceOf, failuresOf } from "./echo-text.ts";
import type { Goal } from "./goals.ts";
import type { Table } from "./table.ts";

/** One cell of churn: connections per second, and what each costs the server. */
export function churnTable(cell: Cell, life: number): Table {
  return {
    header: [
      `${whole(cell.connections)} at a time`,
      "connections/s (min-max)",
      "messages/s",
      "CPU us/connection (min-max)",
      "of C by CPU (min-max)",
      "of own epoll by CPU (min-max)",
      "server",
      "load",
    ],
    rows: cell.rows.map((row) => {
      const summary = summarize(cell, row);
      const own = summarize(cell, row, "polloi-epoll").cpuRatio;
      return [
        summary.faulty ? `${row.label} !` : row.label,
        spreadText(summary.connections, whole),
        summary.rate === undefined ? "-" : whole(summary.rate.median),
        spreadText(summary.cpuUs, (us) => whole(us * life)),
        spreadText(summary.cpuRatio),
        spreadText(own),
        percent(summary.serverBusy),
        percent(summary.loadBusy),
      ];
    }),
  };
}

/** A cell as it is shown on the terminal. */
export function churnCellText(cell: Cell, life: number): string {
  const { header, rows } = churnTable(cell, life);
  const title = `\nconnections that live for ${life} messages of ${cell.size} B`;
  return [title, textTable(header, rows), ...failuresOf(cell.rows)].join("\n");
}

/**
 * The goal of churn, in connections per second of server CPU: a handshake costs the side that connects
 * more than the side that accepts, so the load may well be what limits connections per second.
 */
export function churnGoals(cells: readonly Cell[]): Goal[] {
  return cells.flatMap((cell) => {
    const row = cell.rows.find(({ name }) => name === "polloi-uring");
    const own = cell.rows.find(({ name }) => name === "polloi-epoll");
    if (row === undefined || own === undefined) return [];
    const { cpuRatios, ...summary } = summarize(cell, row, own.name);
    const other = summarize(cell, own);
    const servers = [summary, other].map(({ serverBusy, coreIdle }) => {
      return { busy: serverBusy, idle: coreIdle };
    });
    const faulty = summary.faulty || other.faulty;
    return [
      {
        what: `${row.label} : ${own.label}, churn by CPU`,
        where: `${whole(cell.connections)} at a time`,
        limit: { atLeast: 0.95, record: 1.05 },
        values: cpuRatios,
        doubt: faulty ? "bytes or connections were lost" : disturbanceOf(servers),
      },
    ];
  });
}

import { type Cell, type EchoResult, type RowSummary, summarize } from "./echo.ts";
import { machineLines } from "./machine.ts";
import { percent, sizeText, spreadText, textTable, whole } from "./table.ts";

/** Below this share of its core a server was not what limited its figure. */
const BUSY_ENOUGH = 0.95;
/** More idle time than this on the server's core means that the load could not keep it busy. */
const IDLE_AT_MOST = 0.05;

const HEADER = [
  "server",
  "messages/s (min-max)",
  "of C (min-max)",
  "CPU us/msg (min-max)",
  "of C by CPU (min-max)",
  "server",
  "load",
  "p50 us",
  "p99 us",
];

/** What a mark beside a row's server column means. */
const NOTES: Readonly<Record<string, string>> = {
  "*": "* the server did not fill its core, which was idle in between: the load limited this row, or was itself kept from its core",
  "~": "~ the server did not get all of its core: other processes ran on it; read the columns of CPU instead",
  "!": "! bytes came back changed, or connections were lost",
};

/** The marks of a row, in the order of {@link NOTES}. */
export function marksOf(summary: RowSummary): string {
  const { serverBusy, coreIdle, faulty } = summary;
  const short = serverBusy !== undefined && serverBusy < BUSY_ENOUGH;
  const idle = (coreIdle ?? 0) > IDLE_AT_MOST;
  return `${short ? (idle ? "*" : "~") : ""}${faulty ? "!" : ""}`;
}

/** The notes for the marks that occur. */
export function notesFor(marks: string): string[] {
  return Object.keys(NOTES).flatMap((mark) =>
    marks.includes(mark) ? [NOTES[mark] as string] : [],
  );
}

/** A cell as it is shown on the terminal. */
export function cellText(cell: Cell): string {
  let seen = "";
  const failures: string[] = [];
  const rows = cell.rows.map((row) => {
    const summary = summarize(cell, row);
    const marks = marksOf(summary);
    seen += marks;
    for (const failure of new Set(row.failures)) {
      failures.push(`${row.label} failed: ${failure}`);
    }
    return [
      row.label,
      spreadText(summary.rate, whole),
      spreadText(summary.ratio),
      spreadText(summary.cpuUs),
      spreadText(summary.cpuRatio),
      `${percent(summary.serverBusy)}${marks}`,
      percent(summary.loadBusy),
      summary.p50Us === undefined ? "-" : whole(summary.p50Us),
      summary.p99Us === undefined ? "-" : whole(summary.p99Us),
    ];
  });
  const title = `\n${sizeText(cell.size)} messages, ${whole(cell.connections)} connections`;
  return [title, textTable(HEADER, rows), ...notesFor(seen), ...failures].join("\n");
}

/** What is said before the first figure. */
export function openingText(result: Pick<EchoResult, "machine" | "warnings" | "skipped">): string {
  return [
    ...machineLines(result.machine),
    ...result.warnings.map((warning) => `WARNING   ${warning}`),
    ...result.skipped.map(({ label, reason }) => `skipped   ${label}: ${reason}`),
  ].join("\n");
}

/** What the epoll engine is to reach, of whom. */
const GOALS = [
  { of: "c-epoll", label: "C, raw epoll loop", atLeast: 0.93 },
  { of: "node-net", label: "node:net", atLeast: 1.35 },
  { of: "bun-listen", label: "Bun.listen", atLeast: 1 },
] as const;

/** The rows that are held to the goals: the library as it is, and as its own servers use it. */
const CANDIDATES = ["polloi-epoll", "polloi-zero-copy"];

/** How far the epoll engine is from its goals; empty when it or all of its controls were left out. */
export function goalsText(cells: readonly Cell[]): string {
  const tables = CANDIDATES.map((name) => {
    const rows = cells.flatMap((cell) => goalRows(cell, name));
    const label = cells[0]?.rows.find((row) => row.name === name)?.label ?? name;
    const head = [label, "ratio (min-max)", "by CPU (min-max)", "goal", ""];
    return rows.length === 0 ? "" : `\n${textTable(head, rows)}`;
  });
  return tables.join("");
}

function goalRows(cell: Cell, name: string): string[][] {
  const polloi = cell.rows.find((row) => row.name === name);
  if (polloi === undefined) return [];
  return GOALS.flatMap(({ of, label, atLeast }) => {
    const summary = summarize(cell, polloi, of);
    const { ratio, cpuRatio } = summary;
    const other = cell.rows.find((row) => row.name === of);
    if (ratio === undefined || other === undefined) return [];
    const proven = marksOf(summary) + marksOf(summarize(cell, other)) === "";
    const what = `${sizeText(cell.size)} x ${whole(cell.connections)}: of ${label}`;
    const reached = ratio.median >= atLeast ? "reached" : "MISSED";
    // A server that did not have its core to itself proves nothing, either way.
    const verdict = proven ? reached : `not proven (${reached})`;
    return [[what, spreadText(ratio), spreadText(cpuRatio), `>= ${atLeast}`, verdict]];
  });
}

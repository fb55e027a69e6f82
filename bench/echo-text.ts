import {
  percent,
  spreadText,
  textTable,
  whole,
} from "../packages/polloi-tools/src/measure/table.ts";
import { type Cell, type RowOf, type RowSummary, summarize } from "./echo.ts";
import type { Goal, Limit } from "./goals.ts";
import { sizeText } from "./table.ts";

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

/** Two servers of which each had about the same share of its core can be compared by messages/s. */
const SHARES_APART = 0.03;
/** Above this share of its core that others had, even what a server's CPU does is not its own doing. */
const OTHERS_AT_MOST = 0.1;

/** Why a figure proves nothing that does not ask for a full core, but for an undisturbed one. */
export function disturbanceOf(
  servers: readonly { readonly busy: number | undefined; readonly idle: number | undefined }[],
): string | undefined {
  const disturbed = servers.some(({ busy = 1, idle = 0 }) => 1 - busy - idle > OTHERS_AT_MOST);
  return disturbed ? "other processes ran on a server's core" : undefined;
}

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
  const rows = cell.rows.map((row) => {
    const summary = summarize(cell, row);
    const marks = marksOf(summary);
    seen += marks;
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
  return [title, textTable(HEADER, rows), ...notesFor(seen), ...failuresOf(cell.rows)].join("\n");
}

/** What went wrong in any round, each once. */
export function failuresOf(rows: readonly Pick<RowOf<unknown>, "label" | "failures">[]): string[] {
  return rows.flatMap(({ label, failures }) =>
    [...new Set(failures)].map((failure) => `${label} failed: ${failure}`),
  );
}

/** What is to be reached, by whom, of whom, and at which message sizes if not at all. */
interface Aim {
  readonly by: readonly string[];
  readonly of: string;
  readonly sizes?: readonly number[];
  readonly limit: Limit;
}

/** The library as it is, and as its own servers use it. */
const URING = ["polloi-uring", "polloi-uring-zero-copy"];
const EPOLL = ["polloi-epoll", "polloi-zero-copy"];

const AIMS: readonly Aim[] = [
  {
    by: ["polloi-uring-run", ...URING],
    of: "c-epoll",
    sizes: [64],
    limit: { atLeast: 1, record: 1.08 },
  },
  { by: URING, of: "node-net", limit: { atLeast: 1.5, record: 1.8 } },
  { by: URING, of: "bun-listen", limit: { atLeast: 1.15, record: 1.3 } },
  { by: ["polloi-uring-bun"], of: "bun-listen", limit: { atLeast: 1.15, record: 1.3 } },
  {
    by: ["polloi-uring"],
    of: "polloi-epoll",
    sizes: [16_384],
    limit: { atLeast: 0.95, record: 1.05 },
  },
  {
    by: ["polloi-uring-zero-copy"],
    of: "polloi-zero-copy",
    sizes: [16_384],
    limit: { atLeast: 0.95, record: 1.05 },
  },
  { by: EPOLL, of: "c-epoll", limit: { atLeast: 0.93 } },
  { by: EPOLL, of: "node-net", limit: { atLeast: 1.35 } },
  { by: EPOLL, of: "bun-listen", limit: { atLeast: 1 } },
];

/** The goals of the echo benchmark; those whose server or control was left out are not among them. */
export function echoGoals(cells: readonly Cell[]): Goal[] {
  return AIMS.flatMap(({ by, of, sizes, limit }) =>
    by.flatMap((name) =>
      cells
        .filter(({ size }) => sizes === undefined || sizes.includes(size))
        .flatMap((cell) => goalIn(cell, name, of, limit)),
    ),
  );
}

function goalIn(cell: Cell, name: string, of: string, limit: Limit): Goal[] {
  const row = cell.rows.find((candidate) => candidate.name === name);
  const other = cell.rows.find((candidate) => candidate.name === of);
  if (row === undefined || other === undefined) return [];
  const summary = summarize(cell, row, of);
  if (summary.ratios.length === 0) return [];
  return [
    {
      what: `${row.label} : ${other.label}`,
      where: `${sizeText(cell.size)} x ${whole(cell.connections)}`,
      limit,
      values: summary.ratios,
      doubt: doubtOf(summary, summarize(cell, other)),
    },
  ];
}

/**
 * Why a ratio of messages/s proves nothing: a server had less to do than it could, or more of its core than
 * the other. What others took from both alike, in turns of a tenth of a second, is in both figures.
 */
export function doubtOf(one: RowSummary, other: RowSummary): string | undefined {
  const marks = marksOf(one) + marksOf(other);
  if (marks.includes("!")) return "bytes or connections were lost";
  if (marks.includes("*")) return "a server did not fill its core";
  const apart = Math.abs((one.serverBusy ?? 1) - (other.serverBusy ?? 1));
  return apart > SHARES_APART ? "one server got more of its core than the other" : undefined;
}

import { spreadText, whole } from "../packages/polloi-tools/src/measure/table.ts";
import { churnTable } from "./churn-text.ts";
import type { ClientsResult } from "./clients.ts";
import { CLIENTS_METHOD, clientsTable } from "./clients-text.ts";
import { type Cell, type EchoResult, type Published, summarize } from "./echo.ts";
import { marksOf, notesFor } from "./echo-text.ts";
import { type Goal, type GoalRow, goalRows } from "./goals.ts";
import type { IdleResult } from "./idle.ts";
import { idleTable } from "./idle-text.ts";
import type { LatencyResult } from "./latency.ts";
import { LATENCY_METHOD, latencyTable, NOT_REACHED } from "./latency-text.ts";
import type { SyscallsResult } from "./syscalls.ts";
import { syscallsTable } from "./syscalls-text.ts";
import { markdownTable, sizeText, type Table } from "./table.ts";
import type { WorkersResult } from "./workers.ts";
import { coresText, workersTable } from "./workers-text.ts";

/** The rows of the README, where they were measured; docs/figures.md has all of them. */
export const HEADLINE: readonly string[] = [
  "c-epoll",
  "polloi-uring-run",
  "polloi-uring",
  "polloi-epoll",
  "node-net",
  "bun-listen",
  "polloi-uring-bun",
];
export const HEADLINE_SIZE = 64;

/** The echo benchmark: for each message size a table, with a column for each number of connections. */
export function echoMarkdown(result: EchoResult): string {
  const sizes = [...new Set(result.cells.map(({ size }) => size))];
  const tables = sizes.map((size) => echoTable(result.cells.filter((cell) => cell.size === size)));
  return inParts([roundsText(result), ...tables, published(result)]);
}

/** The rows that a reader looks for first. */
export function headlineMarkdown(result: EchoResult): string {
  const cells = result.cells
    .filter(({ size }) => size === HEADLINE_SIZE)
    .map((cell) => ({ ...cell, rows: cell.rows.filter(({ name }) => HEADLINE.includes(name)) }));
  return inParts([roundsText(result), echoTable(cells), takenOn(result)]);
}

function roundsText({ settings: { rounds, seconds } }: EchoResult): string {
  return `Each figure: messages/s as a ratio to the C loop in the same round (median, smallest and largest of ${rounds} rounds of ${seconds} s), messages/s, and server CPU per message.`;
}

function echoTable(cells: readonly Cell[]): string {
  const labels = cells[0]?.rows.map(({ name, label }) => ({ name, label })) ?? [];
  let seen = "";
  const rows = labels.map(({ name, label }) => [
    label,
    ...cells.map((cell) => {
      const row = cell.rows.find((other) => other.name === name);
      const summary = row && summarize(cell, row);
      if (summary?.rate === undefined) return "-";
      const marks = marksOf(summary);
      seen += marks;
      const cpu = `${summary.cpuUs?.median.toFixed(1)} us`;
      const ratio = summary.ratio === undefined ? "" : `**${spreadText(summary.ratio)}** `;
      return `${ratio}${whole(summary.rate.median / 1000)} k/s, ${cpu}${escaped(marks)}`;
    }),
  ]);
  const header = [
    `${sizeText(cells[0]?.size ?? 0)} messages`,
    ...cells.map(({ connections }) => `${whole(connections)} connections`),
  ];
  return inParts([markdownTable(header, rows), ...notesFor(seen).map(escaped)]);
}

export function churnMarkdown(result: EchoResult): string {
  const { life = 1, rounds, seconds } = result.settings;
  const how = `Connections that live for ${life} messages, ${rounds} rounds of ${seconds} s. A handshake costs the side that connects more than the side that accepts, so the load may be what limits connections/s: the ratios are of connections per second of server CPU.`;
  const tables = result.cells.map((cell) => markdown(churnTable(cell, life)));
  return inParts([how, ...tables, published(result)]);
}

export function syscallsMarkdown(result: SyscallsResult): string {
  const { connections, size, perConnection } = result.settings;
  const how = `Every call of every thread of the server while ${whole(connections)} connections exchange ${whole(perConnection)} messages of ${size} B each, counted by \`strace -c -f\`; nothing is opened, closed or compiled meanwhile.`;
  return inParts([how, markdown(syscallsTable(result)), published(result)]);
}

export function latencyMarkdown(result: LatencyResult): string {
  const { connections, size } = result.settings;
  const how = `${whole(connections)} connections, ${size} B. ${LATENCY_METHOD}`;
  const table = markdown(latencyTable(result));
  const notes = table.includes(" <") ? [NOT_REACHED.replace("<", "\\<")] : [];
  return inParts([how, table.replaceAll(" <", " \\<"), ...notes, published(result)]);
}

export function workersMarkdown(result: WorkersResult): string {
  const { connections, size } = result.settings;
  const how = `${whole(connections)} connections, ${size} B. ${coresText(result)}`;
  return inParts([how, markdown(workersTable(result)), published(result)]);
}

export function clientsMarkdown(result: ClientsResult): string {
  const { rounds, seconds } = result.settings;
  const how = `${CLIENTS_METHOD} Medians of ${rounds} rounds of ${seconds} s.`;
  return inParts([how, markdown(clientsTable(result)), published(result)]);
}

export function idleMarkdown(result: IdleResult): string {
  return inParts([markdown(idleTable(result)), published(result)]);
}

/** What was to be reached and what was, a row for each thing. */
export function goalsMarkdown(goals: readonly Goal[]): string {
  return goalTable(goalRows(goals));
}

/** How many were reached, and a table of those that were not: a reader who looks only here is not misled. */
export function missedMarkdown(goals: readonly Goal[]): string {
  const rows = goalRows(goals);
  const isReached = (row: GoalRow): boolean => row.cases.every(({ verdict }) => verdict.reached);
  const missed = rows.filter((row) => !isReached(row));
  const doubtful = rows.filter((row) => isReached(row) && /not proven/.test(row.verdict));
  const proven = rows.length - missed.length - doubtful.length;
  const doubt = doubtful.length > 0 ? `, ${doubtful.length} by every median but not proven` : "";
  const reached = `${proven} of ${rows.length} aims are reached in every case${doubt}`;
  if (missed.length === 0) return `${reached}.`;
  return inParts([
    `${reached}; ${missed.length} are not (bold: missed; in brackets: not proven):`,
    goalTable(missed),
  ]);
}

function goalTable(goals: readonly GoalRow[]): string {
  const rows = goals.map(({ what, where, limit, cases, verdict }) => [
    what,
    where,
    limit.replace("<", "\\<").replace(">", "\\>"),
    cases
      .map(({ median, verdict: { reached, proven } }) => {
        const figure = reached ? median : `**${median}**`;
        return proven ? figure : `(${figure})`;
      })
      .join(" / "),
    verdict.replaceAll("MISSED", "**missed**"),
  ]);
  return markdownTable(["what", "where", "to reach", "medians", "verdict"], rows);
}

/** A table as Markdown. */
export function markdown({ header, rows }: Table): string {
  return markdownTable(header, rows);
}

/** Paragraphs, without those that are empty. */
export function inParts(parts: readonly string[]): string {
  return parts.filter((part) => part !== "").join("\n\n");
}

/** A star or a tilde would be taken for emphasis. */
export function escaped(text: string): string {
  return text.replace(/[*~]/g, "\\$&");
}

/** Where the figures come from, and which servers are not among them. */
export function published(result: Published): string {
  const skipped = result.skipped.map(({ label, reason }) => `- not measured: ${label} (${reason})`);
  return inParts([skipped.join("\n"), takenOn(result)]);
}

/** Where, when and by which command. */
export function takenOn({ machine }: Published): string {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  const { cpu, cores, kernel, congestionControl, commit, date, command } = machine;
  return `Taken on ${cpu} (${cores} cores), Linux ${kernel}, TCP ${congestionControl}, ${versions.join(", ")}; commit ${commit}, ${date.slice(0, 10)}: \`${command}\`.`;
}

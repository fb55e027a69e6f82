import { spreadOf } from "../packages/polloi-tools/src/measure/spread.ts";
import { spreadText, textTable, whole } from "../packages/polloi-tools/src/measure/table.ts";
import { failuresOf } from "./echo-text.ts";
import type { Goal, Limit } from "./goals.ts";
import { totalOf } from "./strace.ts";
import type { SyscallsResult, SyscallsRound } from "./syscalls.ts";
import type { Table } from "./table.ts";

/** So many of a server's calls are named, the most frequent first. */
const NAMED = 4;

function perMessage({ calls, messages }: SyscallsRound): number {
  return totalOf(calls) / messages;
}

function done(rounds: readonly (SyscallsRound | null)[]): SyscallsRound[] {
  return rounds.filter((round) => round !== null);
}

/** Calls per message, and which they are. */
export function syscallsTable({ rows }: Pick<SyscallsResult, "rows">): Table {
  return {
    header: ["server", "calls per message (min-max)", "of which"],
    rows: rows.map(({ label, rounds }) => [
      label,
      spreadText(spreadOf(done(rounds).map(perMessage)), (value) => value.toFixed(3)),
      mostFrequent(done(rounds)),
    ]),
  };
}

function mostFrequent(rounds: readonly SyscallsRound[]): string {
  const messages = rounds.reduce((sum, round) => sum + round.messages, 0);
  const counts = new Map<string, number>();
  for (const { calls } of rounds) {
    for (const [name, count] of Object.entries(calls)) {
      counts.set(name, (counts.get(name) ?? 0) + count);
    }
  }
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .slice(0, NAMED)
    .map(([name, count]) => `${name} ${(count / messages).toFixed(3)}`)
    .join(", ");
}

/** As it is shown on the terminal. */
export function syscallsText(result: SyscallsResult): string {
  const { connections, size, perConnection } = result.settings;
  const { header, rows } = syscallsTable(result);
  const title = `\nsystem calls per message: ${whole(connections)} connections, ${whole(perConnection)} messages of ${size} B each`;
  return [title, textTable(header, rows), ...failuresOf(result.rows)].join("\n");
}

const LIMITS: Readonly<Record<string, Limit>> = {
  "polloi-uring": { atMost: 0.15, record: 0.05 },
  "polloi-epoll": { atMost: 2.1 },
};

/** What the engines are to stay below. */
export function syscallsGoals({ rows, settings }: SyscallsResult): Goal[] {
  return rows.flatMap(({ name, label, rounds }) => {
    const limit = LIMITS[name];
    if (limit === undefined) return [];
    const where = `${whole(settings.connections)} connections`;
    return [
      { what: `${label}, calls per message`, where, limit, values: done(rounds).map(perMessage) },
    ];
  });
}

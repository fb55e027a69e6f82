import { pairedRatios, spreadOf } from "../packages/polloi-tools/src/measure/spread.ts";
import {
  percent,
  spreadText,
  textTable,
  whole,
} from "../packages/polloi-tools/src/measure/table.ts";
import { failuresOf } from "./echo-text.ts";
import type { Goal } from "./goals.ts";
import type { Table } from "./table.ts";
import type { WorkersResult, WorkersRound } from "./workers.ts";

function done(rounds: readonly (WorkersRound | null)[]): WorkersRound[] {
  return rounds.filter((round) => round !== null);
}

function ratiosOf(rounds: readonly WorkersRound[]): number[] {
  return pairedRatios(
    rounds.map(({ many }) => many.serverCpuUs),
    rounds.map(({ one }) => one.serverCpuUs),
  );
}

function balanceOf({ connections }: WorkersRound): number {
  return Math.max(...connections) / Math.min(...connections);
}

/** CPU per message of one worker and of several, and the balance of the several. */
export function workersTable({ rows, settings }: WorkersResult): Table {
  const { workers, balance } = settings;
  return {
    header: [
      "server",
      "CPU us/msg, 1 worker (min-max)",
      `${workers} workers (min-max)`,
      `${workers} : 1 (min-max)`,
      "messages/s, 1",
      `${workers}`,
      "cores used, 1",
      `${workers}`,
      `connections of each, ${whole(balance)} held`,
      "max:min (min-max)",
    ],
    rows: rows.map(({ label, rounds }) => {
      const all = done(rounds);
      const spread = (
        key: "one" | "many",
        of: "serverCpuUs" | "messagesPerSecond" | "serverBusy",
      ) => spreadOf(all.map((round) => round[key][of]));
      return [
        label,
        spreadText(spread("one", "serverCpuUs")),
        spreadText(spread("many", "serverCpuUs")),
        spreadText(spreadOf(ratiosOf(all))),
        whole(spread("one", "messagesPerSecond")?.median ?? 0),
        whole(spread("many", "messagesPerSecond")?.median ?? 0),
        percent(spread("one", "serverBusy")?.median),
        percent(spread("many", "serverBusy")?.median),
        all[0]?.connections.join(", ") ?? "-",
        spreadText(spreadOf(all.map(balanceOf))),
      ];
    }),
  };
}

/** Where everything ran, and what that means for the figures. */
export function coresText({ cores }: Pick<WorkersResult, "cores">): string {
  return cores.shared
    ? `One worker and its load share core ${cores.one.server}; the several, with a load for each core, share ${cores.many.server}. So a core is as busy in both cases, and messages/s are those of a core that the load takes half of.`
    : `One worker on core ${cores.one.server}, several on ${cores.many.server}, the load on ${cores.one.loads} in both cases: one load may not fill several workers, so look at CPU.`;
}

/** As it is shown on the terminal. */
export function workersText(result: WorkersResult): string {
  const { connections, size } = result.settings;
  const { header, rows } = workersTable(result);
  return [
    `\nworkers: ${whole(connections)} connections to a load, ${size} B`,
    textTable(header, rows),
    coresText(result),
    ...failuresOf(result.rows),
  ].join("\n");
}

/** What several workers may cost more than one, and how even they are to be. */
export function workersGoals({ rows, settings }: WorkersResult): Goal[] {
  const { workers, connections, balance } = settings;
  return rows.flatMap(({ label, rounds }): Goal[] => {
    const all = done(rounds);
    return [
      {
        what: `${label}, ${workers} : 1, CPU per message`,
        where: `${whole(connections)} connections`,
        limit: { atMost: 1.15, record: 1.05 },
        values: ratiosOf(all),
      },
      {
        what: `${label}, connections of a worker, max : min`,
        where: `${whole(balance)} connections`,
        limit: { atMost: 1.3 },
        values: all.map(balanceOf),
      },
    ];
  });
}

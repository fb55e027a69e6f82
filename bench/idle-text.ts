import { pairedRatios, spreadOf } from "../packages/polloi-tools/src/measure/spread.ts";
import { spreadText, textTable, whole } from "../packages/polloi-tools/src/measure/table.ts";
import { failuresOf } from "./echo-text.ts";
import type { Goal } from "./goals.ts";
import type { IdleResult, IdleRow } from "./idle.ts";
import type { Table } from "./table.ts";

/** The header and the rows of the idle benchmark, for the terminal and for Markdown. */
export function idleTable({ settings, rows }: IdleResult): Table {
  const { steps } = settings;
  return {
    header: [
      "server",
      "bytes per idle connection (min-max)",
      ...steps.map((idle) => `CPU us/msg, ${whole(idle)} idle`),
      `growth (min-max)`,
    ],
    rows: rows.map((row) => [
      row.label,
      spreadText(spreadOf(row.bytesPerConnection), whole),
      ...row.cpuUs.map((rounds) => {
        const spread = spreadOf(rounds.filter((value) => value !== undefined));
        return spread === undefined ? "-" : spread.median.toFixed(2);
      }),
      spreadText(spreadOf(growthOf(row))),
    ]),
  };
}

/** CPU per message beside the most idle connections, by that beside the fewest. */
function growthOf({ cpuUs }: IdleRow): number[] {
  return pairedRatios(cpuUs.at(-1) ?? [], cpuUs[0] ?? []);
}

/** The idle benchmark as it is shown on the terminal. */
export function idleText(result: IdleResult): string {
  const { connections, active } = result.settings;
  const table = idleTable(result);
  return [
    `\n${whole(connections)} idle connections; CPU with ${active} active ones beside them, 64 B`,
    textTable(table.header, table.rows),
    "memory: private pages (VmRSS - RssFile - RssShmem) after - before, by connections; garbage collected",
    ...failuresOf(result.rows),
  ].join("\n");
}

/** The servers whose CPU is not to grow; the others look at every descriptor, and are there to show it. */
const STEADY = ["polloi-epoll", "polloi-uring"];

/** Memory of every engine; growth of those that look only at what is ready. */
export function idleGoals({ settings, rows }: IdleResult): Goal[] {
  const { steps, active, connections } = settings;
  const ours = rows.filter(({ name }) => name.startsWith("polloi-"));
  const memory = ours.map(
    ({ label, bytesPerConnection }): Goal => ({
      what: `${label}, bytes per idle connection`,
      where: `${whole(connections)} connections`,
      limit: { atMost: 300, record: 200 },
      values: bytesPerConnection,
      doubt: bytesPerConnection.some((bytes) => bytes < 0) ? "memory had not settled" : undefined,
    }),
  );
  const growth = ours
    .filter(({ name }) => STEADY.includes(name))
    .map(
      (row): Goal => ({
        what: `${row.label}, growth of CPU per message`,
        where: `${active} beside ${steps.map(whole)[0]} -> ${steps.map(whole).at(-1)} idle`,
        limit: { atMost: 1.1, record: 1.03 },
        values: growthOf(row),
      }),
    );
  return [...memory, ...growth];
}

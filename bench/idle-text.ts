import type { IdleResult } from "./idle.ts";
import { pairedRatio, spreadOf } from "./statistics.ts";
import { spreadText, textTable, whole } from "./table.ts";

/** The header and the rows of the idle benchmark, for the terminal and for Markdown. */
export function idleTable({ settings, rows }: IdleResult): {
  header: string[];
  rows: string[][];
} {
  const { steps } = settings;
  const most = steps.length - 1;
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
      spreadText(pairedRatio(row.cpuUs[most] ?? [], row.cpuUs[0] ?? [])),
    ]),
  };
}

/** The idle benchmark as it is shown on the terminal. */
export function idleText(result: IdleResult): string {
  const { connections, active } = result.settings;
  const table = idleTable(result);
  const failures = result.rows.flatMap(({ label, failures }) =>
    [...new Set(failures)].map((failure) => `${label} failed: ${failure}`),
  );
  return [
    `\n${whole(connections)} idle connections; CPU with ${active} active ones beside them, 64 B`,
    textTable(table.header, table.rows),
    "memory: private pages (VmRSS - RssFile - RssShmem) after - before, by connections; garbage collected",
    "goals: polloi, epoll: <= 400 bytes per idle connection, growth <= 1.15",
    ...failures,
  ].join("\n");
}

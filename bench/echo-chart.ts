import type { BarChart, Measured } from "../packages/polloi-tools/src/measure/chart-types.ts";
import { whole } from "../packages/polloi-tools/src/measure/table.ts";
import { type EchoResult, summarize } from "./echo.ts";
import { sizeText } from "./table.ts";

/** What a server's colour goes by: engines have the same one in every chart. */
const COLOUR_KEYS: Readonly<Record<string, string>> = {
  "polloi-uring": "io_uring",
  "polloi-epoll": "epoll",
};

/** The messages/s of every server as a ratio to the yardstick, one group for each number of connections. */
export function echoChart(result: EchoResult, size: number, names: readonly string[]): BarChart {
  const cells = result.cells.filter((cell) => cell.size === size);
  const { cpu, kernel, commit, date } = result.machine;
  const { rounds } = result.settings;
  const labels = new Map(
    cells.flatMap(({ rows }) => rows.map(({ name, label }) => [name, label] as const)),
  );
  return {
    title: `Echo, ${sizeText(size)}: messages per second`,
    subtitle: `by the C epoll loop in the same round; median of ${rounds} rounds, and their spread; higher is better`,
    footer: `${cpu}, Linux ${kernel}, commit ${commit}, ${date.slice(0, 10)}`,
    x: { label: "of the C epoll loop", format: (value) => value.toFixed(2) },
    groups: cells.map(({ connections }) => `${whole(connections)} connections`),
    series: names.flatMap((name) => {
      const label = labels.get(name);
      if (label === undefined) return [];
      const values = cells.map((cell): Measured | undefined => {
        const row = cell.rows.find((candidate) => candidate.name === name);
        const ratio = row && summarize(cell, row).ratio;
        return ratio && { value: ratio.median, low: ratio.min, high: ratio.max };
      });
      return [{ name: label, key: COLOUR_KEYS[name] ?? name, values }];
    }),
    reference: 1,
  };
}

import { type EchoResult, summarize } from "./echo.ts";
import { sizeText, whole } from "./table.ts";

/** Bars in groups, as `barChart` of src/lab/chart.ts draws them. */
export interface Bars {
  readonly title: string;
  readonly subtitle: string;
  readonly footer: string;
  readonly x: { readonly label: string; readonly format: (value: number) => string };
  readonly groups: readonly string[];
  readonly series: readonly {
    readonly name: string;
    readonly key: string;
    readonly values: readonly (Bar | undefined)[];
  }[];
  readonly reference: number;
}

/** A bar, and how far its rounds spread. */
export interface Bar {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** What a server's colour goes by: engines have the same one in every chart. */
const COLOUR_KEYS: Readonly<Record<string, string>> = {
  "polloi-uring": "io_uring",
  "polloi-epoll": "epoll",
};

/** The messages/s of every server as a ratio to the yardstick, one group for each number of connections. */
export function echoChart(result: EchoResult, size: number, names: readonly string[]): Bars {
  const cells = result.cells.filter((cell) => cell.size === size);
  const { cpu, kernel, commit, date } = result.machine;
  const { rounds, seconds } = result.settings;
  const labels = new Map(
    cells.flatMap(({ rows }) => rows.map(({ name, label }) => [name, label] as const)),
  );
  return {
    title: `Echo, ${sizeText(size)}: messages per second`,
    subtitle: `ratio to the C epoll loop in the same round; median of ${rounds} rounds of ${seconds} s, and how far they spread; higher is better`,
    footer: `${cpu}, Linux ${kernel}, commit ${commit}, ${date.slice(0, 10)}`,
    x: { label: "of the C epoll loop", format: (value) => value.toFixed(2) },
    groups: cells.map(({ connections }) => `${whole(connections)} connections`),
    series: names.flatMap((name) => {
      const label = labels.get(name);
      if (label === undefined) return [];
      const values = cells.map((cell): Bar | undefined => {
        const row = cell.rows.find((candidate) => candidate.name === name);
        const ratio = row && summarize(cell, row).ratio;
        return ratio && { value: ratio.median, low: ratio.min, high: ratio.max };
      });
      return [{ name: label, key: COLOUR_KEYS[name] ?? name, values }];
    }),
    reference: 1,
  };
}

/** As much of src/lab/chart.ts as this file needs. */
interface Charts {
  barChart(chart: Bars): string;
}

/**
 * The one place that knows what draws.
 *
 * @returns A document of SVG.
 * @throws Error when there is nothing to draw with, such as a charting library that is not installed.
 */
export async function draw(chart: Bars): Promise<string> {
  const module: string = new URL("../src/lab/chart.js", import.meta.url).href;
  const { openCharts } = (await import(module)) as { openCharts(): Promise<Charts> };
  return (await openCharts()).barChart(chart);
}

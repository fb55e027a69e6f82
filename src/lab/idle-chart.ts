import type { LineChart } from "./chart.ts";
import type { IdleResult } from "./idle.ts";
import { cellsOf, isDisturbed, type Measure, spreadIn, TITLES } from "./idle-summary.ts";
import { timeText, whole } from "./table.ts";

/** Engines whose line may lie on that of another: select on poll, edges on levels. */
const ALIKE: ReadonlySet<string> = new Set(["select", "epoll-edge", "io_uring-edge"]);

/** A run as the classic figure: idle descriptors along, the cost of a wake-up up, both in powers of ten. */
export function idleChart(result: IdleResult, measure: Measure): LineChart {
  const { active, rounds, pairs } = result.settings;
  const { cpu, kernel, runtime, polloi, date } = result.host;
  const samples = result.cells.flatMap((cell) => cell.samples);
  const disturbed = samples.filter(isDisturbed).length;
  const quiet = disturbed === 0 ? "" : `; ${disturbed} of ${samples.length} samples disturbed`;
  const beside = active === 1 ? "One active socket" : `${whole(active)} active sockets`;
  return {
    title: `${TITLES[measure]}, beside idle descriptors`,
    subtitle: `${beside}; median of ${rounds} rounds, shaded from the smallest to the largest; lower is better`,
    footer: `polloi ${polloi} on ${runtime}, Linux ${kernel}, ${cpu}, ${date.slice(0, 10)}${quiet}`,
    x: {
      label: pairs ? "idle ends of pairs, watched" : "idle descriptors, watched",
      scale: "log",
      format: whole,
    },
    y: {
      label: measure === "cpuUs" ? "CPU time per wake-up" : "time per wake-up",
      scale: "log",
      format: timeText,
    },
    series: result.engines.flatMap(({ name, label }) => {
      const points = cellsOf(result, name).flatMap((cell) => {
        const spread = spreadIn(cell, measure);
        if (spread === undefined) return [];
        return [{ x: cell.idle, y: spread.median, low: spread.min, high: spread.max }];
      });
      return points.length === 0
        ? []
        : [{ name: label, key: name, points, dashed: ALIKE.has(name) }];
    }),
  };
}

import type { CustomSeriesOption } from "echarts/charts";
import { axisOf, BOTTOM, type Option, paper, type Series, TOP } from "./chart-paper.ts";
import type { Axis, LineChart } from "./chart-types.ts";
import { type Colour, coloursOf } from "./palette.ts";

/** How large a chart of lines is. */
export const WIDE = { width: 860, height: 500 } as const;
/** What ends below this share of the height has no room for its name beneath it. */
const LOW = 0.12;
export const NARROW = { width: 420, height: 400, top: 66, bottom: 58 } as const;
/** Marks, so that lines are told apart without their colours. */
const SYMBOLS = ["circle", "rect", "triangle", "diamond", "roundRect", "emptyCircle"];

/** A chart of lines as the library is told of it. */
export function lineOption(chart: LineChart): Option {
  const colours = coloursOf(chart.series.map(({ name, key }) => key ?? name));
  const xs = chart.series.flatMap(({ points }) => points.map(({ x }) => x));
  const ys = chart.series.flatMap(({ points }) =>
    points.flatMap(({ y, low = y, high = y }) => [low, y, high]),
  );
  const furthest = Math.max(...xs);
  const format = chart.y.format ?? String;
  // Below the end, unless there the axis is.
  const besideEnd = (value: number): object => {
    const isLow = heightOf(value, ys, chart.y.scale) < LOW;
    return isLow
      ? { align: "left", verticalAlign: "bottom", offset: [2, -12] }
      : { align: "left", verticalAlign: "top", offset: [-6, 14] };
  };
  const bands = chart.series.map((series, i) => bandOf(series, colours[i] as Colour));
  const lines = chart.series.map(({ name, points, dashed = false }, i): Series => {
    const colour = (colours[i] as Colour).light;
    const last = points.at(-1);
    return {
      type: "line",
      name,
      data: points.map(({ x, y }) => [x, y]),
      symbol: SYMBOLS[i % SYMBOLS.length] as string,
      symbolSize: 7,
      color: colour,
      lineStyle: { width: 2.5, color: colour, type: dashed ? [7, 4] : "solid" },
      z: dashed ? 4 : 3,
      silent: true,
      endLabel: {
        show: true,
        // A line that ends before the others do would have its label across theirs.
        ...(last === undefined || last.x === furthest ? {} : besideEnd(last.y)),
        formatter: `${name}  ${last === undefined ? "" : format(last.y)}`,
        color: colour,
        fontSize: 12,
        textBorderWidth: 0,
      },
      labelLayout: { moveOverlap: "shiftY" },
    };
  });
  return {
    ...paper(chart),
    grid: { left: 84, right: 138, top: TOP, bottom: BOTTOM },
    xAxis: { ...axisOf(chart.x, xs, furthest), splitLine: { show: false }, nameGap: 32 },
    yAxis: { ...axisOf(chart.y, ys), nameGap: 62, axisLine: { show: false } },
    series: [...bands, ...lines],
  };
}

/** How far up a value stands between the least and the most: 0 to 1. */
function heightOf(value: number, all: readonly number[], scale: Axis["scale"]): number {
  const most = Math.max(...all);
  if (scale !== "log") return value / most;
  const least = Math.log(Math.min(...all));
  return (Math.log(value) - least) / Math.max(Math.log(most) - least, 1);
}

/** The same for a telephone: without what a page has around it, and without names at the ends of lines. */
export function narrowOption(chart: LineChart): Option {
  const { grid: _, title: __, legend, series, xAxis, yAxis, ...rest } = lineOption(chart);
  return {
    ...rest,
    grid: { left: 66, right: 16, top: NARROW.top, bottom: NARROW.bottom },
    legend: { ...legend, top: 10, left: 8, right: 8, itemGap: 10, itemWidth: 18 },
    xAxis: { ...xAxis, nameGap: 30 } as Option["xAxis"] & object,
    yAxis: { ...yAxis, nameGap: 48 } as Option["yAxis"] & object,
    series: (series as Series[]).map((each) =>
      each.type === "line" ? { ...each, endLabel: { show: false } } : each,
    ),
  };
}

/** A chart for who cannot see it: where each line begins and ends. */
export function describedLines({ x, y, series }: LineChart): string {
  const along = x.format ?? String;
  const up = y.format ?? String;
  const lines = series.flatMap(({ name, points }) => {
    const [first, last] = [points[0], points.at(-1)];
    if (first === undefined || last === undefined) return [];
    const from = `${name}: ${up(first.y)} at ${along(first.x)}`;
    return [first === last ? from : `${from}, ${up(last.y)} at ${along(last.x)}`];
  });
  return `${y.label} over ${x.label}. ${lines.join("; ")}.`;
}

/** The area between the smallest and the largest of each point. */
function bandOf({ points }: LineChart["series"][number], colour: Colour): CustomSeriesOption {
  return {
    type: "custom",
    silent: true,
    // One item that draws all of it.
    data: [[points[0]?.x ?? 1, points[0]?.y ?? 1]],
    renderItem(_params, api) {
      const upper = points.map(({ x, y, high = y }) => api.coord([x, high]));
      const lower = points.map(({ x, y, low = y }) => api.coord([x, low])).reverse();
      return {
        type: "polygon",
        shape: { points: [...upper, ...lower] },
        style: { fill: colour.light, opacity: 0.16 },
      };
    },
  };
}

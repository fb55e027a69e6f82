/** Charts in the terms of the charting library: background, title, legend, axes, lines and bars. */
import type { BarSeriesOption, CustomSeriesOption, LineSeriesOption } from "echarts/charts";
import type {
  GridComponentOption,
  LegendComponentOption,
  TitleComponentOption,
} from "echarts/components";
import type { ComposeOption } from "echarts/core";
import { type Colour, coloursOf, PAGE } from "./palette.ts";

/** An axis of a chart. */
export interface Axis {
  readonly label: string;
  /** Default `"linear"`, from 0. */
  readonly scale?: "linear" | "log";
  /** Formats its labels. Default: `String`. */
  readonly format?: (value: number) => string;
}

/** A measured value and the spread of its repetitions. */
export interface Measured {
  readonly value: number;
  readonly low?: number;
  readonly high?: number;
}

/** The texts of every chart. */
export interface ChartText {
  readonly title: string;
  readonly subtitle?: string;
  /** A line below the chart: the machine and the versions. */
  readonly footer?: string;
}

/** Lines over a range of numbers. */
export interface LineChart extends ChartText {
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly {
    readonly name: string;
    /** The name that determines its colour. Default: `name`. An engine has the same colour in every chart. */
    readonly key?: string;
    /** Drawn dashed and on top, so that a line beneath it stays visible. */
    readonly dashed?: boolean;
    readonly points: readonly ({ readonly x: number; readonly y: number } & Omit<
      Measured,
      "value"
    >)[];
  }[];
}

/** Horizontal bars in groups. */
export interface BarChart extends ChartText {
  /** The axis of the values. */
  readonly x: Axis;
  readonly groups: readonly string[];
  readonly series: readonly {
    readonly name: string;
    readonly key?: string;
    /** A value for each group; undefined where nothing was measured. */
    readonly values: readonly (Measured | undefined)[];
  }[];
  /** A value that is drawn as a line: 1 in a chart of ratios. */
  readonly reference?: number;
}

export type Option = ComposeOption<
  | LineSeriesOption
  | BarSeriesOption
  | CustomSeriesOption
  | GridComponentOption
  | LegendComponentOption
  | TitleComponentOption
>;
/** A numeric axis, horizontal or vertical. */
type NumberAxis = Exclude<Option["xAxis"] & Option["yAxis"], readonly unknown[] | undefined>;
type Series = LineSeriesOption | BarSeriesOption | CustomSeriesOption;

const FONT =
  "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'Liberation Sans', Helvetica, Arial, sans-serif";
/** The space above the plot for title and legend, and below it for the axis name and the footer. */
const TOP = 112;
const BOTTOM = 92;

/** The options that every chart has: background, title, legend, footer. */
function commonOption({ title, subtitle, footer }: ChartText): Option {
  const place = { left: 24, itemGap: 7 };
  return {
    animation: false,
    backgroundColor: PAGE.background.light,
    textStyle: { fontFamily: FONT, color: PAGE.ink.light },
    title: [
      {
        ...place,
        text: title,
        top: 16,
        textStyle: { color: PAGE.ink.light, fontSize: 19, fontWeight: 600 },
        ...(subtitle === undefined ? {} : { subtext: subtitle }),
        subtextStyle: { color: PAGE.muted.light, fontSize: 13 },
      },
      {
        ...place,
        text: footer ?? "",
        bottom: 12,
        textStyle: { color: PAGE.muted.light, fontSize: 11, fontWeight: 400 },
      },
    ],
    legend: {
      top: 74,
      left: 18,
      itemGap: 18,
      itemWidth: 22,
      textStyle: { color: PAGE.ink.light, fontSize: 13 },
    },
  };
}

function axisOf(
  { label, scale = "linear", format = String }: Axis,
  values: readonly number[],
  max: number = logCeiling(Math.max(...values)),
): NumberAxis {
  const least = Math.min(...values);
  const common = {
    name: label,
    nameLocation: "middle",
    nameTextStyle: { color: PAGE.muted.light, fontSize: 13 },
    axisLine: { show: true, lineStyle: { color: PAGE.axis.light } },
    axisTick: { show: false },
    axisLabel: { color: PAGE.muted.light, fontSize: 12, formatter: format },
    splitLine: { lineStyle: { color: PAGE.grid.light } },
  } as const;
  // The library computes the range from the lines, without their shaded areas.
  if (scale === "linear") {
    return { type: "value", min: 0, max: roundCeiling(Math.max(...values)), ...common } as const;
  }
  // The library labels both ends of an axis, and a label at 15,000 next to one at 10,000 is useless.
  const axisLabel = { ...common.axisLabel, showMaxLabel: isPowerOfTen(max) };
  return { type: "log", min: logFloor(least), max, ...common, axisLabel } as const;
}

/** The largest power of ten that is not above `value`. */
function logFloor(value: number): number {
  return 10 ** Math.floor(Math.log10(value) + 1e-9);
}

function isPowerOfTen(value: number): boolean {
  return Number.isInteger(Math.log10(value));
}

/** The next round number for the end of a linear axis. */
function roundCeiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return (
    ([1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((step) => step * power >= value) ?? 10) * power
  );
}

/** The next of 1, 2, 5, 10, 20 and so on, for the end of a logarithmic axis. */
function logCeiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5, 10].find((step) => step * power >= value * 0.999) ?? 10) * power;
}

/** The sizes of line charts in pixels. */
export const WIDE = { width: 860, height: 500 } as const;
/** A line that ends below this share of the height has its name above it. */
const LOW = 0.12;
export const NARROW = { width: 420, height: 400, top: 66, bottom: 58 } as const;
/** Point markers that distinguish lines without colour. */
const SYMBOLS = ["circle", "rect", "triangle", "diamond", "roundRect", "emptyCircle"];

/** The options of a line chart. */
export function lineOption(chart: LineChart): Option {
  const colours = coloursOf(chart.series.map(({ name, key }) => key ?? name));
  const xs = chart.series.flatMap(({ points }) => points.map(({ x }) => x));
  const ys = chart.series.flatMap(({ points }) =>
    points.flatMap(({ y, low = y, high = y }) => [low, y, high]),
  );
  const furthest = Math.max(...xs);
  const format = chart.y.format ?? String;
  // Below the end of the line, or above it where the axis is too close.
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
        // The label of a line that ends before the others would lie on them.
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
    ...commonOption(chart),
    grid: { left: 84, right: 138, top: TOP, bottom: BOTTOM },
    xAxis: { ...axisOf(chart.x, xs, furthest), splitLine: { show: false }, nameGap: 32 },
    yAxis: { ...axisOf(chart.y, ys), nameGap: 62, axisLine: { show: false } },
    series: [...bands, ...lines],
  };
}

/** The height of a value between the smallest and the largest: 0 to 1. */
function heightOf(value: number, all: readonly number[], scale: Axis["scale"]): number {
  const most = Math.max(...all);
  if (scale !== "log") return value / most;
  const least = Math.log(Math.min(...all));
  return (Math.log(value) - least) / Math.max(Math.log(most) - least, 1);
}

/** The same for a phone: without title and footer, which the page shows, and without names at the ends of lines. */
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

/** A text alternative: the first and the last value of each line. */
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

/** The area between the smallest and the largest value of each point. */
function bandOf({ points }: LineChart["series"][number], colour: Colour): CustomSeriesOption {
  return {
    type: "custom",
    silent: true,
    // One item draws the whole area.
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

const BAR_PX = 17;

/** The height of a bar chart in pixels. */
export function barHeight({ groups, series }: BarChart): number {
  return TOP + BOTTOM + groups.length * (series.length * BAR_PX + 22);
}

/** The options of a bar chart. */
export function barOption(chart: BarChart): Option {
  const colours = coloursOf(chart.series.map(({ name, key }) => key ?? name));
  const format = chart.x.format ?? String;
  const all = chart.series.flatMap(({ values }) =>
    values.flatMap((each) => (each === undefined ? [] : [each.high ?? each.value])),
  );
  const bars = chart.series.map(
    ({ name, values }, i): Series => ({
      type: "bar",
      name,
      color: (colours[i] as Colour).light,
      barCategoryGap: "20%",
      barGap: "15%",
      silent: true,
      data: values.map((each) => each?.value ?? "-"),
      ...(i > 0 || chart.reference === undefined
        ? {}
        : { markLine: referenceLine(chart.reference) }),
    }),
  );
  const whiskers = chart.series.map(
    ({ values }, i): CustomSeriesOption => ({
      type: "custom",
      silent: true,
      data: values.map((each, group) => [each?.value ?? 0, group]),
      renderItem(params, api) {
        const each = values[params.dataIndex];
        if (each === undefined) return null;
        const { value, low = value, high = value } = each;
        const places = api.barLayout({
          count: chart.series.length,
          barGap: "15%",
          barCategoryGap: "20%",
        });
        const shift = places?.[i]?.offsetCenter ?? 0;
        const at = (x: number): [number, number] => {
          const [px = 0, py = 0] = api.coord([x, params.dataIndex]);
          return [px, py + shift];
        };
        const [[left], [right, y]] = [at(low), at(high)];
        const line = (x1: number, y1: number, x2: number, y2: number) => ({
          type: "line" as const,
          shape: { x1, y1, x2, y2 },
          style: { stroke: PAGE.ink.light, lineWidth: 1 },
        });
        const text = {
          type: "text" as const,
          x: right + 6,
          y,
          style: {
            text: format(value),
            fill: PAGE.muted.light,
            font: `11px ${FONT}`,
            verticalAlign: "middle" as const,
          },
        };
        const spread = [
          line(left, y, right, y),
          line(left, y - 3, left, y + 3),
          line(right, y - 3, right, y + 3),
        ];
        return { type: "group", children: low === high ? [text] : [...spread, text] };
      },
    }),
  );
  const names = chart.groups.map((group) => group.length);
  return {
    ...commonOption(chart),
    grid: { left: 28 + Math.max(...names) * 7, right: 64, top: TOP, bottom: BOTTOM },
    xAxis: { ...axisOf(chart.x, all), nameGap: 32, axisLine: { show: false } },
    yAxis: {
      type: "category",
      data: [...chart.groups],
      inverse: true,
      axisTick: { show: false },
      axisLine: { lineStyle: { color: PAGE.axis.light } },
      axisLabel: { color: PAGE.ink.light, fontSize: 13 },
    },
    series: [...bars, ...whiskers],
  };
}

function referenceLine(value: number): NonNullable<BarSeriesOption["markLine"]> {
  return {
    silent: true,
    symbol: "none",
    label: { show: false },
    lineStyle: { color: PAGE.ink.light, type: "dashed", width: 1 },
    data: [{ xAxis: value }],
  };
}

/** A text alternative: every value. */
export function describedBars({ x, groups, series }: BarChart): string {
  const format = x.format ?? String;
  const texts = groups.map((group, i) => {
    const values = series.flatMap(({ name, values }) => {
      const each = values[i];
      return each === undefined ? [] : [`${name} ${format(each.value)}`];
    });
    return `${group}: ${values.join(", ")}`;
  });
  return `${x.label}. ${texts.join("; ")}.`;
}

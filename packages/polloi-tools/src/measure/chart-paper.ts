/** What the charting library is told of every chart: paper, title, legend, axes. */
import type { BarSeriesOption, CustomSeriesOption, LineSeriesOption } from "echarts/charts";
import type {
  GridComponentOption,
  LegendComponentOption,
  TitleComponentOption,
} from "echarts/components";
import type { ComposeOption } from "echarts/core";
import type { Axis, ChartText } from "./chart-types.ts";
import { PAPER } from "./palette.ts";

export type Option = ComposeOption<
  | LineSeriesOption
  | BarSeriesOption
  | CustomSeriesOption
  | GridComponentOption
  | LegendComponentOption
  | TitleComponentOption
>;
/** An axis of numbers, along or up. */
export type NumberAxis = Exclude<Option["xAxis"] & Option["yAxis"], readonly unknown[] | undefined>;
export type Series = LineSeriesOption | BarSeriesOption | CustomSeriesOption;

export const FONT =
  "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'Liberation Sans', Helvetica, Arial, sans-serif";
/** Where the plot begins below the title, and ends above the axis's name. */
export const TOP = 112;
export const BOTTOM = 92;

/** What is the same in every chart: paper, title, legend, footer. */
export function paper({ title, subtitle, footer }: ChartText): Option {
  const place = { left: 24, itemGap: 7 };
  return {
    animation: false,
    backgroundColor: PAPER.background.light,
    textStyle: { fontFamily: FONT, color: PAPER.ink.light },
    title: [
      {
        ...place,
        text: title,
        top: 16,
        textStyle: { color: PAPER.ink.light, fontSize: 19, fontWeight: 600 },
        ...(subtitle === undefined ? {} : { subtext: subtitle }),
        subtextStyle: { color: PAPER.muted.light, fontSize: 13 },
      },
      {
        ...place,
        text: footer ?? "",
        bottom: 12,
        textStyle: { color: PAPER.muted.light, fontSize: 11, fontWeight: 400 },
      },
    ],
    legend: {
      top: 74,
      left: 18,
      itemGap: 18,
      itemWidth: 22,
      textStyle: { color: PAPER.ink.light, fontSize: 13 },
    },
  };
}

export function axisOf(
  { label, scale = "linear", format = String }: Axis,
  values: readonly number[],
  max: number = logCeiling(Math.max(...values)),
): NumberAxis {
  const least = Math.min(...values);
  const common = {
    name: label,
    nameLocation: "middle",
    nameTextStyle: { color: PAPER.muted.light, fontSize: 13 },
    axisLine: { show: true, lineStyle: { color: PAPER.axis.light } },
    axisTick: { show: false },
    axisLabel: { color: PAPER.muted.light, fontSize: 12, formatter: format },
    splitLine: { lineStyle: { color: PAPER.grid.light } },
  } as const;
  // The library sees the lines, and not how far their ranges reach.
  if (scale === "linear") {
    return { type: "value", min: 0, max: roundCeiling(Math.max(...values)), ...common } as const;
  }
  // The library writes the ends of an axis whatever they are, and 15,000 says nothing beside 10,000.
  const axisLabel = { ...common.axisLabel, showMaxLabel: isPowerOfTen(max) };
  return { type: "log", min: logFloor(least), max, ...common, axisLabel } as const;
}

/** The power of ten that `value` lies above. */
function logFloor(value: number): number {
  return 10 ** Math.floor(Math.log10(value) + 1e-9);
}

function isPowerOfTen(value: number): boolean {
  return Number.isInteger(Math.log10(value));
}

/** The next number that an axis may well end at. */
function roundCeiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return (
    ([1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((step) => step * power >= value) ?? 10) * power
  );
}

/** The next of 1, 2, 5, 10, 20 and so on. */
function logCeiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5, 10].find((step) => step * power >= value * 0.999) ?? 10) * power;
}

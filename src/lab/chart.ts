/**
 * Charts as SVG text, drawn by Apache ECharts, which needs neither a browser nor a DOM for it.
 *
 * The only file that knows the charting library. It is an optional peer: see
 * docs/decisions/0009-charts-by-an-optional-peer.md.
 */
import type { BarSeriesOption, CustomSeriesOption, LineSeriesOption } from "echarts/charts";
import type {
  GridComponentOption,
  LegendComponentOption,
  TitleComponentOption,
} from "echarts/components";
import type { ComposeOption } from "echarts/core";
import { finishSvg } from "./chart-svg.ts";
import { type Colour, coloursOf, PAPER } from "./palette.ts";

/** One of a chart's axes. */
export interface Axis {
  readonly label: string;
  /** Default `"linear"`, from 0. */
  readonly scale?: "linear" | "log";
  /** How a value is written along it. Default: as JavaScript prints it. */
  readonly format?: (value: number) => string;
}

/** A measured value, and how far its repetitions spread. */
export interface Measured {
  readonly value: number;
  readonly low?: number;
  readonly high?: number;
}

/** What every chart has. */
export interface ChartText {
  readonly title: string;
  readonly subtitle?: string;
  /** A line below the chart: what it was taken on. */
  readonly footer?: string;
}

/** Lines over a range of numbers. */
export interface LineChart extends ChartText {
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly {
    readonly name: string;
    /** What its colour goes by; default `name`. An engine has the same in every chart. */
    readonly key?: string;
    /** Drawn broken and on top, so that a line below it that runs alike is seen. */
    readonly dashed?: boolean;
    readonly points: readonly ({ readonly x: number; readonly y: number } & Omit<
      Measured,
      "value"
    >)[];
  }[];
}

/** Bars that lie, in groups. */
export interface BarChart extends ChartText {
  /** The axis along which bars grow. */
  readonly x: Axis;
  readonly groups: readonly string[];
  readonly series: readonly {
    readonly name: string;
    readonly key?: string;
    /** One for each group; undefined where nothing was measured. */
    readonly values: readonly (Measured | undefined)[];
  }[];
  /** A value to compare with, drawn as a line: 1, in a chart of ratios. */
  readonly reference?: number;
}

/** What draws charts. */
export interface Charts {
  /** @returns An SVG document, readable in light and dark; the same text for the same chart. */
  lineChart(chart: LineChart): string;
  /** @returns An SVG document, readable in light and dark; the same text for the same chart. */
  barChart(chart: BarChart): string;
}

/** The charting library is not installed. */
export class ChartsMissing extends Error {}

type Option = ComposeOption<
  | LineSeriesOption
  | BarSeriesOption
  | CustomSeriesOption
  | GridComponentOption
  | LegendComponentOption
  | TitleComponentOption
>;
type Series = LineSeriesOption | BarSeriesOption | CustomSeriesOption;

const WIDTH = 860;
const LINE_HEIGHT = 500;
const FONT =
  "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'Liberation Sans', Helvetica, Arial, sans-serif";
/** Marks, so that lines are told apart without their colours. */
const SYMBOLS = ["circle", "rect", "triangle", "diamond", "roundRect", "emptyCircle"];
/** Where the plot begins below the title, and ends above the axis's name. */
const TOP = 112;
const BOTTOM = 92;
const BAR_PX = 17;

/**
 * Loads the charting library.
 *
 * @throws ChartsMissing with one line that says what to install.
 */
export async function openCharts(): Promise<Charts> {
  try {
    const core = await import("echarts/core");
    const { LineChart, BarChart, CustomChart } = await import("echarts/charts");
    const parts = await import("echarts/components");
    const { SVGRenderer } = await import("echarts/renderers");
    core.use([
      LineChart,
      BarChart,
      CustomChart,
      parts.GridComponent,
      parts.TitleComponent,
      parts.LegendComponent,
      parts.MarkLineComponent,
      SVGRenderer,
    ]);
    const render = (option: Option, height: number, text: ChartText): string => {
      const chart = core.init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height });
      try {
        chart.setOption(option);
        return finishSvg(chart.renderToSVGString(), text);
      } finally {
        chart.dispose();
      }
    };
    return {
      lineChart: (chart) => render(lineOption(chart), LINE_HEIGHT, chart),
      barChart: (chart) => render(barOption(chart), barHeight(chart), chart),
    };
  } catch (error) {
    if ((error as { code?: unknown }).code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new ChartsMissing(
      "charts need echarts, which polloi does not bring along: npm install echarts@6",
    );
  }
}

function lineOption(chart: LineChart): Option {
  const colours = coloursOf(chart.series.map(({ name, key }) => key ?? name));
  const xs = chart.series.flatMap(({ points }) => points.map(({ x }) => x));
  const ys = chart.series.flatMap(({ points }) =>
    points.flatMap(({ y, low = y, high = y }) => [low, y, high]),
  );
  const furthest = Math.max(...xs);
  const format = chart.y.format ?? String;
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
        ...(last?.x === furthest ? {} : { align: "left", verticalAlign: "top", offset: [-6, 14] }),
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

function barHeight({ groups, series }: BarChart): number {
  return TOP + BOTTOM + groups.length * (series.length * BAR_PX + 22);
}

function barOption(chart: BarChart): Option {
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
          style: { stroke: PAPER.ink.light, lineWidth: 1 },
        });
        const text = {
          type: "text" as const,
          x: right + 6,
          y,
          style: {
            text: format(value),
            fill: PAPER.muted.light,
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
    ...paper(chart),
    grid: { left: 28 + Math.max(...names) * 7, right: 64, top: TOP, bottom: BOTTOM },
    xAxis: { ...axisOf(chart.x, all), nameGap: 32, axisLine: { show: false } },
    yAxis: {
      type: "category",
      data: [...chart.groups],
      inverse: true,
      axisTick: { show: false },
      axisLine: { lineStyle: { color: PAPER.axis.light } },
      axisLabel: { color: PAPER.ink.light, fontSize: 13 },
    },
    series: [...bars, ...whiskers],
  };
}

function referenceLine(value: number): NonNullable<BarSeriesOption["markLine"]> {
  return {
    silent: true,
    symbol: "none",
    label: { show: false },
    lineStyle: { color: PAPER.ink.light, type: "dashed", width: 1 },
    data: [{ xAxis: value }],
  };
}

/** What is the same in every chart: paper, title, legend, footer. */
function paper({ title, subtitle, footer }: ChartText): Option {
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

function axisOf(
  { label, scale = "linear", format = String }: Axis,
  values: readonly number[],
  max: number = logCeiling(Math.max(...values)),
) {
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
  if (scale === "linear") return { type: "value", min: 0, ...common } as const;
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

/** The next of 1, 2, 5, 10, 20 and so on. */
function logCeiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5, 10].find((step) => step * power >= value * 0.999) ?? 10) * power;
}

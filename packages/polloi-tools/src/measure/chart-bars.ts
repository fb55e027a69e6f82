import type { BarSeriesOption, CustomSeriesOption } from "echarts/charts";
import { axisOf, BOTTOM, FONT, type Option, paper, type Series, TOP } from "./chart-paper.ts";
import type { BarChart } from "./chart-types.ts";
import { type Colour, coloursOf, PAPER } from "./palette.ts";

const BAR_PX = 17;

/** How high a chart is that has room for all of its bars. */
export function barHeight({ groups, series }: BarChart): number {
  return TOP + BOTTOM + groups.length * (series.length * BAR_PX + 22);
}

/** A chart of bars as the library is told of it. */
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

/** A chart for who cannot see it. */
export function describedBars({ x, groups, series }: BarChart): string {
  const format = x.format ?? String;
  const told = groups.map((group, i) => {
    const values = series.flatMap(({ name, values }) => {
      const each = values[i];
      return each === undefined ? [] : [`${name} ${format(each.value)}`];
    });
    return `${group}: ${values.join(", ")}`;
  });
  return `${x.label}. ${told.join("; ")}.`;
}

/**
 * Charts as SVG text, drawn by Apache ECharts, which needs neither a browser nor a DOM.
 *
 * This is the only file that loads the charting library. It is an optional peer dependency: see
 * docs/decisions/0009-charts-by-an-optional-peer.md.
 */
import {
  type BarChart,
  barHeight,
  barOption,
  describedBars,
  describedLines,
  type LineChart,
  lineOption,
  NARROW,
  narrowOption,
  type Option,
  WIDE,
} from "./chart-options.ts";
import { finishSvg } from "./chart-svg.ts";

/** The format of a chart. */
export type Shape = "wide" | "narrow";

/** Draws charts. */
export interface Charts {
  /**
   * @param shape - `"narrow"` is for a phone, on a page that shows the title and the footer itself.
   * @returns An SVG document, readable in light and dark; the same text for the same chart.
   */
  lineChart(chart: LineChart, shape?: Shape): string;
  /** @returns An SVG document, readable in light and dark; the same text for the same chart. */
  barChart(chart: BarChart): string;
}

/** The charting library is not installed. */
export class ChartsMissing extends Error {}

/**
 * Loads the charting library.
 *
 * @throws ChartsMissing with the command that installs it.
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
    const render = (
      option: Option,
      { width, height }: { readonly width: number; readonly height: number },
      text: Parameters<typeof finishSvg>[1],
    ): string => {
      const chart = core.init(null, null, { renderer: "svg", ssr: true, width, height });
      try {
        chart.setOption(option);
        return finishSvg(chart.renderToSVGString(), text);
      } finally {
        chart.dispose();
      }
    };
    return {
      lineChart: (chart, shape = "wide") => {
        const text = { ...chart, description: describedLines(chart), shape };
        return shape === "wide"
          ? render(lineOption(chart), WIDE, text)
          : render(narrowOption(chart), NARROW, text);
      },
      barChart: (chart) =>
        render(
          barOption(chart),
          { width: WIDE.width, height: barHeight(chart) },
          { ...chart, description: describedBars(chart), shape: "wide" },
        ),
    };
  } catch (error) {
    if ((error as { code?: unknown }).code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new ChartsMissing(
      "charts need echarts, which polloi does not bring along: npm install echarts@6",
    );
  }
}

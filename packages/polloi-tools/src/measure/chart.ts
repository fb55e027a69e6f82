/**
 * Charts as SVG text, drawn by Apache ECharts, which needs neither a browser nor a DOM for it.
 *
 * The only file that loads the charting library; `chart-lines.ts`, `chart-bars.ts` and `chart-paper.ts` say in
 * its terms what is to be drawn. It is an optional peer: see docs/decisions/0009-charts-by-an-optional-peer.md.
 */
import { barHeight, barOption, describedBars } from "./chart-bars.ts";
import { describedLines, lineOption, NARROW, narrowOption, WIDE } from "./chart-lines.ts";
import type { Option } from "./chart-paper.ts";
import { finishSvg } from "./chart-svg.ts";
import type { Charts } from "./chart-types.ts";

/** The charting library is not installed. */
export class ChartsMissing extends Error {}

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

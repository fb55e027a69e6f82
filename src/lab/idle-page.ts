import type { Charts } from "./chart.ts";
import { hostLines } from "./host.ts";
import type { IdleResult } from "./idle.ts";
import { idleChart } from "./idle-chart.ts";
import {
  explanation,
  growthLine,
  idleTable,
  type Measure,
  remarks,
  TITLES,
} from "./idle-summary.ts";
import { pageOf } from "./page.ts";

const MEASURES: readonly Measure[] = ["cpuUs", "wallUs"];

/** A run as a page that stands on its own. */
export function idlePage(charts: Charts, result: IdleResult): string {
  const growth = growthLine(result);
  return pageOf({
    title: "polloi lab idle: what silent descriptors cost",
    lead: explanation(result),
    charts: MEASURES.map((measure) => ({
      svg: charts.lineChart(idleChart(result, measure)),
      file: measure === "cpuUs" ? "lab-idle-cpu" : "lab-idle-clock",
    })),
    tables: MEASURES.map((measure) => ({
      title: `${TITLES[measure]} in µs: median (smallest-largest)`,
      ...idleTable(result, measure),
    })),
    remarks: [...(growth === "" ? [] : [growth]), ...remarks(result)],
    host: hostLines(result.host),
    data: result,
  });
}

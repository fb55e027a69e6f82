import { escaped } from "./chart-svg.ts";
import type { Charts } from "./chart-types.ts";
import { hostLines } from "./host.ts";
import { PAGE_SCRIPT, PAGE_STYLE } from "./page-style.ts";
import type { Figure, LabReport } from "./report.ts";
import type { Table } from "./table.ts";

/** A report as a page that needs nothing but itself: no network, no other file. Light or dark as its reader has it. */
export function reportPage(charts: Charts, report: LabReport): string {
  const { title, findings, figures, remarks, meaning, result } = report;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<link rel="icon" href="data:,">
<style>${PAGE_STYLE}
</style>
</head>
<body>
<main>
<h1>${escaped(title)}</h1>
<ul class="findings">
${items(findings)}
</ul>
${figures.map((figure) => sectionOf(charts, figure)).join("\n")}
<section>
<h2>Before you believe it</h2>
<ul>
${items(remarks)}
</ul>
</section>
<section>
<h2>What is measured</h2>
${meaning.map((text) => `<p>${escaped(text)}</p>`).join("\n")}
</section>
<section>
<h2>Taken on</h2>
<pre tabindex="0">${escaped(hostLines(result.host).join("\n"))}</pre>
<details>
<summary>All of it as JSON</summary>
<pre tabindex="0">${escaped(JSON.stringify(result, null, 1))}</pre>
</details>
</section>
</main>
<script>${PAGE_SCRIPT}
</script>
</body>
</html>
`;
}

function items(lines: readonly string[]): string {
  return lines.map((text) => `<li>${escaped(text)}</li>`).join("\n");
}

/** A chart and, below it, the same as a table. */
function sectionOf(charts: Charts, { title, note, table, chart, file }: Figure): string {
  const drawn =
    chart === undefined
      ? ""
      : `<figure>
${charts.lineChart(chart, "wide")}${charts.lineChart(chart, "narrow")}<figcaption>${escaped(chart.subtitle ?? "")}</figcaption>
<button type="button" data-file="${escaped(file)}">Save as PNG</button>
</figure>
`;
  return `<section>
<h2${chart === undefined ? "" : ' class="charted"'}>${escaped(title)}</h2>
${drawn}<div class="wide-table" role="region" aria-label="${escaped(title)}" tabindex="0">
${tableOf(table, `${title}${note}`)}
</div>
</section>`;
}

function tableOf({ header, rows }: Table, caption: string): string {
  const head = header.map((text) => `<th scope="col">${escaped(text)}</th>`).join("");
  const body = rows.map(([first = "", ...cells]) => {
    const rest = cells.map((text) => `<td>${escaped(text)}</td>`).join("");
    return `<tr><th scope="row">${escaped(first)}</th>${rest}</tr>`;
  });
  return `<table>
<caption>${escaped(caption)}</caption>
<thead><tr>${head}</tr></thead>
<tbody>
${body.join("\n")}
</tbody>
</table>`;
}

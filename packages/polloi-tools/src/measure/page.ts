import type { Charts } from "./chart.ts";
import { escaped } from "./chart-svg.ts";
import { hostLines } from "./host.ts";
import type { Figure, LabReport } from "./report.ts";
import type { Table } from "./table.ts";

/** Light and dark mode; phone, desktop and print. */
const PAGE_STYLE = `
:root{color-scheme:light dark;--ink:#1f2328;--muted:#59636e;--line:#d1d9e0;--page:#fff;--soft:#f6f8fa;--mark:#0969da}
@media (prefers-color-scheme:dark){:root{--ink:#f0f6fc;--muted:#9198a1;--line:#3d444d;--page:#0d1117;--soft:#151b23;--mark:#58a6ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI","Noto Sans","Liberation Sans",sans-serif}
main{margin:0 auto;max-width:72rem;padding:2rem 1.5rem 4rem}
h1{font-size:1.75rem;line-height:1.25;margin:0 0 1rem;letter-spacing:-.01em}
h2{font-size:1.2rem;line-height:1.3;margin:3rem 0 .75rem}
p,li{max-width:48rem;overflow-wrap:anywhere}
.findings{list-style:none;margin:0;padding:1rem 1.25rem;background:var(--soft);border-left:4px solid var(--mark);border-radius:0 8px 8px 0}
.findings li{max-width:none}.findings li+li{margin-top:.6rem}
figure{margin:0 0 1rem;border:1px solid var(--line);border-radius:8px;overflow:hidden;position:relative}
svg.chart{display:block;width:100%;height:auto}
svg.narrow,figcaption{display:none}
figcaption{padding:.5rem .9rem .8rem;color:var(--muted);font-size:.8rem}
button{position:absolute;right:12px;top:12px;font:inherit;font-size:.8rem;color:var(--muted);background:var(--soft);border:1px solid var(--line);border-radius:6px;padding:.2rem .7rem;cursor:pointer}
button:hover,button:focus-visible{color:var(--ink);border-color:var(--muted)}
.wide-table{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.8rem}
caption{text-align:left;color:var(--muted);padding:.2rem 0 .5rem}
th,td{padding:.35rem .6rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap;font-weight:400}
thead th{font-weight:600;border-bottom-width:2px}
th:first-child{text-align:left;font-weight:600;position:sticky;left:0;background:var(--page)}
tbody tr:hover>*{background:var(--soft)}
ul{padding-left:1.2rem}
section>ul,section>p{color:var(--muted);font-size:.95rem}
pre{background:var(--soft);border:1px solid var(--line);border-radius:8px;padding:1rem;overflow:auto;font-size:.8rem;max-height:30rem}
summary{cursor:pointer;color:var(--muted)}
:focus-visible{outline:2px solid var(--mark);outline-offset:2px}
/* On a wide screen the chart contains its title, so that it also has one as a file. */
@media (min-width:40.01rem){h2.charted{position:absolute;width:1px;height:1px;margin:0;overflow:hidden;clip-path:inset(50%);white-space:nowrap}section{margin-top:2.5rem}}
@media (max-width:40rem){main{padding:1.25rem 1rem 3rem}h1{font-size:1.4rem}svg.wide,button{display:none}svg.narrow,figcaption{display:block}}
@media print{button,details{display:none}main{max-width:none;padding:0}figure{break-inside:avoid}}`;

/** Saves a chart as PNG at twice its size; nothing is sent anywhere. */
const PAGE_SCRIPT = `
for (const button of document.querySelectorAll("figure button")) {
  button.addEventListener("click", () => {
    const svg = button.parentElement.querySelector("svg.wide");
    const { width, height } = svg.viewBox.baseVal;
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = width * 2;
      canvas.height = height * 2;
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      const link = document.createElement("a");
      link.download = button.dataset.file + ".png";
      link.href = canvas.toDataURL("image/png");
      link.click();
    };
    const text = new XMLSerializer().serializeToString(svg);
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text);
  });
}`;

/** A report as a self-contained page: it loads no other file. */
export function reportPage(charts: Charts, report: LabReport): string {
  const { title, findings, figures, remarks, method, result } = report;
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
<h2>Reliability</h2>
<ul>
${items(remarks)}
</ul>
</section>
<section>
<h2>Method</h2>
${method.map((text) => `<p>${escaped(text)}</p>`).join("\n")}
</section>
<section>
<h2>Measured on</h2>
<pre tabindex="0">${escaped(hostLines(result.host).join("\n"))}</pre>
<details>
<summary>All samples as JSON</summary>
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

/** A chart and, below it, the same figures as a table. */
function sectionOf(
  charts: Charts,
  { title, note = "", table, chart, file = "chart" }: Figure,
): string {
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

import { escaped } from "./chart-svg.ts";

/** What is on the page of a lab. */
export interface Page {
  readonly title: string;
  /** What it shows, a paragraph each. */
  readonly lead: readonly string[];
  readonly charts: readonly {
    readonly svg: string;
    /** What its picture is called when it is saved, without an ending. */
    readonly file: string;
  }[];
  readonly tables: readonly {
    readonly title: string;
    readonly header: readonly string[];
    readonly rows: readonly (readonly string[])[];
  }[];
  /** What has to be known before believing it, a line each. */
  readonly remarks: readonly string[];
  /** What it was taken on, a line each. */
  readonly host: readonly string[];
  /** All of it as data. */
  readonly data: unknown;
}

const STYLE = `
:root{color-scheme:light dark;--ink:#1f2328;--muted:#59636e;--line:#d1d9e0;--paper:#fff;--soft:#f6f8fa}
@media (prefers-color-scheme:dark){:root{--ink:#f0f6fc;--muted:#9198a1;--line:#3d444d;--paper:#0d1117;--soft:#151b23}}
body{margin:0 auto;max-width:62rem;padding:1.5rem;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI","Noto Sans",sans-serif}
h1{font-size:1.6rem;margin:.5rem 0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
p{max-width:46rem}
figure{margin:1.5rem 0;border:1px solid var(--line);border-radius:8px;overflow:hidden;position:relative}
svg.chart{display:block;width:100%;height:auto}
button{position:absolute;right:12px;top:12px;font:inherit;font-size:.8rem;color:var(--muted);background:var(--soft);border:1px solid var(--line);border-radius:6px;padding:.2rem .7rem;cursor:pointer}
button:hover,button:focus-visible{color:var(--ink);border-color:var(--muted)}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.85rem}
th,td{padding:.3rem .8rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left}
ul{padding-left:1.2rem;color:var(--muted)}
pre{background:var(--soft);border:1px solid var(--line);border-radius:8px;padding:1rem;overflow:auto;font-size:.8rem;max-height:30rem}
summary{cursor:pointer;color:var(--muted)}
@media print{button,details{display:none}body{max-width:none;padding:0}figure{break-inside:avoid}}`;

/** Draws a chart at twice its size and hands it over as a file; nothing leaves the page. */
const SAVE = `
for (const button of document.querySelectorAll("figure button")) {
  button.addEventListener("click", () => {
    const svg = button.parentElement.querySelector("svg");
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

/** A page that needs nothing but itself: no network, no other file. Light or dark as its reader has it. */
export function pageOf({ title, lead, charts, tables, remarks, host, data }: Page): string {
  const figures = charts.map(
    ({ svg, file }) =>
      `<figure>\n${svg}<button type="button" data-file="${escaped(file)}">Save as PNG</button>\n</figure>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<link rel="icon" href="data:,">
<style>${STYLE}
</style>
</head>
<body>
<h1>${escaped(title)}</h1>
${lead.map((text) => `<p>${escaped(text)}</p>`).join("\n")}
${figures.join("\n")}
${tables.map(tableOf).join("\n")}
<h2>Before you believe it</h2>
<ul>
${remarks.map((text) => `<li>${escaped(text)}</li>`).join("\n")}
</ul>
<h2>Taken on</h2>
<pre>${escaped(host.join("\n"))}</pre>
<details>
<summary>All of it as JSON</summary>
<pre>${escaped(JSON.stringify(data, null, 1))}</pre>
</details>
<script>${SAVE}
</script>
</body>
</html>
`;
}

function tableOf({ title, header, rows }: Page["tables"][number]): string {
  const cells = (tag: string, row: readonly string[]): string =>
    `<tr>${row.map((text) => `<${tag}>${escaped(text)}</${tag}>`).join("")}</tr>`;
  return `<h2>${escaped(title)}</h2>
<div class="wide"><table>
<thead>${cells("th", header)}</thead>
<tbody>
${rows.map((row) => cells("td", row)).join("\n")}
</tbody>
</table></div>`;
}

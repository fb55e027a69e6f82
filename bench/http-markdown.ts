import { spreadText, whole } from "../packages/polloi-tools/src/measure/table.ts";
import { summarize } from "./echo.ts";
import { marksOf, notesFor } from "./echo-text.ts";
import { type HttpCell, type HttpResult, REFERENCES } from "./http.ts";
import { caseOf, httpTable, titleOf } from "./http-text.ts";
import { escaped, inParts, markdown, published, takenOn } from "./markdown.ts";

/** The rows of the README, where they were measured; docs/figures.md has all of them. */
const HEADLINE: readonly string[] = [
  "c-http",
  "polloi-handler-uring-run",
  "polloi-handler-uring",
  "polloi-handler-epoll",
  "polloi-fetch-uring",
  "uws",
  "bun-serve",
  "polloi-handler-uring-bun",
  "node-http",
  "go-http",
  "nginx",
];

/** The HTTP benchmark: a table for each cell. */
export function httpMarkdown(result: HttpResult): string {
  const { rounds, seconds } = result.settings;
  const how = `Medians of ${rounds} rounds of ${seconds} s; ratios are taken within a round.`;
  const tables = result.cells.flatMap((cell) => {
    const { header, rows, marks } = httpTable(cell);
    const [, ...columns] = header;
    const table = {
      header: [titleOf(cell), ...columns],
      rows: rows.map((row) => row.map(escaped)),
    };
    return [markdown(table), ...notesFor(marks).map(escaped)];
  });
  return inParts([how, ...tables, published(result)]);
}

/** What a reader looks for first: requests/s, a column for each way to ask. */
export function httpHeadline(result: HttpResult): string {
  const cells = result.cells.filter(({ name }) => name === "hello" || name === "pipelined");
  const names = cells.flatMap(({ rows }) => rows.map(({ name, label }) => ({ name, label })));
  let seen = "";
  const rows = HEADLINE.flatMap((name) => {
    const label = names.find((row) => row.name === name)?.label;
    if (label === undefined) return [];
    const figures = cells.map((cell) => {
      const { text, marks } = figureIn(cell, name);
      seen += marks;
      return text;
    });
    return [[label, ...figures]];
  });
  const { rounds, seconds } = result.settings;
  const how = `Requests/s as a ratio to a C loop that answers a constant, in the same round (median, smallest and largest of ${rounds} rounds of ${seconds} s), requests/s, and server CPU per request.`;
  const header = ['"Hello, world!"', ...cells.map(caseOf)];
  const table = markdown({ header, rows });
  return inParts([how, table, ...notesFor(seen).map(escaped), takenOn(result)]);
}

function figureIn(cell: HttpCell, name: string): { text: string; marks: string } {
  const row = cell.rows.find((other) => other.name === name);
  const summary = row && summarize(cell, row, REFERENCES[cell.name].name);
  if (summary?.rate === undefined) return { text: "-", marks: "" };
  const marks = marksOf(summary);
  const cpu = `${summary.cpuUs?.median.toFixed(1)} us`;
  const rate = `${whole(summary.rate.median / 1000)} k/s, ${cpu}${escaped(marks)}`;
  return { text: `**${spreadText(summary.ratio)}** ${rate}`, marks };
}

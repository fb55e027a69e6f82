import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { type EchoResult, summarize } from "./echo.ts";
import { marksOf, notesFor } from "./echo-text.ts";
import type { IdleResult } from "./idle.ts";
import { idleTable } from "./idle-text.ts";
import type { Machine } from "./machine.ts";
import { inRepository } from "./places.ts";
import { markdownTable, sizeText, spreadText, whole } from "./table.ts";

/** The benchmarks that have committed results and a place in the README. */
const REPORTS = ["echo", "idle"] as const;

/**
 * Turns the committed results into Markdown.
 *
 * @param write - Whether to put it between the markers `<!-- bench:echo -->` and
 * `<!-- /bench:echo -->` of the README, rather than to return it only.
 * @throws Error when there are no results, or the README has no markers for them.
 */
export function report({ write }: { readonly write: boolean }): string {
  const texts: string[] = [];
  for (const name of REPORTS) {
    const path = inRepository(`bench/results/${name}.json`);
    if (!existsSync(path)) continue;
    const result = JSON.parse(readFileSync(path, "utf8")) as EchoResult | IdleResult;
    const text = result.benchmark === "echo" ? echoMarkdown(result) : idleMarkdown(result);
    if (write) replaceInReadme(name, text);
    texts.push(text);
  }
  if (texts.length === 0) {
    throw new Error("there is no bench/results/echo.json; copy it from bench/out after a run");
  }
  return texts.join("\n\n");
}

/** The echo benchmark: for each message size a table, with a column for each number of connections. */
export function echoMarkdown(result: EchoResult): string {
  const sections = [...new Set(result.cells.map(({ size }) => size))].map((size) => {
    const cells = result.cells.filter((cell) => cell.size === size);
    const labels = cells[0]?.rows.map(({ name, label }) => ({ name, label })) ?? [];
    let seen = "";
    const rows = labels.map(({ name, label }) => [
      label,
      ...cells.map((cell) => {
        const row = cell.rows.find((other) => other.name === name);
        const summary = row && summarize(cell, row);
        if (summary?.rate === undefined) return "-";
        const marks = marksOf(summary);
        seen += marks;
        const cpu = `${summary.cpuUs?.median.toFixed(1)} us`;
        const ratio = summary.ratio === undefined ? "" : `**${spreadText(summary.ratio)}** `;
        return `${ratio}${whole(summary.rate.median / 1000)} k/s, ${cpu}${marksText(marks)}`;
      }),
    ]);
    const header = [
      `${sizeText(size)} messages`,
      ...cells.map(({ connections }) => `${whole(connections)} connections`),
    ];
    const notes = notesFor(seen).map((note) => `\n${marksText(note)}`);
    return [markdownTable(header, rows), ...notes].join("\n");
  });
  const { rounds, seconds } = result.settings;
  const how = `Each figure: messages/s as a ratio to the C loop in the same round (median, smallest and largest of ${rounds} rounds of ${seconds} s), messages/s, and server CPU per message.`;
  return [how, ...sections, takenOn(result.machine)].join("\n\n");
}

function idleMarkdown(result: IdleResult): string {
  const { header, rows } = idleTable(result);
  return [markdownTable(header, rows), takenOn(result.machine)].join("\n\n");
}

/** A star or a tilde would be taken for emphasis. */
function marksText(text: string): string {
  return text.replace(/[*~]/g, "\\$&");
}

function takenOn(machine: Machine): string {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  const { cpu, cores, kernel, congestionControl, commit, date, command } = machine;
  return `Taken on ${cpu} (${cores} cores), Linux ${kernel}, TCP ${congestionControl}, ${versions.join(", ")}; commit ${commit}, ${date.slice(0, 10)}: \`${command}\`.`;
}

function replaceInReadme(name: string, text: string): void {
  const path = inRepository("README.md");
  const readme = readFileSync(path, "utf8");
  const begin = `<!-- bench:${name} -->`;
  const end = `<!-- /bench:${name} -->`;
  const from = readme.indexOf(begin);
  const to = readme.indexOf(end);
  if (from < 0 || to < from) throw new Error(`README.md lacks the markers ${begin} and ${end}`);
  writeFileSync(path, `${readme.slice(0, from)}${begin}\n\n${text}\n\n${readme.slice(to)}`);
  // The formatter looks at Markdown and JSON too.
  const written = [path, inRepository(`bench/results/${name}.json`)];
  execFileSync(inRepository("node_modules/.bin/biome"), ["format", "--write", ...written], {
    stdio: "ignore",
  });
}

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { openCharts } from "../packages/polloi-tools/src/measure/chart.ts";
import { churnGoals } from "./churn-text.ts";
import type { ClientsResult } from "./clients.ts";
import { clientsGoals } from "./clients-text.ts";
import type { EchoResult, Published } from "./echo.ts";
import { echoChart } from "./echo-chart.ts";
import { echoGoals } from "./echo-text.ts";
import type { Goal } from "./goals.ts";
import type { HttpResult } from "./http.ts";
import { httpHeadline, httpMarkdown } from "./http-markdown.ts";
import { httpGoals } from "./http-text.ts";
import type { IdleResult } from "./idle.ts";
import { idleGoals } from "./idle-text.ts";
import type { LatencyResult } from "./latency.ts";
import { latencyGoals } from "./latency-text.ts";
import {
  churnMarkdown,
  clientsMarkdown,
  echoMarkdown,
  goalsMarkdown,
  HEADLINE,
  HEADLINE_SIZE,
  headlineMarkdown,
  idleMarkdown,
  latencyMarkdown,
  missedMarkdown,
  syscallsMarkdown,
  workersMarkdown,
} from "./markdown.ts";
import { inRepository } from "./places.ts";
import { YARDSTICK } from "./plans.ts";
import type { SyscallsResult } from "./syscalls.ts";
import { syscallsGoals } from "./syscalls-text.ts";
import type { WorkersResult } from "./workers.ts";
import { workersGoals } from "./workers-text.ts";

/** The committed results, by the name of their benchmark; one that was not run is not there. */
export interface Results {
  readonly echo?: EchoResult;
  readonly churn?: EchoResult;
  readonly syscalls?: SyscallsResult;
  readonly latency?: LatencyResult;
  readonly workers?: WorkersResult;
  readonly idle?: IdleResult;
  readonly http?: HttpResult;
  readonly load?: ClientsResult;
}

const NAMES = ["echo", "churn", "syscalls", "latency", "workers", "idle", "http", "load"] as const;

/** The page with every table; the README has the headline, and what was missed. */
const FIGURES = "docs/figures.md";

/** The README's table as a chart. */
const PICTURE = "docs/pictures/echo.svg";
const PICTURE_TEXT = `![Messages per second of echo servers as a ratio to a C epoll loop](${PICTURE})`;

/** Reads `bench/results/*.json`. */
function readResults(): Results {
  const found = NAMES.flatMap((name): [string, Published][] => {
    const path = inRepository(`bench/results/${name}.json`);
    return existsSync(path) ? [[name, JSON.parse(readFileSync(path, "utf8")) as Published]] : [];
  });
  return Object.fromEntries(found) as Results;
}

/** What was to be reached, of all that was measured. */
export function goalsOf(results: Results): Goal[] {
  const { echo, churn, syscalls, latency, workers, idle, http, load } = results;
  return [
    ...(echo === undefined ? [] : echoGoals(echo.cells)),
    ...(churn === undefined ? [] : churnGoals(churn.cells)),
    ...(syscalls === undefined ? [] : syscallsGoals(syscalls)),
    ...(latency === undefined ? [] : latencyGoals(latency)),
    ...(workers === undefined ? [] : workersGoals(workers)),
    ...(idle === undefined ? [] : idleGoals(idle)),
    ...(http === undefined ? [] : httpGoals(http.cells)),
    ...(load === undefined ? [] : clientsGoals(load)),
  ];
}

/** A text and the file and marker that it belongs to. */
export interface Section {
  readonly file: string;
  readonly marker: string;
  readonly text: string;
}

/** Every table that is generated, with its place. */
export function sectionsOf(results: Results): Section[] {
  const { echo, churn, syscalls, latency, workers, idle, http, load } = results;
  const texts: Record<(typeof NAMES)[number], string | undefined> = {
    echo: echo && echoMarkdown(echo),
    churn: churn && churnMarkdown(churn),
    syscalls: syscalls && syscallsMarkdown(syscalls),
    latency: latency && latencyMarkdown(latency),
    workers: workers && workersMarkdown(workers),
    idle: idle && idleMarkdown(idle),
    http: http && httpMarkdown(http),
    load: load && clientsMarkdown(load),
  };
  const goals = goalsOf(results);
  const headline = echo === undefined ? notMeasured("echo") : headlineMarkdown(echo);
  const httpFirst = http === undefined ? notMeasured("http") : httpHeadline(http);
  return [
    { file: "README.md", marker: "headline", text: headline },
    { file: "README.md", marker: "http-headline", text: httpFirst },
    { file: "README.md", marker: "missed", text: missedMarkdown(goals) },
    { file: FIGURES, marker: "goals", text: goalsMarkdown(goals) },
    ...NAMES.map((name) => {
      return { file: FIGURES, marker: name, text: texts[name] ?? notMeasured(name) };
    }),
  ];
}

function notMeasured(name: string): string {
  return `No figures yet: \`npm run bench -- ${name}\`.`;
}

/**
 * Turns the committed results into Markdown.
 *
 * @param write - Whether to put it between the markers `<!-- bench:echo -->` and
 * `<!-- /bench:echo -->` of the README and of docs/figures.md, rather than to return it only.
 * @throws Error when a file has no markers for a table.
 */
export async function report({ write }: { readonly write: boolean }): Promise<string> {
  const results = readResults();
  const sections = sectionsOf(results);
  if (!write) return sections.map(({ text }) => text).join("\n\n");
  if (results.echo !== undefined) await drawHeadline(results.echo);
  const picture = existsSync(inRepository(PICTURE)) ? `${PICTURE_TEXT}\n\n` : "";
  for (const section of sections) {
    const text = section.marker === "headline" ? picture + section.text : section.text;
    replaceIn({ ...section, text });
  }
  // The formatter looks at JSON too.
  execFileSync(
    inRepository("node_modules/.bin/biome"),
    ["format", "--write", inRepository("bench/results")],
    { stdio: "ignore" },
  );
  return "";
}

/** Draws what the README shows; what cannot be drawn here leaves the picture as it was. */
async function drawHeadline(echo: EchoResult): Promise<void> {
  // The yardstick is the line at 1.
  const others = HEADLINE.filter((name) => name !== YARDSTICK);
  try {
    const svg = (await openCharts()).barChart(echoChart(echo, HEADLINE_SIZE, others));
    mkdirSync(dirname(inRepository(PICTURE)), { recursive: true });
    writeFileSync(inRepository(PICTURE), svg);
  } catch (error) {
    console.error(`bench: ${PICTURE} is not drawn: ${(error as Error).message}`);
  }
}

function replaceIn({ file, marker, text }: Section): void {
  const path = inRepository(file);
  const before = readFileSync(path, "utf8");
  const begin = `<!-- bench:${marker} -->`;
  const end = `<!-- /bench:${marker} -->`;
  const from = before.indexOf(begin);
  const to = before.indexOf(end);
  if (from < 0 || to < from) throw new Error(`${file} lacks the markers ${begin} and ${end}`);
  writeFileSync(path, `${before.slice(0, from)}${begin}\n\n${text}\n\n${before.slice(to)}`);
}

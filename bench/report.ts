/** The published results as Markdown, in README.md and docs/figures.md. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { openCharts } from "../packages/polloi-tools/src/measure/chart.ts";
import { escaped, figureMarkdown } from "../packages/polloi-tools/src/measure/report.ts";
import { markdownTable } from "../packages/polloi-tools/src/measure/table.ts";
import type { Published, Report } from "./benchmark.ts";
import { type ClientsResult, clientsReport } from "./clients.ts";
import { type EchoResult, echoChart, echoRatios, echoReport, echoTables } from "./echo.ts";
import { type Goal, type GoalRow, goalRows } from "./goals.ts";
import { type HttpResult, httpMatrix, httpReport } from "./http.ts";
import { type IdleResult, idleReport } from "./idle.ts";
import { type LatencyResult, latencyReport } from "./latency.ts";
import { inRepository } from "./places.ts";
import { REFERENCE } from "./plans.ts";
import { type SyscallsResult, syscallsReport } from "./syscalls.ts";
import { type TlsResult, tlsReport } from "./tls.ts";
import { type WorkersResult, workersReport } from "./workers.ts";

/** The published results, by benchmark; one that was not run is missing. */
export interface Results {
  readonly echo?: EchoResult;
  readonly churn?: EchoResult;
  readonly syscalls?: SyscallsResult;
  readonly latency?: LatencyResult;
  readonly workers?: WorkersResult;
  readonly idle?: IdleResult;
  readonly http?: HttpResult;
  /** The cases of HTTP with bodies, streams and a framework. */
  readonly bodies?: HttpResult;
  /** The case of HTTP with idle connections. */
  readonly keepAlive?: HttpResult;
  readonly tls?: TlsResult;
  readonly load?: ClientsResult;
}

const NAMES = [
  "echo",
  "churn",
  "syscalls",
  "latency",
  "workers",
  "idle",
  "http",
  "bodies",
  "keepAlive",
  "tls",
  "load",
] as const;
type Name = (typeof NAMES)[number];

/** The page with every table. README.md has a selection. */
const FIGURES = "docs/figures.md";

/** The chart of README.md. */
const PICTURE = "docs/pictures/echo.svg";

/** The rows of README.md, where they were measured. */
const HEADLINE: readonly string[] = [
  "c-epoll",
  "polloi-uring-run",
  "polloi-uring",
  "polloi-epoll",
  "node-net",
  "bun-listen",
  "polloi-uring-bun",
];
const HEADLINE_SIZE = 64;
const HTTP_HEADLINE: readonly string[] = [
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

/** Reads `bench/results/*.json`. */
function readResults(): Results {
  const found = NAMES.flatMap((name): [string, Published][] => {
    const path = inRepository(`bench/results/${name}.json`);
    return existsSync(path) ? [[name, JSON.parse(readFileSync(path, "utf8")) as Published]] : [];
  });
  return Object.fromEntries(found) as Results;
}

function reportsOf(results: Results) {
  const { echo, churn, syscalls, latency, workers, idle, http, bodies, keepAlive, tls, load } =
    results;
  const reports: Record<Name, Report | undefined> = {
    echo: echo && echoReport(echo),
    churn: churn && echoReport(churn),
    syscalls: syscalls && syscallsReport(syscalls),
    latency: latency && latencyReport(latency),
    workers: workers && workersReport(workers),
    idle: idle && idleReport(idle),
    http: http && httpReport(http),
    bodies: bodies && httpReport(bodies),
    keepAlive: keepAlive && httpReport(keepAlive),
    tls: tls && tlsReport(tls),
    load: load && clientsReport(load),
  };
  return reports;
}

/** The goals of all results. */
export function goalsOf(results: Results): Goal[] {
  return Object.values(reportsOf(results)).flatMap((report) => report?.goals ?? []);
}

/** A text, and the file and marker that it belongs to. */
export interface Section {
  readonly file: string;
  readonly marker: string;
  readonly text: string;
}

/** Every generated table, with its place. */
export function sectionsOf(results: Results): Section[] {
  const { echo, http } = results;
  const reports = reportsOf(results);
  const goals = goalsOf(results);
  return [
    { file: "README.md", marker: "headline", text: echo ? headline(echo) : notMeasured("echo") },
    { file: FIGURES, marker: "missed", text: missedMarkdown(goals) },
    {
      file: FIGURES,
      marker: "http-headline",
      text: http ? httpHeadline(http) : notMeasured("http"),
    },
    { file: FIGURES, marker: "goals", text: goalsMarkdown(goalRows(goals)) },
    ...NAMES.map((name) => {
      const [result, report] = [results[name], reports[name]];
      if (result === undefined || report === undefined) {
        return { file: FIGURES, marker: name, text: notMeasured(name) };
      }
      const figures =
        name === "echo" && echo !== undefined
          ? echoTables(echo)
          : report.figures.map(figureMarkdown);
      const text = paragraphs([report.method, ...figures, published(result)]);
      return { file: FIGURES, marker: name, text };
    }),
  ];
}

/** The main rows of the echo benchmark: messages/s as a ratio to the C loop. */
export function headline(echo: EchoResult): string {
  const { rounds, seconds } = echo.settings;
  return paragraphs([
    `Messages per second of an echo server on one core, as a ratio to an epoll loop in C in the same round: median (smallest to largest) of ${rounds} rounds of ${seconds} s.`,
    echoRatios(echo, HEADLINE, HEADLINE_SIZE),
    measuredOn(echo),
  ]);
}

/** The main rows of the HTTP benchmark. */
export function httpHeadline(http: HttpResult): string {
  const { rounds, seconds } = http.settings;
  const method = `Requests/s as a ratio to a C loop that sends a constant response, in the same round (median, smallest and largest of ${rounds} rounds of ${seconds} s), requests/s, and server CPU time per request.`;
  return paragraphs([method, httpMatrix(http, HTTP_HEADLINE), measuredOn(http)]);
}

/** The commands of results that are a part of a benchmark. */
const COMMANDS: Partial<Record<Name, string>> = {
  bodies: "http --cases post,chunked,hono",
  keepAlive: "http --cases idle",
};

function notMeasured(name: Name): string {
  return `No figures yet: \`npm run bench -- ${COMMANDS[name] ?? name}\`.`;
}

/** The number of goals that were reached, and a table of the others. */
export function missedMarkdown(goals: readonly Goal[]): string {
  const rows = goalRows(goals);
  const isReached = (row: GoalRow): boolean => row.cases.every(({ verdict }) => verdict.reached);
  const missed = rows.filter((row) => !isReached(row));
  const unproven = rows.filter((row) => isReached(row) && /not proven/.test(row.verdict));
  const proven = rows.length - missed.length - unproven.length;
  const note = unproven.length > 0 ? `, ${unproven.length} by every median but not proven` : "";
  const reached = `${proven} of ${rows.length} goals are reached in every case${note}`;
  if (missed.length === 0) return `${reached}.`;
  return paragraphs([
    `${reached}; ${missed.length} are not (bold: missed; in brackets: not proven):`,
    goalsMarkdown(missed),
  ]);
}

function goalsMarkdown(goals: readonly GoalRow[]): string {
  const header = ["what", "where", "to reach", "medians", "verdict"];
  const rows = goals.map(({ what, where, limit, cases, verdict }) => [
    what,
    where,
    escaped(limit),
    cases
      .map(({ median, verdict: { reached, proven } }) => {
        const figure = reached ? median : `**${median}**`;
        return proven ? figure : `(${figure})`;
      })
      .join(" / "),
    verdict.replaceAll("MISSED", "**missed**"),
  ]);
  return markdownTable({ header, rows });
}

function paragraphs(parts: readonly string[]): string {
  return parts.filter((part) => part !== "").join("\n\n");
}

/** The origin of figures, and the servers that were not measured. */
function published(result: Published): string {
  const skipped = result.skipped.map(({ label, reason }) => `- not measured: ${label} (${reason})`);
  return paragraphs([skipped.join("\n"), measuredOn(result)]);
}

/** The machine, the versions, the date and the command. */
function measuredOn({ machine }: Published): string {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  const { cpu, cores, kernel, congestionControl, commit, date, command } = machine;
  return `Measured on ${cpu} (${cores} cores), Linux ${kernel}, TCP ${congestionControl}, ${versions.join(", ")}; commit ${commit}, ${date.slice(0, 10)}: \`${command}\`.`;
}

/**
 * Turns the published results into Markdown.
 *
 * @param write - Whether to write it between the markers `<!-- bench:echo -->` and `<!-- /bench:echo -->` of README.md
 * and docs/figures.md, instead of returning it.
 * @throws Error when a file has no markers for a table.
 */
export async function report({ write }: { readonly write: boolean }): Promise<string> {
  const results = readResults();
  const sections = sectionsOf(results);
  if (!write) return sections.map(({ text }) => text).join("\n\n");
  if (results.echo !== undefined) await drawHeadline(results.echo);
  for (const section of sections) replaceIn(section);
  // The formatter also checks JSON.
  execFileSync(
    inRepository("node_modules/.bin/biome"),
    ["format", "--write", inRepository("bench/results")],
    { stdio: "ignore" },
  );
  return "";
}

/** Draws the chart of README.md. Without the charting library the old one stays. */
async function drawHeadline(echo: EchoResult): Promise<void> {
  // The reference is the line at 1.
  const others = HEADLINE.filter((name) => name !== REFERENCE);
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

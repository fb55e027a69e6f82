import type { LoadReport, Percentiles } from "../load/index.ts";
import { wordsFor } from "./failure.ts";
import type { Style, Styler } from "./style.ts";

/** What a mode means for the figures. */
const MODES = {
  closed:
    "closed loop: a connection sends when its answer has come, so a server that stalls is asked less often; --rate counts from when each message was due",
  rate: "fixed rate: each counts from when it was due, sent or not (corrected for coordinated omission)",
} as const;

/** Where what is said of a thing begins, and how many columns it has at the least. */
const INDENT = 14;
const LEAST_COLUMNS = 20;
/** Between a name and its figure. */
const UNBROKEN = "\u00a0";

/** A count as people read it: `12,345`. */
export function countText(count: number): string {
  return Math.round(count).toLocaleString("en-US");
}

/** Milliseconds to three digits: `0.412`, `12.3`, `1,234`. */
export function msText(ms: number): string {
  if (ms >= 100) return countText(ms);
  return ms >= 10 ? ms.toFixed(1) : ms >= 1 ? ms.toFixed(2) : ms.toFixed(3);
}

/** Failures by code, the commonest first: `ECONNREFUSED 12 (connection refused)`. */
export function errorsText(errors: Readonly<Record<string, number>>): string {
  const byCount = Object.entries(errors).sort(([, a], [, b]) => b - a);
  const told = byCount.map(([code, count]) => {
    const words = wordsFor(code);
    return `${code} ${countText(count)}${words === undefined ? "" : ` (${words})`}`;
  });
  return told.length === 0 ? "none" : told.join(", ");
}

/** What came of a load, for a person. @param columns - Of the terminal, if it is one: lines are broken there. */
export function loadText(
  report: LoadReport,
  style: Styler,
  columns: number = Number.POSITIVE_INFINITY,
): string {
  const { messages, mismatches, unanswered, unsent, failed, errors } = report;
  const asked = report.target.startsWith("http") ? "requests" : "messages";
  const red = (wrong: boolean): Style | undefined => (wrong ? "red" : undefined);
  const rows: [name: string, text: string, tone?: Style | undefined][] = [
    [
      asked,
      `${countText(messages)}, ${countText(report.messagesPerSecond)} a second${report.rate === null ? "" : ` of ${countText(report.rate)}`}, ${bytesText(report.bytes)} came back`,
    ],
    ["latency", `${percentilesText(report.latencyMs)}`],
    ["", MODES[report.mode], "dim"],
    [
      "connect",
      `${percentilesText(report.connectMs)}; ${countText(report.opened - report.reopened)} opened in ${msText(report.openMs)} ms`,
    ],
    ["wrong", mismatches === 0 ? "none" : wrongText(report), red(mismatches > 0)],
    ["unanswered", countText(unanswered), red(unanswered > 0)],
    ["errors", errorsText(errors), red(failed > 0 || Object.keys(errors).length > 0)],
  ];
  if (unsent > 0) {
    const why = "were due and not sent: answers to those before them were still out";
    rows.push(["unsent", `${countText(unsent)} ${why}`, "red"]);
  }
  if (report.reopened > 0) {
    const connections = report.reopened === 1 ? "connection" : "connections";
    rows.push(["reopened", `${countText(report.reopened)} ${connections}, in place of lost ones`]);
  }
  if (Object.keys(report.statuses).length > 0)
    rows.push(["statuses", statusesText(report.statuses)]);
  const lines = rows.flatMap(([name, text, tone]) =>
    broken(text, Math.max(LEAST_COLUMNS, columns - INDENT)).map((line, i) => {
      const shown = tone === undefined ? line : style(tone, line);
      return `  ${(i === 0 ? name : "").padEnd(INDENT - 3)} ${shown}`;
    }),
  );
  const title = broken(headline(report), columns).map((line) => style("bold", line));
  return [...title, ...lines].join("\n");
}

/** A text in lines of so many columns, broken at spaces, except those that do not break. */
function broken(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const [, space = "", word = ""] of text.matchAll(/( *)([^ ]+)/g)) {
    if (line !== "" && line.length + space.length + word.length > columns) {
      lines.push(line);
      line = word;
    } else {
      line += space + word;
    }
  }
  return [...lines, line].map((each) => each.replaceAll(UNBROKEN, " "));
}

function headline(report: LoadReport): string {
  const { target, connections, engine, threads, elapsedMs, stoppedEarly } = report;
  const by = threads === 1 ? engine : `${engine}, ${threads} threads`;
  const ended = stoppedEarly ? ", stopped early" : "";
  const plural = connections === 1 ? "connection" : "connections";
  return `${target}  ${countText(connections)} ${plural}, ${(elapsedMs / 1000).toFixed(2)} s, ${by}${ended}`;
}

function percentilesText(figures: Percentiles): string {
  if (figures.count === 0) return "none";
  const names = ["p50", "p90", "p99", "p99.9", "p99.99", "max"] as const;
  const all = names.map((name) => `${name}${UNBROKEN}${msText(figures[name])}`);
  return `${all.join("  ")}${UNBROKEN}ms`;
}

function wrongText({ corrupted, reordered, lost, surplus }: LoadReport): string {
  return Object.entries({ corrupted, reordered, lost, surplus })
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${countText(count)} ${name}`)
    .join(", ");
}

function statusesText(statuses: Readonly<Record<string, number>>): string {
  return Object.entries(statuses)
    .map(([status, count]) => `${status}: ${countText(count)}`)
    .join(", ");
}

function bytesText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let [value, unit] = [bytes, 0];
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

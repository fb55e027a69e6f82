import type {
  LoadOptions,
  LoadReport,
  LoadRun,
  LoadSnapshot,
  Percentiles,
  TlsFacts,
} from "../load/index.ts";
import { timeLeftText } from "../measure/progress.ts";
import { describeCode } from "./errors.ts";
import { progressStream, type Style, type Styler, stylerFor } from "./output.ts";

/** The meaning of the latencies in each mode. */
const MODES = {
  closed:
    "closed loop: latency counts from when a message was sent; with --rate, from when it was due",
  rate: "fixed rate: latency counts from when a message was due (corrected for coordinated omission)",
} as const;

/** Width of the column of names, and minimum width of the text beside it. */
const INDENT = 14;
const MIN_TEXT_COLUMNS = 20;
/** Keeps a name and its figure on one line. */
const NO_BREAK_SPACE = "\u00a0";

/** A count with separators: `12,345`. */
export function countText(count: number): string {
  return Math.round(count).toLocaleString("en-US");
}

/** Milliseconds with three digits: `0.412`, `12.3`, `1,234`. */
export function msText(ms: number): string {
  if (ms >= 100) return countText(ms);
  return ms >= 10 ? ms.toFixed(1) : ms >= 1 ? ms.toFixed(2) : ms.toFixed(3);
}

/** Errors by code, the most frequent first: `ECONNREFUSED 12 (connection refused)`. */
export function errorsText(errors: Readonly<Record<string, number>>): string {
  const byCount = Object.entries(errors).sort(([, a], [, b]) => b - a);
  const texts = byCount.map(([code, count]) => {
    const description = describeCode(code);
    return `${code} ${countText(count)}${description === undefined ? "" : ` (${description})`}`;
  });
  return texts.length === 0 ? "none" : texts.join(", ");
}

/** Errors as the reason why something failed: `connection refused (ECONNREFUSED)`. */
export function whyText(errors: Readonly<Record<string, number>>): string {
  const texts = Object.keys(errors).map((code) => {
    const description = describeCode(code);
    return description === undefined ? code : `${description} (${code})`;
  });
  return texts.join(", ");
}

/** A report as text. @param columns - Width of the terminal, if it is one: lines are wrapped. */
export function reportText(
  report: LoadReport,
  style: Styler,
  columns: number = Number.POSITIVE_INFINITY,
): string {
  const { messages, mismatches, unanswered, unsent, failed, errors } = report;
  const noun = report.target.startsWith("http") ? "requests" : "messages";
  const redIf = (isBad: boolean): Style | undefined => (isBad ? "red" : undefined);
  const rows: (readonly [name: string, text: string, color?: Style | undefined])[] = [
    [
      noun,
      `${countText(messages)}, ${countText(report.messagesPerSecond)} a second${report.rate === null ? "" : ` of ${countText(report.rate)}`}, ${bytesText(report.bytes)} received`,
    ],
    ["latency", `${percentilesText(report.latencyMs)}`],
    ...(report.latencyMs.count === 0 ? [] : [["", MODES[report.mode], "dim"] as const]),
    [
      "connect",
      `${percentilesText(report.connectMs)}; ${countText(report.opened - report.reopened)} opened in ${msText(report.openMs)} ms`,
    ],
    ...(report.tls === null ? [] : [["tls", tlsText(report, report.tls)] as const]),
    ["mismatches", mismatches === 0 ? "none" : mismatchesText(report), redIf(mismatches > 0)],
    ["unanswered", countText(unanswered), redIf(unanswered > 0)],
    ["errors", errorsText(errors), redIf(failed > 0 || Object.keys(errors).length > 0)],
  ];
  if (unsent > 0) {
    const why = "were due and not sent, because earlier ones had no answer";
    rows.push(["unsent", `${countText(unsent)} ${why}`, "red"]);
  }
  if (report.reopened > 0) {
    const connections = report.reopened === 1 ? "connection" : "connections";
    rows.push(["reopened", `${countText(report.reopened)} ${connections} after a loss`]);
  }
  if (Object.keys(report.statuses).length > 0)
    rows.push(["statuses", statusesText(report.statuses)]);
  const lines = rows.flatMap(([name, text, color]) =>
    wrap(text, Math.max(MIN_TEXT_COLUMNS, columns - INDENT)).map((line, i) => {
      const shown = color === undefined ? line : style(color, line);
      return `  ${(i === 0 ? name : "").padEnd(INDENT - 3)} ${shown}`;
    }),
  );
  const title = wrap(headline(report), columns).map((line) => style("bold", line));
  return [...title, ...lines].join("\n");
}

/** Wraps a text at spaces. */
function wrap(text: string, columns: number): string[] {
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
  return [...lines, line].map((each) => each.replaceAll(NO_BREAK_SPACE, " "));
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
  const all = names.map((name) => `${name}${NO_BREAK_SPACE}${msText(figures[name])}`);
  return `${all.join("  ")}${NO_BREAK_SPACE}ms`;
}

function mismatchesText({ corrupted, reordered, lost, surplus }: LoadReport): string {
  return Object.entries({ corrupted, reordered, lost, surplus })
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${countText(count)} ${name}`)
    .join(", ");
}

/** `TLSv1.3, TLS_AES_256_GCM_SHA384; 100 handshakes, which are part of the connects`. */
function tlsText({ opened }: LoadReport, { protocol, cipher }: TlsFacts): string {
  const handshakes = opened === 1 ? "handshake" : "handshakes";
  return `${protocol}, ${cipher}; ${countText(opened)} ${handshakes}, part of connect`;
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

/** How often a terminal is redrawn, and how often a line is written elsewhere. */
const DRAW_MS = 250;
const LINE_MS = 1000;
/** Maximum points of a sparkline, for ten seconds, and minimum, for one second. */
const MAX_SPARKS = 40;
const MIN_SPARKS = 4;
const SPARKS = "▁▂▃▄▅▆▇█";
const BAR_WIDTH = 20;
const DEFAULT_DURATION_MS = 10_000;

/** The progress of a load. */
export interface LoadProgress {
  /** The load was asked to end early. */
  stopping(): void;
  /** The load has ended: erases what was drawn. */
  end(): void;
}

/** The stream on which progress is shown, such as standard error. */
export interface ProgressOutput {
  readonly isTTY?: boolean;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

/** Shows the progress of a run: redrawn on a terminal, as a line per second elsewhere. */
export function showProgress(
  options: LoadOptions,
  run: LoadRun,
  stream: ProgressOutput = progressStream,
): LoadProgress {
  return stream.isTTY === true
    ? new TerminalProgress(options, run, stream)
    : new LineProgress(run, stream);
}

class LineProgress implements LoadProgress {
  readonly #timer: NodeJS.Timeout;
  readonly #stream: ProgressOutput;

  constructor(run: LoadRun, stream: ProgressOutput) {
    this.#stream = stream;
    this.#timer = setInterval(() => stream.write(`${snapshotLine(run.snapshot())}\n`), LINE_MS);
  }

  stopping(): void {
    this.#stream.write("stopping: waiting for the last answers; Ctrl-C ends at once\n");
  }

  end(): void {
    clearInterval(this.#timer);
  }
}

/** A snapshot as one line. */
function snapshotLine({ elapsedMs, phase, counts, errors, ...recent }: LoadSnapshot): string {
  const [p50, p99] = [recent.recentMs.p50, recent.recentMs.p99].map((ms) =>
    recentText(recent, ms, " ms"),
  );
  const counters = `${countText(counts.open)} open  ${countText(counts.messages)} answered${counts.reopened === 0 ? "" : `  ${countText(counts.reopened)} reopened`}  ${countText(recent.messagesPerSecond)}/s`;
  const failures = Object.keys(errors).length === 0 ? "" : `  errors: ${errorsText(errors)}`;
  return `${(elapsedMs / 1000).toFixed(1)} s  ${phase}  ${counters}  p50 ${p50}  p99 ${p99}${failures}`;
}

/** A latency of the last second; `-` without answers. */
function recentText(
  recent: Pick<LoadSnapshot, "messagesPerSecond">,
  ms: number,
  unit = "",
): string {
  return recent.messagesPerSecond === 0 ? "-" : `${msText(ms)}${unit}`;
}

class TerminalProgress implements LoadProgress {
  readonly #options: LoadOptions;
  readonly #run: LoadRun;
  readonly #stream: ProgressOutput;
  readonly #timer: NodeJS.Timeout;
  readonly #style: Styler;
  readonly #rates: number[] = [];
  readonly #latencies: number[] = [];
  /** Lengths of the lines on the screen. */
  #drawn: number[] = [];
  /** When sending started. */
  #sendingSinceMs: number | undefined;
  #stopping = false;

  constructor(options: LoadOptions, run: LoadRun, stream: ProgressOutput) {
    this.#options = options;
    this.#run = run;
    this.#stream = stream;
    this.#style = stylerFor(stream);
    this.#timer = setInterval(() => this.#draw(), DRAW_MS);
    this.#draw();
  }

  stopping(): void {
    this.#stopping = true;
    this.#draw();
  }

  end(): void {
    clearInterval(this.#timer);
    this.#stream.write(this.#eraseSequence());
  }

  #draw(): void {
    const snapshot = this.#run.snapshot();
    append(this.#rates, snapshot.messagesPerSecond);
    append(this.#latencies, snapshot.recentMs.p99);
    const width = (this.#stream.columns || 80) - 1;
    const lines = this.#rows(snapshot).map(({ name, parts, sparks }) => {
      const plain = fitRow(`  ${name.padEnd(11)} `, parts, sparks ?? [], width);
      return { plain, isRed: name === "errors" && parts[0] !== "none" };
    });
    const title = this.#options.target.slice(0, width);
    const text = [
      this.#style("bold", title),
      ...lines.map(({ plain, isRed }) => (isRed ? this.#style("red", plain) : plain)),
    ];
    // In one write, so that the screen never shows half of it.
    this.#stream.write(`${this.#eraseSequence()}${text.join("\n")}\n`);
    this.#drawn = [title.length, ...lines.map(({ plain }) => plain.length)];
  }

  #rows(snapshot: LoadSnapshot): Row[] {
    const { counts, errors, messagesPerSecond, recentMs, phase } = snapshot;
    const { connections = 100 } = this.#options;
    const mismatches = counts.corrupted + counts.reordered + counts.surplus;
    const { p50, p99, max } = recentMs;
    return [
      { name: this.#stopping ? "stopping" : phase, parts: this.#progress(snapshot) },
      {
        name: "connections",
        parts: [
          `${countText(counts.open)} open of ${countText(connections)}, ${countText(counts.failed)} failed`,
          ...(counts.reopened === 0 ? [] : [`${countText(counts.reopened)} reopened`]),
        ],
      },
      {
        name: "answered",
        parts: [`${countText(counts.messages)}, ${countText(messagesPerSecond)}/s`],
        sparks: this.#rates,
      },
      {
        name: "latency",
        parts: [
          `p50 ${recentText(snapshot, p50)}`,
          `p99 ${recentText(snapshot, p99)}`,
          `max ${recentText(snapshot, max, " ms")}`,
        ],
        sparks: this.#latencies,
      },
      {
        name: "errors",
        parts: [
          ...(mismatches === 0 ? [] : [`${countText(mismatches)} mismatches`]),
          ...(mismatches > 0 && Object.keys(errors).length === 0 ? [] : [errorsText(errors)]),
        ],
      },
    ];
  }

  #progress({ elapsedMs, counts, phase }: LoadSnapshot): string[] {
    if (this.#stopping) return ["waiting for the last answers", "Ctrl-C ends at once"];
    const { messages, connections = 100, durationMs = DEFAULT_DURATION_MS } = this.#options;
    if (phase === "draining") return ["waiting for the last answers"];
    let share = 0;
    let sinceMs = elapsedMs;
    if (phase === "connecting") {
      share = (counts.opened + counts.failed) / connections;
    } else {
      this.#sendingSinceMs ??= this.#drawn.length === 0 ? 0 : elapsedMs;
      sinceMs -= this.#sendingSinceMs;
      share = messages === undefined ? sinceMs / durationMs : counts.messages / messages;
    }
    const part = Math.min(1, share);
    const full = Math.round(part * BAR_WIDTH);
    return [
      `${"#".repeat(full).padEnd(BAR_WIDTH, ".")} ${Math.floor(100 * part)} %`,
      ...(part === 1 ? [] : [timeLeftText({ elapsedMs: sinceMs, share: part })]),
    ];
  }

  /** The sequence that erases the lines on the screen. A terminal that became narrower has wrapped them. */
  #eraseSequence(): string {
    const columns = this.#stream.columns || 80;
    const rows = this.#drawn.reduce(
      (sum, length) => sum + Math.ceil(Math.max(1, length) / columns),
      0,
    );
    return rows === 0 ? "" : `\u001b[${rows}A\r\u001b[J`;
  }
}

/** A line of the display: a name, parts that are shown if they fit, and previous values for a sparkline. */
interface Row {
  readonly name: string;
  readonly parts: readonly string[];
  readonly sparks?: readonly number[];
}

/** A row with as many parts as fit, and a sparkline in the remaining width. */
function fitRow(
  start: string,
  [first = "", ...others]: readonly string[],
  sparks: readonly number[],
  width: number,
): string {
  let text = (start + first).slice(0, width);
  for (const part of others) {
    if (text.length + 2 + part.length > width) continue;
    text += `  ${part}`;
  }
  const remaining = width - text.length - 2;
  if (sparks.length === 0 || remaining < MIN_SPARKS) return text;
  return `${text}  ${sparkline(sparks.slice(-remaining))}`;
}

function append(values: number[], value: number): void {
  values.push(value);
  if (values.length > MAX_SPARKS) values.shift();
}

/** Values as a row of bars. The largest value has the highest bar. */
export function sparkline(values: readonly number[]): string {
  const max = Math.max(...values, Number.MIN_VALUE);
  const last = SPARKS.length - 1;
  return values.map((value) => SPARKS[Math.round((value / max) * last)] ?? SPARKS[0]).join("");
}

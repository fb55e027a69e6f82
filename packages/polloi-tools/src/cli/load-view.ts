import type { LoadOptions, LoadRun, LoadSnapshot } from "../load/index.ts";
import { timeLeftText } from "../measure/progress.ts";
import { countText, errorsText, msText } from "./load-text.ts";
import { progressStream } from "./output.ts";
import { type Styler, stylerFor } from "./style.ts";

/** How often a terminal is drawn anew, and a line is written where it is none. */
const DRAW_MS = 250;
const LINE_MS = 1000;
/** Points of a sparkline, where there is room for them: ten seconds. Fewer than a second of them say nothing. */
const SPARK_POINTS = 40;
const LEAST_SPARKS = 4;
const SPARKS = "▁▂▃▄▅▆▇█";
const BAR_WIDTH = 20;
const DEFAULT_DURATION_MS = 10_000;

/** What tells how far a load is, to whoever waits for it. */
export interface LoadView {
  /** It was asked to end early. */
  stopping(): void;
  /** It is over: what was drawn is taken away. */
  end(): void;
}

/** Where a view is drawn; standard error fits. */
export interface ViewStream {
  readonly isTTY?: boolean;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

/** Shows a run on a terminal, or writes a line now and then elsewhere. */
export function openLoadView(
  options: LoadOptions,
  run: LoadRun,
  stream: ViewStream = progressStream,
): LoadView {
  return stream.isTTY === true ? new TerminalView(options, run, stream) : new LineView(run, stream);
}

class LineView implements LoadView {
  readonly #timer: NodeJS.Timeout;
  readonly #stream: ViewStream;

  constructor(run: LoadRun, stream: ViewStream) {
    this.#stream = stream;
    this.#timer = setInterval(() => stream.write(`${lineOf(run.snapshot())}\n`), LINE_MS);
  }

  stopping(): void {
    this.#stream.write("stopping: waits for the last answers, and not at all when asked again\n");
  }

  end(): void {
    clearInterval(this.#timer);
  }
}

/** A snapshot in one line. */
function lineOf({ elapsedMs, phase, counts, errors, ...recent }: LoadSnapshot): string {
  const [p50, p99] = [recent.recentMs.p50, recent.recentMs.p99].map((ms) =>
    recentText(recent, ms, " ms"),
  );
  const what = `${countText(counts.open)} open  ${countText(counts.messages)} answered${counts.reopened === 0 ? "" : `  ${countText(counts.reopened)} reopened`}  ${countText(recent.messagesPerSecond)}/s`;
  const wrong = Object.keys(errors).length === 0 ? "" : `  errors: ${errorsText(errors)}`;
  return `${(elapsedMs / 1000).toFixed(1)} s  ${phase}  ${what}  p50 ${p50}  p99 ${p99}${wrong}`;
}

/** How long answers took lately; without answers there is nothing to tell. */
function recentText(
  recent: Pick<LoadSnapshot, "messagesPerSecond">,
  ms: number,
  unit = "",
): string {
  return recent.messagesPerSecond === 0 ? "-" : `${msText(ms)}${unit}`;
}

class TerminalView implements LoadView {
  readonly #options: LoadOptions;
  readonly #run: LoadRun;
  readonly #stream: ViewStream;
  readonly #timer: NodeJS.Timeout;
  readonly #style: Styler;
  readonly #rates: number[] = [];
  readonly #latencies: number[] = [];
  /** How long the lines are that are on the screen. */
  #drawn: number[] = [];
  /** When the time of the load began. */
  #sendingFromMs: number | undefined;
  #stopping = false;

  constructor(options: LoadOptions, run: LoadRun, stream: ViewStream) {
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
    this.#stream.write(this.#erasing());
  }

  #draw(): void {
    const snapshot = this.#run.snapshot();
    note(this.#rates, snapshot.messagesPerSecond);
    note(this.#latencies, snapshot.recentMs.p99);
    const width = (this.#stream.columns || 80) - 1;
    const lines = this.#rows(snapshot).map(({ name, parts, sparks }) => {
      const plain = fitted(`  ${name.padEnd(11)} `, parts, sparks ?? [], width);
      return { plain, wrong: name === "errors" && parts[0] !== "none" };
    });
    const title = this.#options.target.slice(0, width);
    const text = [
      this.#style("bold", title),
      ...lines.map(({ plain, wrong }) => (wrong ? this.#style("red", plain) : plain)),
    ];
    // In one piece, so that nobody sees a view half drawn.
    this.#stream.write(`${this.#erasing()}${text.join("\n")}\n`);
    this.#drawn = [title.length, ...lines.map(({ plain }) => plain.length)];
  }

  #rows(snapshot: LoadSnapshot): Row[] {
    const { counts, errors, messagesPerSecond, recentMs, phase } = snapshot;
    const { connections = 100 } = this.#options;
    const wrong = counts.corrupted + counts.reordered + counts.surplus;
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
          ...(wrong === 0 ? [] : [`${countText(wrong)} wrong`]),
          ...(wrong > 0 && Object.keys(errors).length === 0 ? [] : [errorsText(errors)]),
        ],
      },
    ];
  }

  #progress({ elapsedMs, counts, phase }: LoadSnapshot): string[] {
    if (this.#stopping) return ["waits for the last answers", "Ctrl-C ends at once"];
    const { messages, connections = 100, durationMs = DEFAULT_DURATION_MS } = this.#options;
    if (phase === "draining") return ["waits for the last answers"];
    let share = 0;
    let sinceMs = elapsedMs;
    if (phase === "connecting") {
      share = (counts.opened + counts.failed) / connections;
    } else {
      this.#sendingFromMs ??= this.#drawn.length === 0 ? 0 : elapsedMs;
      sinceMs -= this.#sendingFromMs;
      share = messages === undefined ? sinceMs / durationMs : counts.messages / messages;
    }
    const part = Math.min(1, share);
    const full = Math.round(part * BAR_WIDTH);
    return [
      `${"#".repeat(full).padEnd(BAR_WIDTH, ".")} ${Math.floor(100 * part)} %`,
      ...(part === 1 ? [] : [timeLeftText({ elapsedMs: sinceMs, share: part })]),
    ];
  }

  /** A terminal that was made narrower has broken the lines that are too long for it. */
  #erasing(): string {
    const columns = this.#stream.columns || 80;
    const rows = this.#drawn.reduce(
      (sum, length) => sum + Math.ceil(Math.max(1, length) / columns),
      0,
    );
    return rows === 0 ? "" : `\u001b[${rows}A\r\u001b[J`;
  }
}

/** A line of the view: what it is about, what is said as far as there is room, and what came before it. */
interface Row {
  readonly name: string;
  readonly parts: readonly string[];
  readonly sparks?: readonly number[];
}

/** As many parts as fit, the first of them first, and the latest bars in the room that is left. */
function fitted(
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
  const room = width - text.length - 2;
  if (sparks.length === 0 || room < LEAST_SPARKS) return text;
  return `${text}  ${sparkline(sparks.slice(-room))}`;
}

function note(values: number[], value: number): void {
  values.push(value);
  if (values.length > SPARK_POINTS) values.shift();
}

/** Values as a row of bars, the largest of them the highest. */
export function sparkline(values: readonly number[]): string {
  const most = Math.max(...values, Number.MIN_VALUE);
  const last = SPARKS.length - 1;
  return values.map((value) => SPARKS[Math.round((value / most) * last)] ?? SPARKS[0]).join("");
}

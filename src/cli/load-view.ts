import { timeLeftText } from "../lab/progress.ts";
import type { LoadOptions, LoadRun, LoadSnapshot } from "../load/index.ts";
import { countText, errorsText, msText } from "./load-text.ts";
import { type Styler, stylerFor } from "./style.ts";

/** How often a terminal is drawn anew, and a line is written where it is none. */
const DRAW_MS = 250;
const LINE_MS = 1000;
/** Points of a sparkline: ten seconds. */
const SPARK_POINTS = 40;
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
  readonly columns?: number;
  write(text: string): unknown;
}

/** Shows a run on a terminal, or writes a line now and then elsewhere. */
export function openLoadView(
  options: LoadOptions,
  run: LoadRun,
  stream: ViewStream = process.stderr,
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
  const { p50, p99 } = recent.recentMs;
  const what = `${countText(counts.open)} open  ${countText(counts.messages)} answered  ${countText(recent.messagesPerSecond)}/s`;
  const wrong = Object.keys(errors).length === 0 ? "" : `  errors: ${errorsText(errors)}`;
  return `${(elapsedMs / 1000).toFixed(1)} s  ${phase}  ${what}  p50 ${msText(p50)} ms  p99 ${msText(p99)} ms${wrong}`;
}

class TerminalView implements LoadView {
  readonly #options: LoadOptions;
  readonly #run: LoadRun;
  readonly #stream: ViewStream;
  readonly #timer: NodeJS.Timeout;
  readonly #style: Styler;
  readonly #rates: number[] = [];
  readonly #latencies: number[] = [];
  #drawn = 0;
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
    const lines = this.#lines(snapshot).map(([name, text]) => {
      const plain = `  ${name.padEnd(11)} ${text}`.slice(0, width);
      return name === "errors" && text !== "none" ? this.#style("red", plain) : plain;
    });
    const title = this.#style("bold", this.#options.target.slice(0, width));
    // In one piece, so that nobody sees a view half drawn.
    this.#stream.write(`${this.#erasing()}${[title, ...lines].join("\n")}\n`);
    this.#drawn = lines.length + 1;
  }

  #lines(snapshot: LoadSnapshot): [name: string, text: string][] {
    const { counts, errors, messagesPerSecond, recentMs, phase } = snapshot;
    const { connections = 100 } = this.#options;
    const wrong = counts.corrupted + counts.reordered + counts.surplus;
    return [
      [this.#stopping ? "stopping" : phase, this.#progress(snapshot)],
      [
        "connections",
        `${countText(counts.open)} open of ${countText(connections)}, ${countText(counts.failed)} failed`,
      ],
      [
        "answered",
        `${countText(counts.messages)}, ${countText(messagesPerSecond)}/s  ${sparkline(this.#rates)}`,
      ],
      [
        "latency",
        `p50 ${msText(recentMs.p50)}  p99 ${msText(recentMs.p99)}  max ${msText(recentMs.max)} ms  ${sparkline(this.#latencies)}`,
      ],
      [
        "errors",
        wrong === 0 ? errorsText(errors) : `${countText(wrong)} wrong, ${errorsText(errors)}`,
      ],
    ];
  }

  #progress({ elapsedMs, counts, phase }: LoadSnapshot): string {
    if (this.#stopping) return "waits for the last answers; Ctrl-C ends at once";
    const { messages, connections = 100, durationMs = DEFAULT_DURATION_MS } = this.#options;
    let share = 0;
    if (phase === "connecting") share = (counts.opened + counts.failed) / connections;
    else if (messages !== undefined) share = counts.messages / messages;
    else share = elapsedMs / durationMs;
    const part = Math.min(1, share);
    const full = Math.round(part * BAR_WIDTH);
    const left = timeLeftText({ elapsedMs, share: part });
    return `${"#".repeat(full).padEnd(BAR_WIDTH, ".")} ${Math.floor(100 * part)} %  ${left}`;
  }

  #erasing(): string {
    return this.#drawn === 0 ? "" : `\u001b[${this.#drawn}A\r\u001b[J`;
  }
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

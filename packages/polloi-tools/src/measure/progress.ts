/** The progress of a run, and an estimate of the time left. */

/** No estimate before this time has passed. */
const FIRST_ESTIMATE_MS = 500;
/** The shortest interval between lines where a line cannot be overwritten. */
const LINE_EVERY_MS = 5000;
const BAR_WIDTH = 20;

/** The destination of progress lines, such as standard error. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

/** A progress line: overwritten on a terminal, printed every five seconds elsewhere. */
export class ProgressLine {
  readonly #stream: ProgressStream;
  readonly #now: () => number;
  readonly #begin: number;
  #lastLine: number;

  constructor(stream: ProgressStream, now: () => number = () => performance.now()) {
    this.#stream = stream;
    this.#now = now;
    this.#begin = now();
    this.#lastLine = this.#begin;
  }

  /** Shows that `done` of `steps` are finished, and the next step. */
  step(text: string, { done, steps }: { readonly done: number; readonly steps: number }): void {
    const now = this.#now();
    const left = timeLeftText({ elapsedMs: now - this.#begin, share: done / steps });
    const percent = `${String(Math.floor((done / steps) * 100)).padStart(3)} %`;
    if (this.#stream.isTTY === true) {
      const full = Math.round((done / steps) * BAR_WIDTH);
      const bar = "#".repeat(full).padEnd(BAR_WIDTH, ".");
      const line = `${bar} ${percent}  ${left.padEnd(20)}  ${text}`;
      this.#stream.write(`\r\u001b[K${line.slice(0, (this.#stream.columns ?? 80) - 1)}`);
    } else if (now - this.#lastLine >= LINE_EVERY_MS) {
      this.#lastLine = now;
      this.#stream.write(`${percent}  ${left === "" ? "" : `${left}  `}${text}\n`);
    }
  }

  /** Removes the line on a terminal. */
  end(): void {
    if (this.#stream.isTTY === true) this.#stream.write("\r\u001b[K");
  }
}

/** `about 12 s left`; empty until there is an estimate. */
export function timeLeftText({
  elapsedMs,
  share,
}: {
  readonly elapsedMs: number;
  readonly share: number;
}): string {
  if (elapsedMs < FIRST_ESTIMATE_MS || share <= 0) return "";
  const seconds = Math.ceil((elapsedMs * (1 - share)) / share / 1000);
  return seconds < 90 ? `about ${seconds} s left` : `about ${Math.round(seconds / 60)} min left`;
}

import { readFileSync } from "node:fs";
import type { EngineChoice } from "polloi";
import { isClean, type LoadOptions, type LoadReport, type LoadRun, load } from "../load/index.ts";
import { EXIT_FAILED, EXIT_OK, EXIT_USAGE } from "./exit-codes.ts";
import { engineFailureLine, failureLine, hintLine, isMisuse } from "./failure.ts";
import { loadText } from "./load-text.ts";
import { type LoadView, openLoadView } from "./load-view.ts";
import { complain, OutputError, print } from "./output.ts";
import { stylerFor } from "./style.ts";

/** The flags of `polloi load`. */
export interface LoadFlags {
  readonly connections?: number;
  readonly duration?: number;
  readonly messages?: number;
  readonly size?: number;
  readonly data?: string;
  readonly rate?: number;
  readonly ramp?: number;
  readonly parts?: number;
  readonly pipeline?: number;
  readonly think?: number;
  readonly from?: readonly string[];
  readonly timeout?: number;
  readonly engine: EngineChoice;
  readonly workers?: number | "auto";
  readonly quiet?: boolean;
  readonly json?: boolean;
}

/** A signal so soon after another is the same: npm passes on what the terminal has sent to both. */
const SAME_SIGNAL_MS = 250;

/** `polloi load`: asks a server, and reports. @returns The exit code. */
export async function runLoad(target: string, flags: LoadFlags): Promise<number> {
  let doing = `cannot read ${flags.data}`;
  try {
    const options = optionsFrom(target, flags);
    doing = `cannot load ${target}`;
    const run = load(options);
    const view =
      flags.quiet === true || flags.json === true ? undefined : openLoadView(options, run);
    const report = await watched(run, view);
    await tell(report, flags.json === true);
    return isClean(report) ? EXIT_OK : EXIT_FAILED;
  } catch (error) {
    if (error instanceof OutputError) throw error;
    if (isMisuse(error)) {
      complain(`polloi: ${withFlags(error.message)}\n`);
      return EXIT_USAGE;
    }
    const { syscall = "" } = error as { syscall?: string };
    const isEngine = /^(io_uring|epoll_create)/.test(syscall);
    complain(
      isEngine
        ? engineFailureLine(flags.engine, error)
        : failureLine(doing, error) + hintLine(error),
    );
    return EXIT_FAILED;
  }
}

/** Options of `load()` whose flags have other names. */
const FLAGS: Readonly<Record<string, string>> = {
  sizeBytes: "--size",
  durationMs: "--duration",
  thinkMs: "--think",
};

/** A message of the library in the words of the command line. */
function withFlags(message: string): string {
  return message.replace(/\b(?:sizeBytes|durationMs|thinkMs)\b/g, (name) => FLAGS[name] ?? name);
}

/** Waits for the end of a run, or for Ctrl-C, which is its end as well; twice, and at once. */
async function watched(run: LoadRun, view: LoadView | undefined): Promise<LoadReport> {
  let askedAt = Number.POSITIVE_INFINITY;
  const onSignal = (): void => {
    const now = performance.now();
    if (now - askedAt > SAME_SIGNAL_MS) run.abort();
    if (askedAt === Number.POSITIVE_INFINITY) view?.stopping();
    askedAt = Math.min(askedAt, now);
    run.stop();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  try {
    return await run.finished;
  } finally {
    view?.end();
  }
}

function optionsFrom(target: string, flags: LoadFlags): LoadOptions {
  return {
    target,
    connections: flags.connections,
    durationMs: flags.duration,
    messages: flags.messages,
    sizeBytes: flags.size,
    data: flags.data === undefined ? undefined : readFileSync(flags.data),
    rate: flags.rate,
    rampMs: flags.ramp,
    parts: flags.parts,
    pipeline: flags.pipeline,
    thinkMs: flags.think,
    from: flags.from,
    timeoutMs: flags.timeout,
    engine: flags.engine,
    workers: flags.workers,
  };
}

function tell(report: LoadReport, json: boolean): Promise<void> {
  const text = json ? JSON.stringify(report) : personText(report);
  return print(`${text}\n`);
}

function personText(report: LoadReport): string {
  const { isTTY, columns } = process.stdout;
  // A terminal that does not know its size has 0 columns.
  return loadText(report, stylerFor(process.stdout), isTTY && columns > 0 ? columns : undefined);
}

import { readFileSync } from "node:fs";
import type { EngineChoice } from "polloi";
import { isClean, type LoadOptions, type LoadReport, load } from "../load/index.ts";
import {
  EXIT_FAILED,
  EXIT_OK,
  EXIT_USAGE,
  engineErrorLine,
  errorLine,
  hintLine,
  isCertificateCode,
  isMisuse,
  misuseLine,
} from "./errors.ts";
import { reportText, showProgress, whyText } from "./load-output.ts";
import { complain, OutputError, print, stylerFor } from "./output.ts";
import { StopRequest } from "./signals.ts";

/** The flags of `polloi load`. Times are in milliseconds. */
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
  readonly insecure?: boolean;
  readonly engine: EngineChoice;
  readonly workers?: number | "auto";
  readonly quiet?: boolean;
  readonly json?: boolean;
}

/** `polloi load`: loads a server and prints the report. @returns The exit code. */
export async function runLoad(target: string, flags: LoadFlags): Promise<number> {
  let what = `cannot read ${flags.data}`;
  try {
    const options = optionsFrom(target, flags);
    what = `cannot load ${target}`;
    const report = await runUntilStopped(options, flags);
    if (report.opened === 0 && report.failed > 0 && flags.json !== true) {
      complain(
        `polloi: cannot connect to ${target}: ${whyText(report.errors)}${remedyFor(report)}\n`,
      );
      return EXIT_FAILED;
    }
    await printReport(report, flags.json === true);
    return isClean(report) ? EXIT_OK : EXIT_FAILED;
  } catch (error) {
    if (error instanceof OutputError) throw error;
    if (isMisuse(error)) {
      complain(misuseLine(error));
      return EXIT_USAGE;
    }
    const { syscall = "" } = error as { syscall?: string };
    const isEngine = /^(io_uring|epoll_create)/.test(syscall);
    complain(
      isEngine ? engineErrorLine(flags.engine, error) : errorLine(what, error) + hintLine(error),
    );
    return EXIT_FAILED;
  }
}

/** The remedy where the certificate of the server is not accepted. */
function remedyFor({ errors }: LoadReport): string {
  return Object.keys(errors).some(isCertificateCode) ? "; --insecure accepts any certificate" : "";
}

/** Runs a load. Ctrl-C ends it early, a second one at once; both return a report. */
async function runUntilStopped(
  options: LoadOptions,
  { quiet, json }: LoadFlags,
): Promise<LoadReport> {
  const run = load(options);
  const progress = quiet === true || json === true ? undefined : showProgress(options, run);
  const request = new StopRequest(() => run.abort());
  request.made.then(() => {
    progress?.stopping();
    run.stop();
  });
  try {
    return await run.finished;
  } finally {
    progress?.end();
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
    ...(flags.insecure ? { rejectUnauthorized: false } : {}),
    engine: flags.engine,
    workers: flags.workers,
  };
}

function printReport(report: LoadReport, json: boolean): Promise<void> {
  if (json) return print(`${JSON.stringify(report)}\n`);
  const { isTTY, columns } = process.stdout;
  // A terminal that does not know its width reports 0.
  const width = isTTY && columns > 0 ? columns : undefined;
  return print(`${reportText(report, stylerFor(process.stdout), width)}\n`);
}

import { openSync } from "node:fs";
import type { Kernel } from "polloi/internal";
import { Output } from "../trace/output.ts";
import { textOf } from "../trace/text.ts";
import { Tracer } from "../trace/tracer.ts";
import { errorLine } from "./errors.ts";
import { complain, stylerFor } from "./output.ts";

const STDOUT = 1;
const STDERR = 2;

/** The contents and the destination of a trace. */
export interface TraceFlags {
  /** A path, or `-` for standard output; standard error by default. */
  readonly output?: string | undefined;
  readonly connection?: readonly string[] | undefined;
  readonly calls?: RegExp | undefined;
  readonly turns?: number | undefined;
}

/** A trace in progress. */
export interface Tracing {
  /** The kernel for the reactor to be traced. */
  readonly kernel: Kernel;
  /** Resolves with a reason when the trace has reached its last turn. */
  readonly ended: Promise<string>;
  /** Ends the trace. */
  end(): void;
}

/**
 * Starts a trace.
 *
 * @throws Error of Node, with its `path`, when the file cannot be written.
 */
export function startTrace(kernel: Kernel, flags: TraceFlags, json: boolean): Tracing {
  const { output, connection, calls, turns } = flags;
  const fd = openOutput(output);
  let resolve: (reason: string) => void = () => {};
  const ended = new Promise<string>((settle) => {
    resolve = settle;
  });
  const style = stylerFor(streamFor(fd));
  const lines = new Output(kernel, fd, (error) => {
    tracer.drop();
    // Standard error cannot report that it has failed itself.
    if (fd !== STDERR) failed(error);
  });
  const tracer = new Tracer(kernel, {
    ...(connection === undefined ? {} : { connections: connection }),
    ...(calls === undefined ? {} : { calls }),
    ...(turns === undefined ? {} : { turns }),
    event: (event) => lines.put(json ? `${JSON.stringify(event)}\n` : textOf(event, style)),
    flush: () => lines.flush(),
    ended: resolve,
    failed,
  });
  return {
    kernel: tracer.kernel,
    ended,
    end() {
      tracer.drop();
      lines.close();
    },
  };
}

function failed(error: Error): void {
  complain(errorLine("the trace has ended", error));
}

function openOutput(output: string | undefined): number {
  if (output === undefined) return STDERR;
  return output === "-" ? STDOUT : openSync(output, "w");
}

function streamFor(fd: number): { readonly isTTY?: boolean } {
  if (fd === STDERR) return process.stderr;
  return fd === STDOUT ? process.stdout : {};
}

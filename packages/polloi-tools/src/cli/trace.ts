import { openSync } from "node:fs";
import type { Kernel } from "polloi/internal";
import { Output } from "../trace/output.ts";
import { textOf } from "../trace/text.ts";
import { Tracer } from "../trace/tracer.ts";
import { failureLine } from "./failure.ts";
import { complain } from "./output.ts";
import { stylerFor } from "./style.ts";
import type { TraceChoice } from "./trace-choice.ts";

const STDOUT = 1;
const STDERR = 2;

/** A trace that is under way. */
export interface Tracing {
  /** The kernel of whatever is to be traced. */
  readonly kernel: Kernel;
  /** Resolves with a reason when the trace has come to its end by itself. */
  readonly ended: Promise<string>;
  /** What happens from now on is of no interest. */
  end(): void;
}

/**
 * Starts a trace.
 *
 * @throws Error of Node's, with its `path`, when the file cannot be written.
 */
export function startTrace(kernel: Kernel, choice: TraceChoice, json: boolean): Tracing {
  const { output, connection, calls, turns } = choice;
  const fd = descriptorFor(output);
  let resolve: (reason: string) => void = () => {};
  const ended = new Promise<string>((settle) => {
    resolve = settle;
  });
  const style = stylerFor(streamOf(fd));
  const lines = new Output(kernel, fd, (error) => {
    tracer.drop();
    // To whoever still listens, if this was not written to the same place.
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
  complain(failureLine("the trace has ended", error));
}

function descriptorFor(output: string | undefined): number {
  if (output === undefined) return STDERR;
  return output === "-" ? STDOUT : openSync(output, "w");
}

function streamOf(fd: number): { readonly isTTY?: boolean } {
  if (fd === STDERR) return process.stderr;
  return fd === STDOUT ? process.stdout : {};
}

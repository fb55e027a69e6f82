/** Sentences about children, for warnings and for the command line. */
import type { UnexpectedExit } from "./supervisor.ts";

/** A child as reports name it: a worker by its index, another thread or a process by its id. */
export type NamedChild =
  | { readonly index: number }
  | { readonly kind: "process" | "thread"; readonly id: number };

/** A child that does not respond, or responds again. */
export type SilentChild = NamedChild & { readonly silentMs: number };

/** How a child exited, as far as a sentence names it. */
export interface ReportedExit {
  readonly restartInMs: UnexpectedExit["restartInMs"];
  readonly stuck?: boolean;
  readonly peer?: string | undefined;
}

function nameOf(child: NamedChild): string {
  if ("index" in child) return `worker ${child.index}`;
  return child.id < 0 ? `a ${child.kind}` : `${child.kind} ${child.id}`;
}

/** A sentence about an unexpected exit and its consequence, which the error may follow. */
export function exitText(
  child: NamedChild,
  { restartInMs, stuck = false, peer }: ReportedExit,
): string {
  const text = `${nameOf(child)} exited unexpectedly`;
  if (restartInMs === undefined) {
    return peer === undefined ? text : `${text} with the connection of ${peer}`;
  }
  if (restartInMs === null) return `${text} and is given up`;
  return `${text} and is replaced ${stuck ? "when its thread has ended" : `in ${restartInMs} ms`}`;
}

export function unresponsiveText(child: SilentChild): string {
  return `${nameOf(child)} has not responded for ${Math.round(child.silentMs)} ms`;
}

export function recoveredText(child: SilentChild): string {
  return `${nameOf(child)} responds again, after ${Math.round(child.silentMs)} ms`;
}

/**
 * Emits a warning of the process.
 *
 * @param error - An error of another thread or process: its stack is the detail of the warning, whose own stack does not
 * show where it was thrown.
 */
export function warn(text: string, error?: Error): void {
  const detail = error?.stack;
  process.emitWarning(text, {
    type: "PolloiWarning",
    ...(detail === undefined ? {} : { detail }),
  });
}

/** Warns of what {@link exitText} describes. */
export function warnOfExit(
  child: NamedChild,
  exit: ReportedExit & { readonly error: Error },
): void {
  warn(`${exitText(child, exit)}: ${exit.error.message}`, exit.error);
}

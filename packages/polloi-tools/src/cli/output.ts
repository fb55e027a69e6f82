/**
 * Standard output and standard error, and what becomes of a write to them that fails.
 *
 * @remarks
 * A command either prints a result, which it has failed to deliver when the write fails, or keeps a log,
 * without which it goes on. Messages on standard error have nowhere else to go.
 */
import { fstatSync, writeSync } from "node:fs";
import type { ProgressStream } from "../measure/progress.ts";
import { failureLine } from "./failure.ts";

const STDOUT = 1;

/** Standard output did not take what was written. */
export class OutputError extends Error {
  /** `EPIPE` when its reader is gone, `ENOSPC` when the disk is full. */
  readonly code: string;

  constructor(cause: unknown) {
    const { message, code } = cause as NodeJS.ErrnoException;
    super(message, { cause });
    this.code = code ?? "";
  }

  /** Whether whoever read the output has left, as `head` does: that needs no message. */
  get readerIsGone(): boolean {
    return this.code === "EPIPE";
  }

  /** The line that reports it. Not `line`, a property that JavaScriptCore gives every error. */
  get report(): string {
    return failureLine("cannot write to standard output", this);
  }
}

let handled = false;

/** Has each write report its own failure; without this, a failed write also ends the process with a stack trace. */
export function handleStreamErrors(): void {
  if (handled) return;
  handled = true;
  process.stdout.on("error", () => {});
  process.stderr.on("error", () => {});
}

let stdoutIsFile: boolean | undefined;

/** Whether standard output is a file or a device, and neither a terminal nor a pipe. */
function isFile(): boolean {
  if (stdoutIsFile === undefined) {
    try {
      const stats = fstatSync(STDOUT);
      stdoutIsFile = stats.isFile() || (stats.isCharacterDevice() && process.stdout.isTTY !== true);
    } catch {
      stdoutIsFile = false;
    }
  }
  return stdoutIsFile;
}

/**
 * Writes to standard output as much as it takes.
 *
 * @remarks
 * A file is written to here, since runtimes do not repeat a write that was cut short by a full disk: the
 * rest would be missing without an error.
 *
 * @param done - Called once, when all of it is written or the write has failed.
 * @returns Whether to go on writing; false until standard output emits `drain`.
 */
export function writeOut(
  data: string | Uint8Array,
  done: (error: OutputError | undefined) => void,
): boolean {
  try {
    if (!isFile()) {
      return process.stdout.write(data, (error) => {
        done(error ? new OutputError(error) : undefined);
      });
    }
    const bytes = typeof data === "string" ? Buffer.from(data) : data;
    for (let at = 0; at < bytes.length; ) at += writeSync(STDOUT, bytes, at);
  } catch (error) {
    done(new OutputError(error));
    return true;
  }
  done(undefined);
  return true;
}

/**
 * Prints the result of a command.
 *
 * @throws OutputError when standard output does not take it.
 */
export function print(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    writeOut(text, (error) => {
      if (error === undefined) resolve();
      else reject(error);
    });
  });
}

let hasLogFailed = false;

/** Prints a line of a log: the command goes on without it, and reports a full disk once. */
export function printLog(text: string): void {
  writeOut(text, (error) => {
    if (error === undefined || error.readerIsGone || hasLogFailed) return;
    hasLogFailed = true;
    complain(error.report);
  });
}

/** Prints a message on standard error. */
export function complain(text: string): void {
  handleStreamErrors();
  try {
    process.stderr.write(text);
  } catch {
    // Deno throws what the other runtimes emit.
  }
}

/** Standard error as a stream, for progress. */
export const progressStream: ProgressStream = {
  get isTTY(): boolean {
    return process.stderr.isTTY === true;
  },
  get columns(): number | undefined {
    return process.stderr.columns;
  },
  write: complain,
};

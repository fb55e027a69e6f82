/**
 * Standard output and standard error.
 *
 * @remarks
 * When a write to standard output fails, a command that prints a result fails too. A command that writes a log
 * continues without it. Failed writes to standard error are ignored.
 */
import { fstatSync, writeSync } from "node:fs";
import type { ProgressStream } from "../measure/progress.ts";
import { errorLine } from "./errors.ts";

const STDOUT = 1;

/** A write to standard output has failed. */
export class OutputError extends Error {
  /** `EPIPE` when its reader is gone, `ENOSPC` when the disk is full. */
  readonly code: string;

  constructor(cause: unknown) {
    const { message, code } = cause as NodeJS.ErrnoException;
    super(message, { cause });
    this.code = code ?? "";
  }

  /** Whether the reader of the output has left, as `head` does. That needs no message. */
  get readerIsGone(): boolean {
    return this.code === "EPIPE";
  }

  /** The line that reports it. Not `line`, a property that JavaScriptCore gives every error. */
  get report(): string {
    return errorLine("cannot write to standard output", this);
  }
}

let handled = false;

/** Prevents a failed write from ending the process with a stack trace. Each write reports its own failure. */
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
 * Writes to standard output.
 *
 * @remarks
 * Files are written here and not by the runtime. Runtimes do not repeat a write that a full disk has cut short, so the
 * rest would be missing without an error.
 *
 * @param done - Called once, when everything is written or the write has failed.
 * @returns Whether to continue writing. When false, wait until standard output emits `drain`.
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
 * @throws OutputError when the write fails.
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

/** Prints a line of a log. The command continues when this fails, and reports it once. */
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
    // Deno throws the error that the other runtimes emit.
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

/** Styles, with their parameters of SGR (ECMA-48). */
const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

export type Style = keyof typeof CODES;

/** Applies a style to a text. */
export type Styler = (style: Style, text: string) => string;

/**
 * The styler for a stream. It leaves text plain when the stream is no terminal, or when NO_COLOR is set.
 *
 * @remarks
 * `util.styleText` exists from Node 20.12 on only.
 */
export function stylerFor(stream: { readonly isTTY?: boolean }): Styler {
  const { NO_COLOR, TERM } = process.env;
  if (stream.isTTY !== true || (NO_COLOR ?? "") !== "" || TERM === "dumb") return (_, text) => text;
  return (style, text) => `\u001b[${CODES[style]}m${text}\u001b[0m`;
}

/** Maximum number of characters of a message in one line. */
const MAX_SHOWN = 60;
/** Maximum length of a character in UTF-8. It limits how much of a long message is decoded. */
const MAX_CHARACTER_BYTES = 4;

const decoder = new TextDecoder();

/** Control characters, including C1, and directional marks, which could change what a terminal shows. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu;

/** Received bytes as one quoted line of text without control characters. */
export function printable(bytes: Uint8Array): string {
  const start = decoder.decode(bytes.subarray(0, MAX_SHOWN * MAX_CHARACTER_BYTES));
  const characters = [...start];
  const cut = characters.length > MAX_SHOWN || bytes.length > MAX_SHOWN * MAX_CHARACTER_BYTES;
  const text = JSON.stringify(characters.slice(0, MAX_SHOWN).join("")).replace(
    UNPRINTABLE,
    (character) => `\\u{${(character.codePointAt(0) as number).toString(16)}}`,
  );
  return cut ? `${text} ...` : text;
}

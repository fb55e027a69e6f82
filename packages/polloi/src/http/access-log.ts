import process from "node:process";
import type { NamesOf } from "../base/argument.ts";
import { filenoOf } from "../base/descriptor.ts";
import { show, typeError } from "../base/misuse.ts";
import type { SysError } from "../base/sys-error.ts";
import type { Kernel, RealtimeClock } from "../sys/kernel.ts";
import { kernelOf, type WithKernel } from "../sys/open.ts";
import { LogFile } from "./log-file.ts";
import type { HttpRequest } from "./request.ts";

/** A request that has ended, answered or not. */
export interface AccessEntry {
  /** The request; `null` if it was refused or its client left before the head was complete. */
  readonly request: HttpRequest | null;
  /** The method; `undefined` if it had not arrived. */
  readonly method: string | undefined;
  /** The request target; `undefined` if it had not arrived. */
  readonly target: string | undefined;
  /** The minor version of HTTP/1; `undefined` if it had not arrived. */
  readonly version: 0 | 1 | undefined;
  /** The client's address; `-` on a unix socket. */
  readonly remoteAddress: string;
  /** The status of the reply; 499 if the client left before it. */
  readonly status: number;
  /** The number of body bytes sent, without chunk sizes. */
  readonly bytes: number;
  /**
   * Milliseconds from the end of the head to the end of the reply. If the head was not complete, from the first byte.
   */
  readonly durationMs: number;
}

/** Receives an entry for every request: see `log` of {@link HttpOptions}. */
export interface AccessSink {
  /** @param entry - Valid until this returns. */
  write(entry: AccessEntry): void;
}

/**
 * The format of a line.
 *
 * - `common`: the Common Log Format of NCSA httpd: host, two dashes, time, request line, status, bytes.
 * - `combined`: the same with the Referer and User-Agent headers, as of Apache and nginx.
 * - `json`: one object per line, with the duration.
 */
export type AccessFormat = "common" | "combined" | "json";

/** Options of an {@link AccessLog}. */
export interface AccessLogOptions extends WithKernel {
  /** The path of a file, which is created if needed and appended to; or a descriptor. Default 1, stdout. */
  readonly to?: string | number;
  /** The format of the lines. Default `combined`. */
  readonly format?: AccessFormat;
}

const ACCESS_LOG_OPTIONS: NamesOf<AccessLogOptions> = { to: true, format: true, kernel: true };

/**
 * Writes a line for each request.
 *
 * @remarks
 * Lines are collected, and written every half second, when there are 8 KiB of them, and when the process exits. A pipe
 * with a slow reader does not slow the server down: up to 16 MiB of lines are kept for it. Data from the client is
 * escaped, so that it cannot break a line. A worker thread that is ended by its process loses the lines that it has
 * collected: stop the pool first.
 *
 * @example
 * ```ts
 * const log = new AccessLog({ to: "access.log" });
 * process.on("SIGHUP", () => log.reopen());
 * serve({ port: 8080, handler: (_, reply) => reply.send("hello\n"), log });
 * ```
 */
export class AccessLog implements AccessSink {
  readonly #kernel: Kernel;
  readonly #to: string | number;
  readonly #format: Format;
  #file: LogFile;
  #lostBefore = 0;
  #hasFailed = false;

  /**
   * @throws TypeError `ERR_INVALID_OPTION`; TypeError or RangeError `ERR_INVALID_FD`; SysError `ENXIO` for a FIFO that
   * no process reads; any other error of opening the file.
   */
  constructor(options: AccessLogOptions = {}) {
    this.#kernel = kernelOf(options, "new AccessLog()", ACCESS_LOG_OPTIONS);
    const { to = 1, format = "combined" } = options;
    checkDestination(to);
    const line = typeof format === "string" ? FORMATS[format] : undefined;
    if (line === undefined) {
      throw typeError(
        "ERR_INVALID_OPTION",
        `Cannot log as ${show(format)}: give "common", "combined" or "json"`,
      );
    }
    this.#format = line;
    this.#to = to;
    this.#file = this.#open();
  }

  /** The number of lines that were lost because the file could not be written. */
  get lost(): number {
    return this.#lostBefore + this.#file.lost;
  }

  /** Adds a line. @throws TypeError `ERR_INVALID_DATA` unless it is an entry. */
  write(entry: AccessEntry): void {
    if (typeof entry !== "object" || entry === null || entry.request === undefined) {
      throw typeError("ERR_INVALID_DATA", `Cannot log ${show(entry)}: give an AccessEntry`);
    }
    this.#file.write(this.#format(entry, this.#kernel));
  }

  /**
   * Opens the file again after it was renamed: for SIGHUP and logrotate.
   *
   * @throws the error of opening the file. Then the log continues writing to the file that it has.
   */
  reopen(): void {
    if (typeof this.#to === "number") return;
    const before = this.#file;
    this.#file = this.#open();
    void before.close().then(() => {
      this.#lostBefore += before.lost;
    });
  }

  /** Writes the collected lines and closes the file. Resolves even if they cannot be written: see {@link lost}. */
  close(): Promise<void> {
    return this.#file.close();
  }

  #open(): LogFile {
    return new LogFile(this.#kernel, this.#to, (error) => this.#failed(error));
  }

  /** The log cannot be written, for example because the disk is full. Reported once; the server continues. */
  #failed({ message, hint }: SysError): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    const why = hint === undefined ? message : `${message}: ${hint}`;
    process.emitWarning(`The access log cannot be written: ${why}`);
  }
}

/** @throws TypeError `ERR_INVALID_OPTION`, TypeError or RangeError `ERR_INVALID_FD` */
function checkDestination(to: unknown): void {
  if (typeof to === "number") filenoOf(to);
  else if (typeof to !== "string" || to === "" || to.includes("\0")) {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot log to ${show(to)}: give the path of a file, or a descriptor`,
    );
  }
}

/** Makes a line of an entry. */
type Format = (entry: AccessEntry, clock: RealtimeClock) => string;

const FORMATS: Readonly<Record<AccessFormat, Format>> = {
  common: (entry, clock) => `${commonOf(entry, clock)}\n`,
  combined: (entry, clock) => {
    const { request } = entry;
    const referrer = escaped(request?.header("referer") ?? "-");
    return `${commonOf(entry, clock)} "${referrer}" "${escaped(request?.header("user-agent") ?? "-")}"\n`;
  },
  json: (entry, clock) => {
    const { request, method, target, version, remoteAddress, status, bytes, durationMs } = entry;
    const time = new Date(clock.realtime()).toISOString();
    const line = { method, target };
    const duration = Math.round(durationMs * 1000) / 1000;
    const more = {
      version: version === undefined ? undefined : `1.${version}`,
      host: request?.host,
      referrer: request?.header("referer"),
      userAgent: request?.header("user-agent"),
    };
    const all = { time, remoteAddress, ...line, status, bytes, durationMs: duration, ...more };
    return `${JSON.stringify(all).replace(UNSAFE_IN_JSON, escapedUnit)}\n`;
  },
};

function commonOf(entry: AccessEntry, clock: RealtimeClock): string {
  const { method, target, version, remoteAddress, status, bytes } = entry;
  let line = method === undefined ? "-" : escaped(method);
  if (target !== undefined) line += ` ${escaped(target)}`;
  if (version !== undefined) line += ` HTTP/1.${version}`;
  return `${remoteAddress} - - ${timeField(clock)} "${line}" ${status} ${bytes === 0 ? "-" : bytes}`;
}

let second = Number.NaN;
let field = "";

/** The current time in the Common Log Format. */
function timeField(clock: RealtimeClock): string {
  const now = Math.floor(clock.realtime() / 1000);
  if (now !== second) {
    second = now;
    // Sat, 21 Nov 2026 18:56:33 GMT
    const [, day, month, year, time] = new Date(now * 1000).toUTCString().split(" ");
    field = `[${day}/${month}/${year}:${time} +0000]`;
  }
  return field;
}

const UNSAFE = /["\\]|[^ -~]/g;
/** Characters that JSON allows in a string, and that terminals or line readers interpret: DEL, C1 controls, separators. */
const UNSAFE_IN_JSON = /[\x7f-\x9f\u2028\u2029]/g;

/** Escapes quotes, line ends and control characters as `\xHH`, or as `\uHHHH` beyond ISO 8859-1. */
function escaped(text: string): string {
  if (text.search(UNSAFE) < 0) return text;
  return text.replace(UNSAFE, (mark) => {
    const code = mark.charCodeAt(0);
    return code > 0xff ? escapedUnit(mark) : `\\x${code.toString(16).padStart(2, "0")}`;
  });
}

function escapedUnit(mark: string): string {
  return `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

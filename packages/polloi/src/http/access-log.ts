import process from "node:process";
import { type NamesOf, optionsOf } from "../base/argument.ts";
import { filenoOf } from "../base/descriptor.ts";
import { show, typeError } from "../base/misuse.ts";
import type { SysError } from "../base/sys-error.ts";
import { LogFile } from "./log-file.ts";
import type { HttpRequest } from "./request.ts";

/** One request that has come to its end, answered or not. */
export interface AccessEntry {
  /** `null` when it was refused, or its client left, before its head was complete. */
  readonly request: HttpRequest | null;
  /** What is known of the request line, also of a request that was refused; `undefined` for what is not. */
  readonly method: string | undefined;
  readonly target: string | undefined;
  /** The minor version of HTTP/1. */
  readonly version: 0 | 1 | undefined;
  /** The peer's address; `-` on a unix socket. */
  readonly remoteAddress: string;
  /** What was answered; 499 when the client left before it was. */
  readonly status: number;
  /** How many bytes of a body were sent, without chunk sizes. */
  readonly bytes: number;
  /**
   * From the end of its head to the end of its reply, in milliseconds. Of a request whose head was never complete, from
   * the first of it.
   */
  readonly durationMs: number;
}

/** Who is told of every request. */
export interface AccessSink {
  /** @param entry - Good until this returns. */
  write(entry: AccessEntry): void;
}

/**
 * How a line looks.
 *
 * - `common`: the Common Log Format of NCSA's server: host, two dashes, time, request line, status, bytes.
 * - `combined`: that, and the Referer and User-Agent headers, as Apache and nginx have it.
 * - `json`: an object a line, with the duration.
 */
export type AccessFormat = "common" | "combined" | "json";

/** What an {@link AccessLog} writes, and where to. */
export interface AccessLogOptions {
  /** A file, which is appended to and made when it is not there; or a descriptor. Default 1, stdout. */
  readonly to?: string | number;
  /** Default `combined`. */
  readonly format?: AccessFormat;
}

const ACCESS_LOG_OPTIONS: NamesOf<AccessLogOptions> = { to: true, format: true };

/**
 * Writes a line for each request.
 *
 * @remarks
 * Lines are gathered, and written every half a second, when there are 8 KiB of them, and when the process exits. A
 * pipe whose reader is slow does not slow the server down: up to 16 MiB of lines are kept for it. What came from the
 * client is escaped, so that a line stays a line. A worker thread that is ended by its process loses what it has
 * gathered: stop the pool first.
 *
 * @example
 * ```ts
 * const log = new AccessLog({ to: "access.log" });
 * process.on("SIGHUP", () => log.reopen());
 * serve({ port: 8080, handler: (_, reply) => reply.send("hello\n"), log });
 * ```
 */
export class AccessLog implements AccessSink {
  readonly #to: string | number;
  readonly #format: (entry: AccessEntry) => string;
  #file: LogFile;
  #lostBefore = 0;
  #hasFailed = false;

  /**
   * @throws TypeError `ERR_INVALID_OPTION`, TypeError or RangeError `ERR_INVALID_FD`; SysError `ENXIO` for a FIFO
   * that no process reads; what opening the file fails with.
   */
  constructor(options: AccessLogOptions = {}) {
    const { to = 1, format = "combined" } = optionsOf(
      options,
      "new AccessLog()",
      ACCESS_LOG_OPTIONS,
    );
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

  /** How many lines were lost, because the file could not be written, or took nothing for too long. */
  get lost(): number {
    return this.#lostBefore + this.#file.lost;
  }

  /** @throws TypeError `ERR_INVALID_DATA` for what is no entry. */
  write(entry: AccessEntry): void {
    if (typeof entry !== "object" || entry === null || entry.request === undefined) {
      throw typeError("ERR_INVALID_DATA", `Cannot log ${show(entry)}: give an AccessEntry`);
    }
    this.#file.write(this.#format(entry));
  }

  /**
   * Opens the file anew, after it was moved away: for SIGHUP, and logrotate.
   *
   * @throws What opening it fails with; then the lines go where they went.
   */
  reopen(): void {
    if (typeof this.#to === "number") return;
    const before = this.#file;
    this.#file = this.#open();
    void before.close().then(() => {
      this.#lostBefore += before.lost;
    });
  }

  /** Writes what was gathered, and closes the file. Resolves also when it cannot be written: see {@link lost}. */
  close(): Promise<void> {
    return this.#file.close();
  }

  #open(): LogFile {
    return new LogFile(this.#to, (error) => this.#failed(error));
  }

  /** A full disk is no reason to stop serving. Reported once. */
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

const FORMATS: Readonly<Record<AccessFormat, (entry: AccessEntry) => string>> = {
  common: (entry) => `${commonOf(entry)}\n`,
  combined: (entry) => {
    const { request } = entry;
    const referrer = escaped(request?.header("referer") ?? "-");
    return `${commonOf(entry)} "${referrer}" "${escaped(request?.header("user-agent") ?? "-")}"\n`;
  },
  json: ({ request, method, target, version, remoteAddress, status, bytes, durationMs }) => {
    const time = new Date().toISOString();
    const line = { method, target };
    const duration = Math.round(durationMs * 1000) / 1000;
    const more = {
      version: version === undefined ? undefined : `1.${version}`,
      host: request?.host,
      referrer: request?.header("referer"),
      userAgent: request?.header("user-agent"),
    };
    const entry = { time, remoteAddress, ...line, status, bytes, durationMs: duration, ...more };
    return `${JSON.stringify(entry).replace(UNSAFE_IN_JSON, escapedUnit)}\n`;
  },
};

function commonOf({ method, target, version, remoteAddress, status, bytes }: AccessEntry): string {
  let line = method === undefined ? "-" : escaped(method);
  if (target !== undefined) line += ` ${escaped(target)}`;
  if (version !== undefined) line += ` HTTP/1.${version}`;
  return `${remoteAddress} - - ${timeField()} "${line}" ${status} ${bytes === 0 ? "-" : bytes}`;
}

let second = Number.NaN;
let field = "";

/** The time as the Common Log Format has it, of this second. */
function timeField(): string {
  const now = Math.floor(Date.now() / 1000);
  if (now !== second) {
    second = now;
    // Sat, 21 Nov 2026 18:56:33 GMT
    const [, day, month, year, time] = new Date(now * 1000).toUTCString().split(" ");
    field = `[${day}/${month}/${year}:${time} +0000]`;
  }
  return field;
}

const UNSAFE = /["\\]|[^ -~]/g;
/** What JSON may have in a string, and a terminal or a reader of lines may take for more: DEL, C1 controls, line ends. */
const UNSAFE_IN_JSON = /[\x7f-\x9f\u2028\u2029]/g;

/** What would end the quotes or the line, or control a terminal, as `\xHH`, or as `\uHHHH` beyond ISO 8859-1. */
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

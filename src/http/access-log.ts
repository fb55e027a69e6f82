import { openSync } from "node:fs";
import process from "node:process";
import sonicBoom, { type SonicBoom } from "sonic-boom";
import { show, typeError } from "../base/misuse.ts";
import type { HttpRequest } from "./request.ts";

/** One request that has come to its end, answered or not. */
export interface AccessEntry {
  /** `null` when what came was no request. */
  readonly request: HttpRequest | null;
  /** The peer's address; `-` on a unix socket. */
  readonly remoteAddress: string;
  /** What was answered; 499 when the client left before it was. */
  readonly status: number;
  /** How many bytes of a body were sent, without chunk sizes. */
  readonly bytes: number;
  /** From the end of its head to the end of its reply, in milliseconds. */
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

/** Lines are kept until there are so many bytes of them, or so many milliseconds have passed. */
const BUFFER_BYTES = 8192;
const FLUSH_MS = 500;
/** More than this is not kept for a file that takes nothing: lines are lost, and counted. */
const MAX_BUFFER_BYTES = 16 * 1024 * 1024;

/**
 * Writes a line for each request.
 *
 * @remarks
 * Lines are gathered, and written beside the serving of requests, by sonic-boom, which is what pino writes
 * with. What came from the client is escaped, so that a line stays a line.
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
  #file: SonicBoom;
  #lost = 0;
  #hasFailed = false;

  /** @throws TypeError `ERR_INVALID_OPTION`; what opening the file fails with. */
  constructor({ to = 1, format = "combined" }: AccessLogOptions = {}) {
    const line = FORMATS[format];
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

  /** How many lines were lost, because the file took nothing for too long. */
  get lost(): number {
    return this.#lost;
  }

  write(entry: AccessEntry): void {
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
    before.end();
  }

  /** Writes what was gathered, and closes the file. */
  close(): Promise<void> {
    const file = this.#file;
    return new Promise((resolve) => {
      file.once("close", () => resolve());
      file.end();
    });
  }

  /** Opened here, so that a path that cannot be is an error of the one who gave it. */
  #open(): SonicBoom {
    const file = new sonicBoom.SonicBoom({
      fd: typeof this.#to === "number" ? this.#to : openSync(this.#to, "a"),
      sync: false,
      minLength: BUFFER_BYTES,
      maxLength: MAX_BUFFER_BYTES,
      periodicFlush: FLUSH_MS,
    });
    file.on("drop", () => this.#lost++);
    file.on("error", (error: Error) => this.#failed(error));
    return file;
  }

  /** A full disk is no reason to stop serving. Told of once. */
  #failed(error: Error): void {
    if (!this.#hasFailed) process.emitWarning(`The access log cannot be written: ${error.message}`);
    this.#hasFailed = true;
  }
}

const FORMATS: Readonly<Record<AccessFormat, (entry: AccessEntry) => string>> = {
  common: (entry) => `${commonOf(entry)}\n`,
  combined: (entry) => {
    const { request } = entry;
    const referrer = escaped(request?.header("referer") ?? "-");
    return `${commonOf(entry)} "${referrer}" "${escaped(request?.header("user-agent") ?? "-")}"\n`;
  },
  json: ({ request, remoteAddress, status, bytes, durationMs }) => {
    const time = new Date().toISOString();
    const line = request === null ? {} : { method: request.method, target: request.target };
    const duration = Math.round(durationMs * 1000) / 1000;
    const more = {
      version: request === null ? undefined : `1.${request.version}`,
      host: request?.host,
      referrer: request?.header("referer"),
      userAgent: request?.header("user-agent"),
    };
    const entry = { time, remoteAddress, ...line, status, bytes, durationMs: duration, ...more };
    return `${JSON.stringify(entry)}\n`;
  },
};

function commonOf({ request, remoteAddress, status, bytes }: AccessEntry): string {
  const line =
    request === null
      ? "-"
      : `${request.method} ${escaped(request.target)} HTTP/1.${request.version}`;
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

/** What would end the quotes, the line, or a terminal's patience, as `\xHH`. */
function escaped(text: string): string {
  if (text.search(UNSAFE) < 0) return text;
  return text.replace(UNSAFE, (mark) => `\\x${mark.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

import type { Kernel } from "../../sys/kernel.ts";
import { type Answer, type FileBytes, type FileRequest, refusal } from "./answer.ts";
import { acceptedCodings, type Coding, SUFFIXES } from "./codings.ts";
import { FileHeadersCache } from "./file-headers.ts";
import { type FailedCall, type FileStat, isFailed, statFile } from "./file-stat.ts";
import { type ByteRange, contentRange, multipartOf, readRanges } from "./ranges.ts";
import { evaluatePreconditions, rangeHolds } from "./validators.ts";

/** An open file. */
export interface OpenFile {
  readonly fd: number;
  readonly stat: FileStat;
  readonly coding: Coding;
}

/** Opens a file by its name. The caller must close the descriptor. */
export type OpenByName = (name: string) => number | FailedCall;

/** Options of files that are served. */
export interface FileOptions {
  /** Whether `app.js.br` or `app.js.gz` is sent instead of `app.js` to clients that accept it. Default true. */
  readonly precompressed: boolean;
  /**
   * How long a client may use a file without asking whether it has changed, in milliseconds from 0 to a year. Sent as
   * Cache-Control in whole seconds. Default: no Cache-Control is sent.
   */
  readonly maxAgeMs: number | undefined;
}

/** Answers requests for files that were found: selects a coding, and evaluates preconditions and ranges. */
export class FileResponder {
  readonly #kernel: Kernel;
  readonly #open: OpenByName;
  readonly #precompressed: boolean;
  readonly #headersCache: FileHeadersCache;

  constructor(kernel: Kernel, { precompressed, maxAgeMs }: FileOptions, open: OpenByName) {
    this.#kernel = kernel;
    this.#open = open;
    this.#precompressed = precompressed;
    const cacheControl =
      maxAgeMs === undefined ? undefined : `max-age=${Math.floor(maxAgeMs / 1000)}`;
    this.#headersCache = new FileHeadersCache(kernel, precompressed, cacheControl);
  }

  /** Opens a file in a coding. */
  open(name: string, coding: Coding = "identity"): OpenFile | FailedCall {
    const fd = this.#open(name + SUFFIXES[coding]);
    if (typeof fd !== "number") return fd;
    const stat = statFile(this.#kernel, fd);
    if (!isFailed(stat)) return { fd, stat, coding };
    this.#kernel.libc.close(fd);
    return stat;
  }

  /**
   * Answers with a file, or with its precompressed sibling.
   *
   * @param plain - The open file. It is closed unless it is the one that is sent.
   */
  answer(request: FileRequest, name: string, plain: OpenFile): Answer {
    const { libc } = this.#kernel;
    const file = this.#precompressed ? this.#negotiated(plain, name, request) : plain;
    if (file !== plain) libc.close(plain.fd);
    if (file === undefined) return refusal(406, "Vary: Accept-Encoding\r\n");
    let answer: Answer | undefined;
    try {
      answer = this.#represent(file, name, request);
    } finally {
      if (typeof answer?.body !== "object" || answer.body === null) libc.close(file.fd);
    }
    return answer;
  }

  /** The file in the best coding that exists and that the client accepts. */
  #negotiated(plain: OpenFile, name: string, request: FileRequest): OpenFile | undefined {
    for (const coding of acceptedCodings(request.header("accept-encoding"))) {
      if (coding === "identity") return plain;
      const file = this.open(name, coding);
      if ("syscall" in file) continue;
      if (file.stat.kind === "file") return file;
      this.#kernel.libc.close(file.fd);
    }
    return undefined;
  }

  #represent({ fd, stat, coding }: OpenFile, name: string, request: FileRequest): Answer {
    const { size } = stat;
    const headers = this.#headersCache.get(name, coding, stat);
    const { validators, type, cacheLines, lines, hasDate } = headers;
    const nowMs = this.#kernel.realtime();
    const precondition = evaluatePreconditions(request, validators, nowMs);
    if (precondition === "failed") {
      return refusal(412, this.#precompressed ? "Vary: Accept-Encoding\r\n" : "");
    }
    if (precondition === "not modified") {
      return { status: 304, lines: cacheLines, hasDate, body: null };
    }
    const field = request.method === "GET" ? request.header("range") : undefined;
    const isRanged = field !== undefined && rangeHolds(request, validators, nowMs);
    const ranges = isRanged ? readRanges(field, size) : undefined;
    const bytes = (pieces: FileBytes["pieces"], length: number): FileBytes => {
      return { fd, stat, name: name + SUFFIXES[coding], pieces, length };
    };
    if (ranges === undefined) {
      const body = bytes([{ offset: 0, length: size }], size);
      return { status: 200, lines, hasDate, body };
    }
    if (ranges.length === 0) {
      const unsatisfied = `${cacheLines}Accept-Ranges: bytes\r\nContent-Range: bytes */${size}\r\n`;
      return { ...refusal(416, unsatisfied), hasDate };
    }
    if (ranges.length > 1) {
      const { contentType, pieces, length } = multipartOf({
        kernel: this.#kernel,
        size,
        type,
        ranges,
      });
      const encoding = coding === "identity" ? "" : `Content-Encoding: ${coding}\r\n`;
      const all = `${cacheLines}Accept-Ranges: bytes\r\n${encoding}Content-Type: ${contentType}\r\n`;
      return { status: 206, lines: all, hasDate, body: bytes(pieces, length) };
    }
    const { offset, length } = ranges[0] as ByteRange;
    const part = `${lines}Content-Range: ${contentRange(offset, length, size)}\r\n`;
    return { status: 206, lines: part, hasDate, body: bytes(ranges, length) };
  }
}

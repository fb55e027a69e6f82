import { ERRNO } from "../../base/errno.ts";
import { typeError } from "../../base/misuse.ts";
import { SysError } from "../../base/sys-error.ts";
import type { Kernel } from "../../sys/kernel.ts";
import type { ReplyWriter } from "../reply.ts";
import type { HttpRequest } from "../request.ts";
import { reasonOf } from "../status.ts";
import { acceptedCodings, type Coding, SUFFIXES } from "./codings.ts";
import { Directory } from "./directory.ts";
import { FileHeadersCache } from "./file-headers.ts";
import { type FailedCall, type FileStat, isFailed, statFile } from "./file-stat.ts";
import { listingOf } from "./listing.ts";
import { contentRange, readRanges, sendMultipart } from "./ranges.ts";
import { encodePath, sitePath } from "./site-path.ts";
import { evaluatePreconditions, rangeHolds } from "./validators.ts";

/** Options of a directory that is served. */
export interface SiteOptions {
  /** Whether a directory without `index.html` is answered with a list of its files. Default false. */
  readonly listing: boolean;
  /** Whether names that begin with a dot are served. `.well-known` always is. Default false. */
  readonly dotfiles: boolean;
  /** Whether `app.js.br` or `app.js.gz` is sent instead of `app.js` to clients that accept it. Default true. */
  readonly precompressed: boolean;
  /**
   * How long a client may use a file without asking whether it has changed, in milliseconds from 0 to a year. Sent as
   * Cache-Control in whole seconds. Default: no Cache-Control is sent.
   */
  readonly maxAgeMs: number | undefined;
}

/** An open file. */
interface OpenFile {
  readonly fd: number;
  readonly stat: FileStat;
  readonly coding: Coding;
}

const INDEX = "index.html";
const METHODS = "GET, HEAD, OPTIONS";

const { EACCES, EAGAIN, EMFILE, ENFILE, ENOMEM, EPERM } = ERRNO;
/** Errors of a path that does not exist, is of another kind, or leads out of the directory. */
const ABSENT: ReadonlySet<number> = new Set(
  (
    ["ENOENT", "ENOTDIR", "EXDEV", "ELOOP", "ENAMETOOLONG", "ENXIO", "ENODEV", "EINVAL"] as const
  ).map((code) => -ERRNO[code]),
);

/** Serves the files of a directory as resources of HTTP. */
export class Site {
  readonly directory: Directory;
  readonly #options: SiteOptions;
  readonly #kernel: Kernel;
  readonly #headersCache: FileHeadersCache;

  /** @throws as {@link Directory} does. */
  constructor(path: string, options: SiteOptions, kernel: Kernel) {
    this.directory = new Directory(path, kernel);
    this.#options = options;
    this.#kernel = kernel;
    const { maxAgeMs, precompressed } = options;
    const cacheControl =
      maxAgeMs === undefined ? undefined : `max-age=${Math.floor(maxAgeMs / 1000)}`;
    this.#headersCache = new FileHeadersCache(kernel, precompressed, cacheControl);
  }

  /** Answers a request. @throws SysError an unexpected error of the file system, such as `EIO`. */
  answer(request: HttpRequest, reply: ReplyWriter): void {
    if (this.directory.fileno() < 0) {
      throw typeError("ERR_CLOSED", "Cannot serve files: the handler is closed");
    }
    const { method } = request;
    if (method !== "GET" && method !== "HEAD") {
      reply.header("Allow", METHODS);
      if (method === "OPTIONS") reply.status(204).send();
      else refuse(reply, 405);
      return;
    }
    const path = sitePath(request.path, this.#options.dotfiles);
    if (typeof path === "number") {
      refuse(reply, path);
      return;
    }
    const isFolder = path === "" || path.endsWith("/");
    const opened = this.#open(isFolder ? path + INDEX : path, "identity");
    if ("syscall" in opened) {
      const absent = isFolder && ABSENT.has(opened.errno);
      if (absent && this.#options.listing) this.#list(path, reply);
      else refuseFailed(reply, opened);
      return;
    }
    const { fd, stat } = opened;
    if (stat.kind === "file") {
      this.#answerWith(opened, isFolder ? path + INDEX : path, request, reply);
      return;
    }
    this.#kernel.libc.close(fd);
    if (stat.kind === "directory" && !isFolder) redirect(path, request, reply);
    else refuse(reply, 404);
  }

  #open(path: string, coding: Coding): OpenFile | FailedCall {
    const fd = this.directory.open(path + SUFFIXES[coding]);
    if (typeof fd !== "number") return fd;
    const stat = statFile(this.#kernel, fd);
    if (!isFailed(stat)) return { fd, stat, coding };
    this.#kernel.libc.close(fd);
    return stat;
  }

  #answerWith(plain: OpenFile, path: string, request: HttpRequest, reply: ReplyWriter): void {
    const { libc } = this.#kernel;
    const { precompressed } = this.#options;
    const file = precompressed ? this.#negotiated(plain, path, request) : plain;
    if (file !== plain) libc.close(plain.fd);
    if (file === undefined) {
      reply.header("Vary", "Accept-Encoding");
      refuse(reply, 406);
      return;
    }
    let held = true;
    try {
      held = !this.#send(file, path, request, reply);
    } finally {
      if (held) libc.close(file.fd);
    }
  }

  /** The file in the best coding that exists and that the client accepts. */
  #negotiated(plain: OpenFile, path: string, request: HttpRequest): OpenFile | undefined {
    for (const coding of acceptedCodings(request.header("accept-encoding"))) {
      if (coding === "identity") return plain;
      const file = this.#open(path, coding);
      if ("syscall" in file) continue;
      if (file.stat.kind === "file") return file;
      this.#kernel.libc.close(file.fd);
    }
    return undefined;
  }

  /** @returns Whether the file is being sent, after which its descriptor is closed. */
  #send(file: OpenFile, path: string, request: HttpRequest, reply: ReplyWriter): boolean {
    const { fd, stat, coding } = file;
    const { size } = stat;
    const headers = this.#headersCache.get(path, coding, stat);
    const { validators, type, cacheLines, lines, hasDate } = headers;
    const nowMs = this.#kernel.realtime();
    const precondition = evaluatePreconditions(request, validators, nowMs);
    if (precondition === "failed") {
      if (this.#options.precompressed) reply.header("Vary", "Accept-Encoding");
      refuse(reply, 412);
      return false;
    }
    if (precondition === "not modified") {
      reply.lines(cacheLines, hasDate, -1);
      reply.status(304).send();
      return false;
    }
    const field = request.method === "GET" ? request.header("range") : undefined;
    const isRanged = field !== undefined && rangeHolds(request, validators, nowMs);
    const ranges = isRanged ? readRanges(field, size) : undefined;
    const done = (): void => void this.#kernel.libc.close(fd);
    if (ranges === undefined) {
      reply.lines(lines, hasDate, size);
      reply.sendFile({ fd, offset: 0, length: size, done });
      return true;
    }
    const [range] = ranges;
    if (range === undefined) {
      reply.lines(cacheLines, hasDate, -1);
      reply.header("Accept-Ranges", "bytes").header("Content-Range", `bytes */${size}`);
      reply.header("Content-Type", "text/plain; charset=utf-8");
      refuse(reply, 416);
      return false;
    }
    if (ranges.length > 1) {
      reply.lines(cacheLines, hasDate, -1);
      reply.header("Accept-Ranges", "bytes");
      if (coding !== "identity") reply.header("Content-Encoding", coding);
      sendMultipart(reply, { kernel: this.#kernel, fd, size, type, ranges, done });
      return true;
    }
    const { offset, length } = range;
    reply.lines(lines, hasDate, length);
    reply.status(206).header("Content-Range", contentRange(offset, length, size));
    reply.sendFile({ fd, offset, length, done });
    return true;
  }

  #list(path: string, reply: ReplyWriter): void {
    const fd = this.directory.open(path);
    if (typeof fd !== "number") {
      refuseFailed(reply, fd);
      return;
    }
    try {
      const stat = statFile(this.#kernel, fd);
      if (isFailed(stat)) {
        refuseFailed(reply, stat);
        return;
      }
      // A path with a slash at its end may be a link to a file.
      if (stat.kind !== "directory") {
        refuse(reply, 404);
        return;
      }
      const html = listingOf(this.#kernel, this.directory, {
        fd,
        path,
        dotfiles: this.#options.dotfiles,
      });
      if (typeof html !== "string") {
        refuseFailed(reply, html);
        return;
      }
      reply.header("Content-Type", "text/html; charset=utf-8");
      reply.header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'");
      reply.send(html);
    } finally {
      this.#kernel.libc.close(fd);
    }
  }
}

/** Redirects to the same path with a slash, which relative links of the page need. */
function redirect(path: string, { query, target }: HttpRequest, reply: ReplyWriter): void {
  // The path has no empty segment, so it cannot begin with two slashes, which would name another host.
  const location = `/${encodePath(path)}/`;
  reply.status(301).header("Location", target.includes("?") ? `${location}?${query}` : location);
  reply.send(`${reasonOf(301)}\n`);
}

function refuse(reply: ReplyWriter, status: number): void {
  reply.status(status).send(`${status} ${reasonOf(status)}\n`);
}

/** Answers for a failed call. @throws SysError for an error without a matching status. */
function refuseFailed(reply: ReplyWriter, { syscall, errno }: FailedCall): void {
  if (ABSENT.has(errno)) refuse(reply, 404);
  else if (errno === -EACCES || errno === -EPERM) refuse(reply, 403);
  else if ([-EMFILE, -ENFILE, -ENOMEM, -EAGAIN].includes(errno)) {
    reply.header("Retry-After", "1");
    refuse(reply, 503);
  } else throw new SysError(syscall, errno);
}

import { ERRNO } from "../../base/errno.ts";
import { typeError } from "../../base/misuse.ts";
import { SysError } from "../../base/sys-error.ts";
import type { Kernel } from "../../sys/kernel.ts";
import { reasonOf } from "../status.ts";
import { type Answer, type FileRequest, refusal, textAnswer } from "./answer.ts";
import { Directory } from "./directory.ts";
import { type FailedCall, isFailed, statFile } from "./file-stat.ts";
import { listingOf } from "./listing.ts";
import { type FileOptions, FileResponder } from "./responder.ts";
import { encodePath, sitePath } from "./site-path.ts";

/** Options of a directory that is served. */
export interface SiteOptions extends FileOptions {
  /** Whether a directory without `index.html` is answered with a list of its files. Default false. */
  readonly listing: boolean;
  /** Whether names that begin with a dot are served. `.well-known` always is. Default false. */
  readonly dotfiles: boolean;
  /** The beginning of the path of all requests for files, with a slash at both ends. */
  readonly prefix: string;
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
  readonly #responder: FileResponder;

  /** @throws as {@link Directory} does. */
  constructor(path: string, options: SiteOptions, kernel: Kernel) {
    const directory = new Directory(path, kernel);
    this.directory = directory;
    this.#options = options;
    this.#kernel = kernel;
    this.#responder = new FileResponder(kernel, options, (name) => directory.open(name));
  }

  /** Answers a request. @throws SysError an unexpected error of the file system, such as `EIO`. */
  answer(request: FileRequest): Answer {
    if (this.directory.fileno() < 0) {
      throw typeError("ERR_CLOSED", "Cannot serve files: the handler is closed");
    }
    return answerMethod(request) ?? this.#answerPath(request);
  }

  #answerPath(request: FileRequest): Answer {
    const { prefix, dotfiles } = this.#options;
    if (!request.path.startsWith("/")) return refusal(400);
    if (!request.path.startsWith(prefix)) {
      return `${request.path}/` === prefix ? redirect(prefix, request) : refusal(404);
    }
    const path = sitePath(request.path.slice(prefix.length - 1), dotfiles);
    if (typeof path === "number") return refusal(path);
    const isFolder = path === "" || path.endsWith("/");
    const name = isFolder ? path + INDEX : path;
    const opened = this.#responder.open(name);
    if ("syscall" in opened) {
      const absent = isFolder && ABSENT.has(opened.errno);
      return absent && this.#options.listing ? this.#list(path) : refusalOf(opened);
    }
    if (opened.stat.kind === "file") return this.#responder.answer(request, name, opened);
    this.#kernel.libc.close(opened.fd);
    return opened.stat.kind === "directory" && !isFolder
      ? redirect(`${prefix}${encodePath(path)}/`, request)
      : refusal(404);
  }

  #list(path: string): Answer {
    const fd = this.directory.open(path);
    if (typeof fd !== "number") return refusalOf(fd);
    try {
      const stat = statFile(this.#kernel, fd);
      if (isFailed(stat)) return refusalOf(stat);
      // A path with a slash at its end may be a link to a file.
      if (stat.kind !== "directory") return refusal(404);
      const { dotfiles } = this.#options;
      const html = listingOf(this.#kernel, this.directory, { fd, path, dotfiles });
      if (typeof html !== "string") return refusalOf(html);
      const lines =
        "Content-Type: text/html; charset=utf-8\r\n" +
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n";
      return { status: 200, lines, hasDate: false, body: html };
    } finally {
      this.#kernel.libc.close(fd);
    }
  }
}

/** The answer to any method but GET and HEAD; undefined for these. */
export function answerMethod({ method }: FileRequest): Answer | undefined {
  if (method === "GET" || method === "HEAD") return undefined;
  const lines = `Allow: ${METHODS}\r\n`;
  return method === "OPTIONS"
    ? { status: 204, lines, hasDate: false, body: null }
    : refusal(405, lines);
}

/**
 * Redirects to the same path with a slash, which relative links of the page need.
 *
 * @param location - A path without an empty segment. It cannot begin with two slashes, which would name another host.
 */
function redirect(location: string, { query, target }: FileRequest): Answer {
  const whole = target.includes("?") ? `${location}?${query}` : location;
  return textAnswer(301, `Location: ${whole}\r\n`, `${reasonOf(301)}\n`);
}

/** Answers for a failed call. @throws SysError for an error without a matching status. */
export function refusalOf({ syscall, errno }: FailedCall): Answer {
  if (ABSENT.has(errno)) return refusal(404);
  if (errno === -EACCES || errno === -EPERM) return refusal(403);
  if ([-EMFILE, -ENFILE, -ENOMEM, -EAGAIN].includes(errno)) {
    return refusal(503, "Retry-After: 1\r\n");
  }
  throw new SysError(syscall, errno);
}

import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { booleanOf, type NamesOf, optionsOf } from "../../base/argument.ts";
import { numberError, show, typeError } from "../../base/misuse.ts";
import type { Kernel } from "../../sys/kernel.ts";
import { checkKernel, kernel as defaultKernel } from "../../sys/open.ts";
import { FILES_COUNTERPARTS } from "../counterparts.ts";
import { type HttpReply, ReplyWriter } from "../reply.ts";
import type { HttpRequest } from "../request.ts";
import { sendAnswer } from "./answer.ts";
import { responseOf, WebFileRequest, type WebRequest } from "./file-response.ts";
import type { FileOptions } from "./responder.ts";
import { Site, type SiteOptions } from "./site.ts";

/** Options of {@link files}. */
export interface FilesOptions extends Partial<Omit<SiteOptions, "prefix">> {
  /** The directory: a path, or a URL of a file. */
  readonly dir: string | URL;
  /**
   * The path under which the directory is served: with `"/static/"`, the request `/static/app.js` is answered with
   * `app.js`. Default `"/"`.
   */
  readonly prefix?: string | undefined;
}

const FILES_OPTIONS: NamesOf<FilesOptions> = {
  dir: true,
  prefix: true,
  listing: true,
  dotfiles: true,
  precompressed: true,
  maxAgeMs: true,
};

/** The part of a context of a framework that {@link FilesHandler} uses: a `Context` of Hono has it. */
export interface FilesContext {
  readonly req: { readonly raw: Request };
}

/**
 * Serves the files of a directory. It holds a descriptor of the directory.
 *
 * @remarks
 * The same function is a handler of `serve({ handler })`, a handler of `serve({ fetch })`, and middleware of Hono.
 */
export interface FilesHandler extends Disposable {
  /** Answers a request of a server with `handler`. */
  (request: HttpRequest, reply: HttpReply): void;
  /**
   * Returns the response to a request.
   *
   * @remarks
   * Its status and headers can be read and changed, its body is a stream, and it may be made into another response:
   * `new Response(response.body, ...)`. A server of polloi sends the body with sendfile(2) as long as it has not been
   * read. The file is open from this call on, so that a file that is replaced before the response is sent has no effect.
   */
  (request: Request): Response;
  /** Answers requests of GET and HEAD for files that exist, and calls `next` for all others. */
  (context: FilesContext, next: () => Promise<void>): Promise<Response | undefined>;
  /** The descriptor of the directory, or -1 once it is closed. */
  fileno(): number;
  /** Closes the directory. Files that are being sent are completed. Calling it twice is safe. */
  close(): void;
}

/** One year. */
const MAX_AGE_MS = 365 * 24 * 3600 * 1000;

/**
 * Creates a handler that serves the files of a directory.
 *
 * @remarks
 * It answers GET and HEAD, with Content-Type, ETag and Last-Modified, conditional requests, byte ranges, and `index.html`
 * for a directory. `app.js.br` or `app.js.gz` is sent instead of `app.js` to clients that accept it. Nothing outside the
 * directory is served, whatever the path and the links. Names that begin with a dot are not served.
 *
 * A file is looked up for every request, on this thread. A file that is overwritten while it is sent arrives mixed:
 * replace it with rename(2).
 *
 * @param kernel - The kernel to call. Default: the one of this thread.
 * @returns The handler. Close it when its server has stopped.
 * @throws SysError `ENOENT`, `ENOTDIR`, `EACCES`, `EMFILE`; TypeError or RangeError `ERR_INVALID_OPTION`.
 *
 * @example
 * ```ts
 * const site = files({ dir: "public", maxAgeMs: 3_600_000 });
 * serve({ port: 8080, handler: site });
 * ```
 *
 * @example
 * ```ts
 * const site = files({ dir: "public", prefix: "/static/" });
 * serve({
 *   port: 8080,
 *   fetch: (request) =>
 *     new URL(request.url).pathname.startsWith("/static/") ? site(request) : new Response("hello"),
 * });
 * ```
 */
export function files(options: FilesOptions): FilesHandler;
/** @internal */
export function files(options: FilesOptions, kernel?: Kernel): FilesHandler;
export function files(options: FilesOptions, kernel: Kernel = defaultKernel): FilesHandler {
  const { dir, prefix } = optionsOf(options, "files()", FILES_OPTIONS, FILES_COUNTERPARTS);
  checkKernel(kernel);
  const listing = booleanOf(options.listing, "listing", false);
  const dotfiles = booleanOf(options.dotfiles, "dotfiles", false);
  const checked = { listing, dotfiles, prefix: prefixOf(prefix), ...fileOptionsOf(options) };
  const site = new Site(pathOf(dir), checked, kernel);
  const open = (name: string) => site.directory.open(name);
  const respond = (request: WebRequest): Response => {
    const isToHead = request.method === "HEAD";
    return responseOf(site.answer(new WebFileRequest(request)), { kernel, isToHead, open });
  };
  const respondOrNext = async (
    { req: { raw } }: FilesContext,
    next: () => Promise<void>,
  ): Promise<Response | undefined> => {
    const response = raw.method === "GET" || raw.method === "HEAD" ? respond(raw) : undefined;
    if (response !== undefined && !ABSENT.has(response.status)) return response;
    await next();
    return undefined;
  };
  const handler = (first: unknown, second?: unknown): unknown => {
    if (second instanceof ReplyWriter) {
      return sendAnswer(kernel, site.answer(first as HttpRequest), second);
    }
    return typeof second === "function"
      ? respondOrNext(first as FilesContext, second as () => Promise<void>)
      : respond(first as Request);
  };
  return Object.assign(handler as FilesHandler, {
    fileno: () => site.directory.fileno(),
    close: () => site.directory.close(),
    [Symbol.dispose]: () => site.directory.close(),
  });
}

/** The statuses of a path that leads to no file. */
const ABSENT: ReadonlySet<number> = new Set([400, 404]);

/** Checks the options of files. @throws RangeError, TypeError `ERR_INVALID_OPTION`. */
export function fileOptionsOf(options: Partial<FileOptions>): FileOptions {
  const { maxAgeMs } = options;
  const precompressed = booleanOf(options.precompressed, "precompressed", true);
  const isAge = typeof maxAgeMs === "number" && maxAgeMs >= 0 && maxAgeMs <= MAX_AGE_MS;
  if (maxAgeMs !== undefined && !isAge) {
    throw numberError(
      "ERR_INVALID_OPTION",
      maxAgeMs,
      `Cannot use ${show(maxAgeMs)} as maxAgeMs: give milliseconds from 0 to ${MAX_AGE_MS}, a year`,
    );
  }
  return { precompressed, maxAgeMs };
}

/** The absolute path of a file or a directory. @throws TypeError `ERR_INVALID_OPTION` */
export function absolutePathOf(path: string | URL): string | undefined {
  if (path instanceof URL && path.protocol === "file:") return resolve(fileURLToPath(path));
  return typeof path === "string" && path !== "" && !path.includes("\0")
    ? resolve(path)
    : undefined;
}

function pathOf(dir: string | URL): string {
  const path = absolutePathOf(dir);
  if (path !== undefined) return path;
  throw typeError(
    "ERR_INVALID_OPTION",
    `Cannot serve the files of ${show(dir)}: give the path of a directory`,
  );
}

/** The prefix as it is in the path of a request, with a slash at its end. */
function prefixOf(prefix = "/"): string {
  if (typeof prefix === "string" && /^\/(?!\/)[^?#\0]*$/.test(prefix)) {
    const { pathname } = new URL(prefix, "http://localhost");
    return pathname.endsWith("/") ? pathname : `${pathname}/`;
  }
  throw typeError(
    "ERR_INVALID_OPTION",
    `Cannot use ${show(prefix)} as prefix: give a path, such as "/static/"`,
  );
}

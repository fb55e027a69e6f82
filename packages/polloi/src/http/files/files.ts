import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { booleanOf, type NamesOf, optionsOf } from "../../base/argument.ts";
import { numberError, show, typeError } from "../../base/misuse.ts";
import type { Kernel } from "../../sys/kernel.ts";
import { checkKernel, kernel as defaultKernel } from "../../sys/open.ts";
import type { HttpHandler } from "../options.ts";
import type { ReplyWriter } from "../reply.ts";
import { sendAnswer } from "./answer.ts";
import { Site, type SiteOptions } from "./site.ts";

/** Options of {@link files}. */
export interface FilesOptions extends Partial<SiteOptions> {
  /** The directory: a path, or a URL of a file. */
  readonly dir: string | URL;
}

const FILES_OPTIONS: NamesOf<FilesOptions> = {
  dir: true,
  listing: true,
  dotfiles: true,
  precompressed: true,
  maxAgeMs: true,
};

/** A handler that serves files. It holds a descriptor of the directory. */
export interface FilesHandler extends HttpHandler, Disposable {
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
 */
export function files(options: FilesOptions): FilesHandler;
/** @internal */
export function files(options: FilesOptions, kernel?: Kernel): FilesHandler;
export function files(options: FilesOptions, kernel: Kernel = defaultKernel): FilesHandler {
  const { dir, maxAgeMs } = optionsOf(options, "files()", FILES_OPTIONS);
  checkKernel(kernel);
  const listing = booleanOf(options.listing, "listing", false);
  const dotfiles = booleanOf(options.dotfiles, "dotfiles", false);
  const precompressed = booleanOf(options.precompressed, "precompressed", true);
  const isAge = typeof maxAgeMs === "number" && maxAgeMs >= 0 && maxAgeMs <= MAX_AGE_MS;
  if (maxAgeMs !== undefined && !isAge) {
    throw numberError(
      "ERR_INVALID_OPTION",
      maxAgeMs,
      `Cannot use ${show(maxAgeMs)} as maxAgeMs: give milliseconds from 0 to ${MAX_AGE_MS}, a year`,
    );
  }
  const site = new Site(pathOf(dir), { listing, dotfiles, precompressed, maxAgeMs }, kernel);
  const handler: HttpHandler = (request, reply) => {
    // A server makes no other replies.
    sendAnswer(kernel, site.answer(request), reply as ReplyWriter);
  };
  return Object.assign(handler, {
    fileno: () => site.directory.fileno(),
    close: () => site.directory.close(),
    [Symbol.dispose]: () => site.directory.close(),
  });
}

function pathOf(dir: string | URL): string {
  if (dir instanceof URL && dir.protocol === "file:") return resolve(fileURLToPath(dir));
  if (typeof dir === "string" && dir !== "" && !dir.includes("\0")) return resolve(dir);
  throw typeError(
    "ERR_INVALID_OPTION",
    `Cannot serve the files of ${show(dir)}: give the path of a directory`,
  );
}

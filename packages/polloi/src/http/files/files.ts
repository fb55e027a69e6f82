import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { booleanOf, type NamesOf, optionsOf } from "../../base/argument.ts";
import { rangeError, show, typeError } from "../../base/misuse.ts";
import type { Kernel } from "../../sys/kernel.ts";
import { checkKernel, kernel as defaultKernel } from "../../sys/open.ts";
import type { HttpHandler } from "../options.ts";
import type { ReplyWriter } from "../reply.ts";
import { Site, type SiteOptions } from "./site.ts";

/** What of a directory is served, and how. */
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

/** A handler that serves files. It holds a descriptor of their directory. */
export interface FilesHandler extends HttpHandler, Disposable {
  /** The descriptor of the directory, or -1 once it is closed. */
  fileno(): number;
  /** Serves no more. What is being sent goes on. Safe to call twice. */
  close(): void;
}

/** A year. */
const MOST_AGE_MS = 365 * 24 * 3600 * 1000;

/**
 * A handler that answers with the files of a directory.
 *
 * @remarks
 * It answers GET and HEAD: with types, tags and dates, with 304 to who has the file already, in ranges, and
 * with `index.html` for a directory. `app.js.br` and `app.js.gz` beside `app.js` are sent in its place to who
 * takes them. Nothing outside of the directory can be had, whatever the path and wherever links lead; names
 * that begin with a dot are hidden.
 *
 * A file is looked up when it is asked for, on this thread. What changes while it is sent arrives as a mixture,
 * as everywhere: put another file in its place with rename(2).
 *
 * @param kernel - The kernel to ask; a test may hand over one that fails.
 * @throws SysError `ENOENT`, `ENOTDIR`, `EACCES`, `EMFILE`; TypeError, RangeError `ERR_INVALID_OPTION`.
 *
 * @example
 * ```ts
 * const site = files({ dir: "public", maxAgeMs: 3_600_000 });
 * serve({ port: 8080, handler: site });
 * ```
 */
export function files(options: FilesOptions, kernel: Kernel = defaultKernel): FilesHandler {
  const { dir, maxAgeMs } = optionsOf(options, "files()", FILES_OPTIONS);
  checkKernel(kernel);
  const listing = booleanOf(options.listing, "listing", false);
  const dotfiles = booleanOf(options.dotfiles, "dotfiles", false);
  const precompressed = booleanOf(options.precompressed, "precompressed", true);
  const isAge = typeof maxAgeMs === "number" && maxAgeMs >= 0 && maxAgeMs <= MOST_AGE_MS;
  if (maxAgeMs !== undefined && !isAge) {
    throw rangeError(
      "ERR_INVALID_OPTION",
      `Cannot use ${show(maxAgeMs)} as maxAgeMs: give milliseconds from 0 to ${MOST_AGE_MS}, a year`,
    );
  }
  const site = new Site(pathOf(dir), { listing, dotfiles, precompressed, maxAgeMs }, kernel);
  const handler: HttpHandler = (request, reply) => {
    // A server makes no other replies.
    site.answer(request, reply as ReplyWriter);
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

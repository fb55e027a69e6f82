import { type NamesOf, optionsOf } from "../../base/argument.ts";
import { ERRNO } from "../../base/errno.ts";
import { fromCaller, show, typeError } from "../../base/misuse.ts";
import { kernel } from "../../sys/open.ts";
import { refusal } from "./answer.ts";
import { READ_FLAGS } from "./directory.ts";
import { responseOf, WebFileRequest } from "./file-response.ts";
import { type FailedCall, PATH_OFFSET, writePath } from "./file-stat.ts";
import { absolutePathOf, fileOptionsOf } from "./files.ts";
import { type FileOptions, FileResponder } from "./responder.ts";
import { answerMethod, refusalOf } from "./site.ts";

/** Options of {@link serveFile}. */
export type ServeFileOptions = Partial<FileOptions>;

const SERVE_FILE_OPTIONS: NamesOf<ServeFileOptions> = { precompressed: true, maxAgeMs: true };

/** The most responders to keep: one for each combination of options, which are usually constants. */
const MAX_RESPONDERS = 16;
const responders = new Map<string, FileResponder>();

/** The longest path: PATH_MAX, less the longest suffix that is appended. */
const MAX_PATH_BYTES = 4000;

/**
 * Returns the response to a request for one file.
 *
 * @remarks
 * It has the same headers, conditions, ranges and precompressed siblings as a response of {@link files}, and is sent by
 * sendfile(2). A file that does not exist, or is no regular file, is answered with 404.
 *
 * The path is that of the program: links are followed, and it may lead anywhere. Use {@link files} for a path that
 * depends on the request.
 *
 * @param request - The request: its method, URL and headers are used.
 * @param path - The file: a path, relative to the working directory, or a URL of a file.
 * @throws TypeError or RangeError `ERR_INVALID_OPTION`; SysError for an unexpected error of the file system, such as
 * `EIO`.
 *
 * @example
 * ```ts
 * serve({ port: 8080, fetch: (request) => serveFile(request, "public/index.html") });
 * ```
 */
export function serveFile(
  request: Request,
  path: string | URL,
  options: ServeFileOptions = {},
): Response {
  return fromCaller(serveFile, () => {
    const { precompressed, maxAgeMs } = fileOptionsOf(
      optionsOf(options, "serveFile()", SERVE_FILE_OPTIONS),
    );
    const absolute = absolutePathOf(path);
    if (absolute === undefined) {
      throw typeError("ERR_INVALID_OPTION", `Cannot serve ${show(path)}: give the path of a file`);
    }
    const asked = new WebFileRequest(request);
    const settings = { kernel, isToHead: asked.method === "HEAD", open: openPath };
    const other = answerMethod(asked);
    if (other !== undefined) return responseOf(other, settings);
    // A path of bytes, as in the kernel.
    const name = Buffer.from(absolute).toString("latin1");
    const responder = responderFor({ precompressed, maxAgeMs });
    const opened = responder.open(name);
    if ("syscall" in opened) return responseOf(refusalOf(opened), settings);
    if (opened.stat.kind === "file") {
      return responseOf(responder.answer(asked, name, opened), settings);
    }
    kernel.libc.close(opened.fd);
    return responseOf(refusal(404), settings);
  });
}

function responderFor(options: FileOptions): FileResponder {
  const key = `${options.precompressed} ${options.maxAgeMs}`;
  let responder = responders.get(key);
  if (responder === undefined) {
    responder = new FileResponder(kernel, options, openPath);
    if (responders.size >= MAX_RESPONDERS) responders.clear();
    responders.set(key, responder);
  }
  return responder;
}

/** Opens an absolute path of bytes. */
function openPath(name: string): number | FailedCall {
  if (name.length > MAX_PATH_BYTES) return { syscall: "open", errno: -ERRNO.ENAMETOOLONG };
  const { libc, scratch } = kernel;
  writePath(kernel, name);
  const fd = libc.open(scratch.address + PATH_OFFSET, READ_FLAGS, 0);
  return fd < 0 ? { syscall: "open", errno: fd } : fd;
}

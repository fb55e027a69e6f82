import { numberError, rangeError, show } from "./misuse.ts";

/** An object that owns a file descriptor, such as a `Socket`, an `Epoll` or a `Selector`. */
export interface HasFileno {
  /** The file descriptor, or -1 once it is closed. */
  fileno(): number;
}

/** A file descriptor, or an object with a `fileno()`. */
export type FileObject = number | HasFileno;

/** The largest file descriptor: an `int` of C. */
const MAX_FD = 0x7fffffff;

/**
 * Returns the descriptor of `fileObject`.
 *
 * @throws TypeError `ERR_INVALID_FD` when it is neither a number nor an object whose `fileno()` returns one;
 * RangeError `ERR_INVALID_FD` when the descriptor is no integer, negative, as that of a closed object is, or too large.
 */
export function filenoOf(fileObject: FileObject): number {
  const fd = typeof fileObject === "number" ? fileObject : askFileno(fileObject);
  if (typeof fd !== "number" || !Number.isInteger(fd)) {
    throw numberError(
      "ERR_INVALID_FD",
      fd,
      `Cannot use ${show(fd ?? fileObject)} as a file descriptor: give an integer or an object with fileno()`,
    );
  }
  if (fd < 0 || fd > MAX_FD) {
    throw rangeError(
      "ERR_INVALID_FD",
      `Cannot use fd ${fd}: a descriptor is between 0 and ${MAX_FD}${fd === -1 ? "; -1 is what a closed object has" : ""}`,
    );
  }
  // -0 becomes 0, because Deno's foreign-function interface rejects it as an integer.
  return fd + 0;
}

/** Calls `fileObject.fileno()`. Returns undefined if there is no such method. */
export function askFileno(fileObject: HasFileno): unknown {
  const fileno: unknown = fileObject?.fileno;
  return typeof fileno === "function" ? fileno.call(fileObject) : undefined;
}

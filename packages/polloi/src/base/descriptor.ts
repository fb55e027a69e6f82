import { rangeError, show, typeError } from "./misuse.ts";

/** Anything that owns a file descriptor and can name it: a `Socket`, an `Epoll`, a `Selector`. */
export interface HasFileno {
  /** The file descriptor, or -1 once it is closed. */
  fileno(): number;
}

/** A file descriptor, or anything with a `fileno()`. */
export type FileObject = number | HasFileno;

/** The largest number a descriptor can have: the kernel's `int`. */
const MAX_FD = 0x7fffffff;

/**
 * The descriptor of `fileObject`.
 *
 * @throws TypeError `ERR_INVALID_FD` when it is neither an integer nor has a `fileno()` that gives one;
 * RangeError `ERR_INVALID_FD` when it is negative, as it is for anything closed, or above an `int`.
 */
export function filenoOf(fileObject: FileObject): number {
  const fd = typeof fileObject === "number" ? fileObject : askFileno(fileObject);
  if (typeof fd !== "number" || !Number.isInteger(fd)) {
    throw typeError(
      "ERR_INVALID_FD",
      `Cannot use ${show(fd ?? fileObject)} as a file descriptor: give an integer or an object with fileno()`,
    );
  }
  if (fd < 0 || fd > MAX_FD) {
    throw rangeError(
      "ERR_INVALID_FD",
      `Cannot use fd ${fd}: a descriptor is between 0 and ${MAX_FD}${fd === -1 ? "; -1 is what a closed object has" : ""}`,
    );
  }
  // -0 becomes 0: Deno's foreign-function interface does not take it as an integer.
  return fd + 0;
}

/** What the `fileno()` of `fileObject` gives; undefined where it has none. */
export function askFileno(fileObject: HasFileno): unknown {
  const fileno: unknown = fileObject?.fileno;
  return typeof fileno === "function" ? fileno.call(fileObject) : undefined;
}

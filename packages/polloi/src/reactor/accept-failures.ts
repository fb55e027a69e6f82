import { ERRNO } from "../base/errno.ts";
import { SysError } from "../base/sys-error.ts";

/** The delay before the next accept after one that failed, doubled with each up to the last. */
const FIRST_BACKOFF_MS = 50;
const LAST_BACKOFF_MS = 1000;

/** Failures of accept in a row: when to try again, and whether the failure is to be reported. */
export class AcceptFailures {
  #delayMs = 0;

  /**
   * An accept has failed with an error that the next one would have too.
   *
   * @returns The delay before the next, in milliseconds; and whether it is the first in a row, which is reported.
   */
  add(): { readonly delayMs: number; readonly isFirst: boolean } {
    const isFirst = this.#delayMs === 0;
    this.#delayMs = isFirst ? FIRST_BACKOFF_MS : Math.min(2 * this.#delayMs, LAST_BACKOFF_MS);
    return { delayMs: this.#delayMs, isFirst };
  }

  /** An accept has succeeded. */
  end(): void {
    this.#delayMs = 0;
  }
}

/** The error that is reported. @param result - `-errno` of the accept on `fd`. */
export function acceptError(result: number, fd: number): SysError {
  return new SysError("accept4", result, { fd, hint: acceptHint(Math.abs(result)) });
}

/** What a person can do about an accept that fails. */
export function acceptHint(errno: number): string {
  switch (errno) {
    case ERRNO.EMFILE:
      return "accepting is paused until a descriptor is free; raise the limit (ulimit -n) or set maxConnections";
    case ERRNO.ENFILE:
      return "accepting is paused until a descriptor is free; raise the limit of the machine (sysctl fs.file-max)";
    case ERRNO.ENOBUFS:
    case ERRNO.ENOMEM:
      return "accepting is paused until the kernel has memory; set maxConnections or smaller socket buffers";
    case ERRNO.EACCES:
    case ERRNO.EPERM:
      return "a security policy forbids to accept (seccomp, an LSM, a firewall); it is tried again every second";
    case ERRNO.EBADF:
    case ERRNO.EINVAL:
    case ERRNO.ENOTSOCK:
      return "the socket does not listen any more: something else has shut it down or closed its descriptor";
    default:
      return "accepting is paused, and tried again every second";
  }
}

import { ERRNO } from "../base/errno.ts";
import { SysError } from "../base/sys-error.ts";

/** The delay before the next accept after a failed one. It doubles with each failure, up to the second value. */
const FIRST_BACKOFF_MS = 50;
const LAST_BACKOFF_MS = 1000;

/** Consecutive failures of accept: the delay before the next attempt, and whether to report the failure. */
export class AcceptFailures {
  #delayMs = 0;

  /**
   * An accept has failed with an error that the next one is likely to have too.
   *
   * @returns The delay before the next attempt in milliseconds; and whether the failure is the first in a row, which is
   * reported.
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

/** The error to report. @param result - `-errno` of the accept on `fd`. */
export function acceptError(result: number, fd: number): SysError {
  return new SysError("accept4", result, { fd, hint: acceptHint(Math.abs(result)) });
}

/** The hint for an accept that failed. */
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
      return "a security policy forbids accepting (seccomp, an LSM, a firewall); it is retried every second";
    case ERRNO.EBADF:
    case ERRNO.EINVAL:
    case ERRNO.ENOTSOCK:
      return "the socket no longer listens: it was shut down, or its descriptor was closed, by other code";
    default:
      return "accepting is paused, and retried every second";
  }
}

import { ERRNO } from "../base/errno.ts";
import { SysError } from "../base/sys-error.ts";

/** The error of a failed accept. @param result - `-errno` of the accept on `fd`. */
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

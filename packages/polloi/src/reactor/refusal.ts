import { ERRNO } from "../base/errno.ts";
import { SysError } from "../base/sys-error.ts";
import type { Loop } from "./loop.ts";

/** What to say when the engine refused a descriptor for its number; undefined when it was not that. */
export function tooLargeHint(loop: Loop, errno: number): string | undefined {
  if (loop.engine.name !== "select" || Math.abs(errno) !== ERRNO.EINVAL) return undefined;
  return "select() holds fds below 1024; use poll or epoll";
}

/** The error of a descriptor that the engine does not take. */
export function refusal(loop: Loop, syscall: string, errno: number, fd: number): SysError {
  return new SysError(syscall, errno, { fd, hint: tooLargeHint(loop, errno) });
}

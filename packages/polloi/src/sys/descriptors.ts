import { readdirSync } from "node:fs";
import { AT_EMPTY_PATH, RLIMIT_NOFILE, S_IFMT, STATX, STATX_TYPE, SYS } from "./abi.ts";
import type { Kernel } from "./kernel.ts";

/** The offset of the hard limit in a `struct rlimit`. */
const HARD = 8;

/**
 * Raises the soft limit on descriptors to `wanted`, or to the hard limit if that is lower.
 *
 * @returns The new soft limit.
 * @source getrlimit(2)
 */
export function raiseDescriptorLimit(kernel: Kernel, wanted: number): number {
  const { libc, scratch } = kernel;
  const { address } = scratch;
  if (libc.getrlimit(RLIMIT_NOFILE, address) < 0) return 1024;
  const soft = scratch.getWord(0);
  const raised = Math.min(wanted, scratch.getWord(HARD));
  if (soft >= raised) return soft;
  scratch.setWord(0, raised);
  return libc.setrlimit(RLIMIT_NOFILE, address) < 0 ? soft : raised;
}

/** Returns the number of open descriptors of this process. */
export function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

/** The offset of the result of statx in scratch memory, after an empty path. */
const AT_STATX = 64;

/**
 * Returns the type of the file `fd`: one of the `S_IF*` values, 0 for an eventfd, an epoll set or a timerfd, or
 * `-errno`.
 *
 * @source statx(2), inode(7)
 */
export function fileTypeOf({ libc, scratch }: Kernel, fd: number): number {
  scratch.u8[0] = 0;
  const result = libc.syscall(
    SYS.statx,
    fd,
    scratch.address,
    AT_EMPTY_PATH,
    STATX_TYPE,
    scratch.address + AT_STATX,
    0,
  );
  return result < 0 ? result : scratch.view.getUint16(AT_STATX + STATX.mode, true) & S_IFMT;
}

import { readdirSync } from "node:fs";
import { AT_EMPTY_PATH, RLIMIT_NOFILE, S_IFMT, STATX, STATX_TYPE, SYS } from "./abi.ts";
import type { Kernel } from "./kernel.ts";

/** Where the hard limit lies in a `struct rlimit`. */
const HARD = 8;

/**
 * Raises the soft limit of descriptors to `wanted`, or as far as the hard limit lets it.
 *
 * @returns The limit from now on.
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

/** How many descriptors this process has open. */
export function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

/** Where the result of statx is put in the scratch memory, behind an empty path. */
const AT_STATX = 64;

/**
 * What is open as `fd`: one of the `S_IF*` values, 0 for what has none (an eventfd, an epoll set, a timerfd), or
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

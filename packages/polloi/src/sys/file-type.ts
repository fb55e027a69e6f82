import { AT_EMPTY_PATH, S_IFMT, STATX, STATX_TYPE, SYS } from "./abi.ts";
import type { Kernel } from "./kernel.ts";

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

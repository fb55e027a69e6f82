import { ERRNO, SysError } from "polloi";
import { type Kernel, TIOCGPGRP } from "polloi/internal";

/** The descriptor of standard input. */
export const STDIN = 0;

/** At most so much is read at once. */
export const READ_BYTES = 16_384;

/**
 * Whether this process may read from `fd`.
 *
 * @remarks
 * A process in the background (`polloi serve &`) that reads from its terminal is stopped by SIGTTIN:
 * the line is meant for the shell.
 *
 * @source tty_ioctl(4), TIOCGPGRP
 */
export function mayRead(kernel: Kernel, fd: number): boolean {
  const { libc, scratch } = kernel;
  // No terminal, or not the one that controls this process: nobody is in the foreground of it.
  if (libc.ioctl(fd, TIOCGPGRP, scratch.address) < 0) return true;
  return scratch.i32[0] === libc.getpgrp();
}

/**
 * Reads what is there, once.
 *
 * @remarks
 * To be called when `fd` is ready: it is as blocking as whoever started this process left it. A terminal
 * is shared with the shell, which would stumble if it were made non-blocking.
 *
 * @returns The bytes, good until the kernel's scratch is used again; empty at the end; null when there
 * was nothing after all.
 * @throws SysError such as `EISDIR`
 */
export function readReady(kernel: Kernel, fd: number): Uint8Array | null {
  const { libc, scratch } = kernel;
  const length = libc.read(fd, scratch.address, READ_BYTES);
  if (length >= 0) return scratch.u8.subarray(0, length);
  if (length === -ERRNO.EAGAIN || length === -ERRNO.EINTR) return null;
  // A terminal that is gone, or a descriptor that was never open, is an end like any other.
  if (length === -ERRNO.EIO || length === -ERRNO.EBADF) return scratch.u8.subarray(0, 0);
  throw new SysError("read", length, { fd });
}

/** System calls that more than one engine makes, and the meaning of their errors. */
import { ERRNO } from "../base/errno.ts";
import {
  AF_UNIX,
  MSG_MORE,
  MSG_NOSIGNAL,
  SO_DOMAIN,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOL_SOCKET,
} from "../socket/constants.ts";
import { readIntOption } from "../socket/raw.ts";
import type { Kernel } from "../sys/kernel.ts";
import type { Libc } from "../sys/libc.ts";
import { SEND_BEFORE_FILE, SEND_MORE } from "./engine.ts";

/**
 * Errors of accept that concern one connection, which failed before it was accepted. The next accept may succeed.
 *
 * @source accept(2), "Error handling"
 */
const OF_CONNECTION: readonly number[] = [
  ERRNO.EINTR,
  ERRNO.ECONNABORTED,
  ERRNO.EPROTO,
  ERRNO.ENOPROTOOPT,
  ERRNO.EOPNOTSUPP,
  ERRNO.ENETDOWN,
  ERRNO.ENETUNREACH,
  ERRNO.EHOSTDOWN,
  ERRNO.EHOSTUNREACH,
  ERRNO.ENONET,
  ERRNO.ETIMEDOUT,
];

/** After this many failed connections in a row, accepting itself counts as failed. */
export const MAX_FAILED_CONNECTIONS = 32;

/** Whether an error of accept concerns one connection, so that the next accept may succeed. */
export function isOfConnection(errno: number): boolean {
  return OF_CONNECTION.includes(errno);
}

/**
 * Accepts the next connection, skipping those that have failed.
 *
 * @returns Its descriptor, non-blocking and close-on-exec, or `-errno`: EAGAIN when there is none. The next accept is
 * likely to fail with any other error as well, so retrying at once would spin.
 */
export function acceptNow(libc: Libc, listener: number): number {
  for (let failed = 1; ; failed++) {
    const fd = libc.accept4(listener, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0 || !isOfConnection(-fd) || failed === MAX_FAILED_CONNECTIONS) return fd;
  }
}

/**
 * Sends, and repeats the call after a signal.
 *
 * @param flags - SEND_* bits.
 * @returns The number of bytes that were taken, 0 if it would block, or `-errno`.
 */
export function sendNow(
  libc: Libc,
  fd: number,
  address: number,
  length: number,
  flags: number,
): number {
  const more = (flags & (SEND_MORE | SEND_BEFORE_FILE)) !== 0;
  const messageFlags = more ? MSG_NOSIGNAL | MSG_MORE : MSG_NOSIGNAL;
  for (;;) {
    const sent = libc.send(fd, address, length, messageFlags);
    if (sent >= 0) return sent;
    if (sent === -ERRNO.EAGAIN) return 0;
    if (sent !== -ERRNO.EINTR) return sent;
  }
}

/**
 * Sends from a file until it would block, and repeats the call after a signal.
 *
 * @remarks
 * A short sendfile(2) does not show that the socket is full: a signal may have ended it, or a page that
 * could not be read. So it is repeated until it reports that it would block.
 *
 * @returns The number of bytes that were sent, less than `length` when the socket is full; or `-errno`: ENODATA
 * when the file is shorter.
 */
export function sendFileNow(
  { libc, scratch }: Kernel,
  socket: number,
  file: number,
  offset: number,
  length: number,
): number {
  let sent = 0;
  while (sent < length) {
    scratch.setWord(0, offset + sent);
    const result = libc.sendfile(socket, file, scratch.address, length - sent);
    if (result > 0) sent += result;
    else if (result === -ERRNO.EAGAIN) return sent;
    else if (result !== -ERRNO.EINTR) return result === 0 ? -ERRNO.ENODATA : result;
  }
  return sent;
}

/** Whether `fd` is a unix socket, which can receive descriptors with its bytes. */
export function isUnixSocket(kernel: Kernel, fd: number): boolean {
  return readIntOption(kernel, fd, SOL_SOCKET, SO_DOMAIN) === AF_UNIX;
}

/** Whether descriptors or memory for another connection are lacking, so that retrying at once would spin. */
export function isOutOfResources(errno: number): boolean {
  return (
    errno === ERRNO.EMFILE ||
    errno === ERRNO.ENFILE ||
    errno === ERRNO.ENOBUFS ||
    errno === ERRNO.ENOMEM
  );
}

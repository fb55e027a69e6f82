import { listOf } from "../base/argument.ts";
import { type FileObject, filenoOf } from "../base/descriptor.ts";
import { rangeError, show, typeError } from "../base/misuse.ts";
import type { SocketAddress } from "./address.ts";
import { ancillaryLength, MAX_FDS } from "./ancillary.ts";
import { MSG_CTRUNC, SOCK_STREAM } from "./constants.ts";
import { Socket } from "./socket.ts";
import { lengthOf } from "./socket-handle.ts";
import { bytesOf } from "./socket-transfer.ts";

/** The result of `receiveFds`. */
export interface ReceivedFds {
  readonly bytes: Uint8Array;
  /** New descriptors, close-on-exec, the caller's to close. */
  readonly fds: readonly number[];
  /** Whether more were sent than `maxFds`. The rest is open nowhere. */
  readonly truncated: boolean;
  /** The flags of the message: MSG_TRUNC, MSG_CTRUNC, ... */
  readonly flags: number;
  readonly address: SocketAddress | null;
}

/**
 * Sends descriptors through a unix socket, beside at least one byte.
 *
 * @remarks
 * The receiver gets descriptors of its own for the same open files. Those sent stay open here; they may
 * be closed as soon as this returns.
 *
 * @param fds - At most 253 descriptors, or objects with a `fileno()`.
 * @returns The number of bytes sent; null if none could be sent, and then no descriptor was sent either.
 * @throws SysError `EBADF`, `EINVAL`, `EPIPE`, `ETOOMANYREFS`; RangeError `ERR_INVALID_LENGTH` for more than 253,
 * or for no byte on a stream; `ERR_INVALID_DATA`, `ERR_INVALID_FD`, `ERR_INVALID_OPTION`
 * @source unix(7), SCM_RIGHTS
 */
export function sendFds(
  socket: Socket,
  bytes: Uint8Array | string,
  fds: readonly FileObject[],
): number | null {
  checkSocket(socket);
  if (bytesOf(bytes).length === 0 && socket.type === SOCK_STREAM) {
    throw rangeError(
      "ERR_INVALID_LENGTH",
      "Cannot send descriptors with 0 bytes on a stream: they travel beside a byte, so give at least 1",
    );
  }
  return socket.sendMsg(
    [bytes],
    [{ fds: listOf(fds, "descriptors", "ERR_INVALID_FD").map(filenoOf) }],
  );
}

/**
 * Receives bytes, and the descriptors that {@link sendFds} sent with them.
 *
 * @param length - The most bytes to receive; at least 1 on a stream.
 * @param maxFds - The most descriptors to receive, from 0 to 253.
 * @returns null if nothing has arrived.
 * @throws SysError; RangeError `ERR_INVALID_LENGTH`
 * @source unix(7), SCM_RIGHTS
 */
export function receiveFds(
  socket: Socket,
  length: number,
  maxFds: number = MAX_FDS,
): ReceivedFds | null {
  checkSocket(socket);
  // Room for the descriptors to the byte: rounded up, one more than asked for could come in.
  const room = maxFds === 0 ? 0 : ancillaryLength(4 * lengthOf(maxFds, MAX_FDS));
  const message = socket.recvMsg(length, room);
  if (message === null) return null;
  const { bytes, ancillary, flags, address } = message;
  const fds = ancillary.flatMap((part) => ("fds" in part ? part.fds : []));
  return { bytes, fds, truncated: (flags & MSG_CTRUNC) !== 0, flags, address };
}

function checkSocket(socket: Socket): void {
  if (socket instanceof Socket) return;
  throw typeError("ERR_INVALID_OPTION", `Cannot use ${show(socket)} as a socket: give a Socket`);
}

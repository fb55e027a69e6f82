import { SOCK_SEQPACKET, SOCK_STREAM } from "polloi/internal/pure";
import type { OpenFile } from "../../process/open-file.ts";
import { SocketFile } from "../../sockets/socket-file.ts";

/** The socket that a file is; undefined when it is none (ENOTSOCK). */
export function socketOf(file: OpenFile | undefined): SocketFile | undefined {
  return file instanceof SocketFile ? file : undefined;
}

/** Whether MSG_WAITALL continues after a part. Source: io_uring/net.c, io_net_retry. */
export function keepsOrder({ type }: SocketFile): boolean {
  return type === SOCK_STREAM || type === SOCK_SEQPACKET;
}

import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  ERRNO,
  IPPROTO_TCP,
  IPPROTO_UDP,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_SEQPACKET,
  SOCK_STREAM,
} from "polloi/internal/pure";
import { AF_MAX, SOCK_MAX } from "./constants.ts";
import type { Network } from "./network.ts";
import type { Credentials, SocketFile } from "./socket-file.ts";
import { TcpSocket } from "./tcp-socket.ts";
import { UdpSocket } from "./udp-socket.ts";
import { UnixDatagramSocket, UnixSeqpacketSocket } from "./unix-datagram-socket.ts";
import { UnixSocket } from "./unix-socket.ts";
import { UnixStreamSocket } from "./unix-stream-socket.ts";

/** The process of sockets that belong to none. */
export const DEFAULT_CREDENTIALS: Credentials = { pid: 1, uid: 0, gid: 0 };

/**
 * Makes a socket: socket(2) without its descriptor.
 *
 * @param type - Without SOCK_NONBLOCK and SOCK_CLOEXEC.
 * @returns The socket, or `-errno`. Source: net/socket.c, __sock_create; net/ipv4/af_inet.c, inet_create;
 * net/unix/af_unix.c, unix_create
 */
export function createSocket(
  network: Network,
  family: number,
  type: number,
  protocol = 0,
  credentials: Credentials = DEFAULT_CREDENTIALS,
): SocketFile | number {
  if (family < 0 || family >= AF_MAX) return -ERRNO.EAFNOSUPPORT;
  if (type < 0 || type >= SOCK_MAX) return -ERRNO.EINVAL;
  if (family === AF_UNIX) return createUnix(network, type, protocol, credentials);
  if (family !== AF_INET && family !== AF_INET6) return -ERRNO.EAFNOSUPPORT;
  if (protocol < 0) return -ERRNO.EINVAL;
  if (type === SOCK_STREAM && (protocol === 0 || protocol === IPPROTO_TCP)) {
    return new TcpSocket(network, { family, type, protocol: IPPROTO_TCP }, credentials);
  }
  if (type === SOCK_DGRAM && (protocol === 0 || protocol === IPPROTO_UDP)) {
    return new UdpSocket(network, { family, type, protocol: IPPROTO_UDP }, credentials);
  }
  const isKnown = type === SOCK_STREAM || type === SOCK_DGRAM || type === SOCK_RAW;
  return isKnown ? -ERRNO.EPROTONOSUPPORT : -ERRNO.ESOCKTNOSUPPORT;
}

function createUnix(
  network: Network,
  type: number,
  protocol: number,
  credentials: Credentials,
): UnixSocket | number {
  if (protocol !== 0 && protocol !== AF_UNIX) return -ERRNO.EPROTONOSUPPORT;
  const kind = { family: AF_UNIX, type, protocol: 0 };
  switch (type) {
    case SOCK_STREAM:
      return new UnixStreamSocket(network, kind, credentials);
    case SOCK_SEQPACKET:
      return new UnixSeqpacketSocket(network, kind, credentials);
    case SOCK_DGRAM:
    case SOCK_RAW:
      return new UnixDatagramSocket(network, { ...kind, type: SOCK_DGRAM }, credentials);
    default:
      return -ERRNO.ESOCKTNOSUPPORT;
  }
}

/** Makes two connected sockets: socketpair(2). @returns `-errno` where the family has none. */
export function createPair(
  network: Network,
  family: number,
  type: number,
  protocol = 0,
  credentials: Credentials = DEFAULT_CREDENTIALS,
): readonly [SocketFile, SocketFile] | number {
  const left = createSocket(network, family, type, protocol, credentials);
  if (typeof left === "number") return left;
  const right = createSocket(network, family, type, protocol, credentials);
  if (!(left instanceof UnixSocket) || !(right instanceof UnixSocket)) return -ERRNO.EOPNOTSUPP;
  left.pairWith(right);
  return [left, right];
}

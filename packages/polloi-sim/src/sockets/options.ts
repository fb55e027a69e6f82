/** getsockopt(2) and setsockopt(2) of the level SOL_SOCKET, and the way to the others. Source: socket(7); net/core/sock.c */
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  ERRNO,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  SO_ACCEPTCONN,
  SO_ATTACH_FILTER,
  SO_BROADCAST,
  SO_BUSY_POLL,
  SO_DEBUG,
  SO_DOMAIN,
  SO_DONTROUTE,
  SO_ERROR,
  SO_INCOMING_CPU,
  SO_KEEPALIVE,
  SO_LINGER,
  SO_MARK,
  SO_OOBINLINE,
  SO_PASSCRED,
  SO_PASSSEC,
  SO_PEERCRED,
  SO_PRIORITY,
  SO_PROTOCOL,
  SO_RCVBUF,
  SO_RCVLOWAT,
  SO_RCVTIMEO,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SO_SNDBUF,
  SO_SNDLOWAT,
  SO_SNDTIMEO,
  SO_TYPE,
  SO_ZEROCOPY,
  SOCK_STREAM,
  SOL_SOCKET,
  SOL_UDP,
  UDP_SEGMENT,
} from "polloi/internal/pure";
import {
  SO_ATTACH_REUSEPORT_CBPF,
  SO_DETACH_FILTER,
  SO_DETACH_REUSEPORT_BPF,
  SO_RCVBUFFORCE,
  SO_SNDBUFFORCE,
} from "./constants.ts";
import { Filter } from "./filter.ts";
import { getIp, getIpv6, setIp, setIpv6 } from "./ip-options.ts";
import { intOf, intValue, readInt, readStored, store } from "./option-values.ts";
import { ReuseGroup } from "./reuse-group.ts";
import type { SocketFile, SocketSettings } from "./socket-file.ts";
import { getTcp, setTcp } from "./tcp-options.ts";
import { TcpSocket } from "./tcp-socket.ts";
import { UdpSocket } from "./udp-socket.ts";
import { UnixSocket } from "./unix-socket.ts";

/** net.core.wmem_max and rmem_max. */
const MAX_BUFFER = 4_194_304;
const MIN_SEND_BUFFER = 4608;
const MIN_RECEIVE_BUFFER = 2304;
const MAX_INT = 0x7fff_ffff;

/** Flags that are fields of the settings. */
const FLAGS: Readonly<Record<number, keyof SocketSettings>> = {
  [SO_REUSEADDR]: "reuseAddress",
  [SO_REUSEPORT]: "reusePort",
  [SO_KEEPALIVE]: "keepAlive",
  [SO_BROADCAST]: "broadcast",
  [SO_OOBINLINE]: "isUrgentInline",
  [SO_PASSCRED]: "passCredentials",
};

/** Options that only read back, with their defaults. */
const STORED: Readonly<Record<number, number>> = {
  [SO_DEBUG]: 0,
  [SO_DONTROUTE]: 0,
  [SO_PRIORITY]: 0,
  [SO_INCOMING_CPU]: -1,
  [SO_PASSSEC]: 0,
  [SO_MARK]: 0,
  [SO_BUSY_POLL]: 0,
  [SO_ZEROCOPY]: 0,
};

/**
 * @returns The value, valid until the next call; or `-errno`. Source: net/ipv4/ip_sockglue.c, do_ip_getsockopt, and
 * net/ipv6/ipv6_sockglue.c, ipv6_getsockopt, for a level that is none of theirs
 */
export function getOption(socket: SocketFile, level: number, option: number): Uint8Array | number {
  if (level === SOL_SOCKET) return getSocket(socket, option);
  if (socket.family === AF_UNIX) return -ERRNO.EOPNOTSUPP;
  if (level === IPPROTO_TCP && socket instanceof TcpSocket) return getTcp(socket, option);
  // Source: net/ipv4/udp.c, udp_lib_getsockopt
  if (level === SOL_UDP && socket instanceof UdpSocket) {
    return option === UDP_SEGMENT ? intValue(socket.segment) : -ERRNO.ENOPROTOOPT;
  }
  if (level === IPPROTO_IP) return getIp(socket, option);
  if (socket.family === AF_INET) return -ERRNO.EOPNOTSUPP;
  return level === IPPROTO_IPV6 ? getIpv6(socket, option) : -ERRNO.ENOPROTOOPT;
}

/** @param value - The bytes; of a filter, its program. @returns 0 or `-errno`. */
export function setOption(
  socket: SocketFile,
  level: number,
  option: number,
  value: Uint8Array,
): number {
  if (level === SOL_SOCKET) return setSocket(socket, option, value);
  if (socket.family === AF_UNIX) return -ERRNO.EOPNOTSUPP;
  if (level === IPPROTO_TCP && socket instanceof TcpSocket) return setTcp(socket, option, value);
  if (level === SOL_UDP && socket instanceof UdpSocket) return setUdp(socket, option, value);
  if (level === IPPROTO_IP) return setIp(socket, option, value);
  if (level === IPPROTO_IPV6 && socket.family === AF_INET6) return setIpv6(socket, option, value);
  return -ERRNO.ENOPROTOOPT;
}

/** Source: net/ipv4/udp.c, udp_lib_setsockopt */
function setUdp(socket: UdpSocket, option: number, value: Uint8Array): number {
  const segment = intOf(value);
  if (segment === undefined) return -ERRNO.EINVAL;
  if (option !== UDP_SEGMENT) return -ERRNO.ENOPROTOOPT;
  if (segment < 0 || segment > 0xffff) return -ERRNO.EINVAL;
  socket.segment = segment;
  return 0;
}

/** Source: net/core/sock.c, sk_getsockopt */
function getSocket(socket: SocketFile, option: number): Uint8Array | number {
  const { settings } = socket;
  if (isOfUnix(option) && socket.family !== AF_UNIX) return -ERRNO.EOPNOTSUPP;
  const flag = FLAGS[option];
  if (flag !== undefined) return intValue(settings[flag] === true ? 1 : 0);
  switch (option) {
    case SO_TYPE:
      return intValue(socket.type);
    case SO_DOMAIN:
      return intValue(socket.family);
    case SO_PROTOCOL:
      return intValue(socket.protocol);
    case SO_ACCEPTCONN:
      return intValue(socket.isListening ? 1 : 0);
    case SO_ERROR:
      return intValue(-socket.takeError());
    case SO_SNDBUF:
      return intValue(settings.sendBuffer);
    case SO_RCVBUF:
      return intValue(settings.receiveBuffer);
    case SO_RCVLOWAT:
      return intValue(settings.receiveLowAt);
    case SO_SNDLOWAT:
      return intValue(1);
    case SO_LINGER: {
      const { lingerSeconds } = settings;
      return ints(lingerSeconds < 0 ? 0 : 1, Math.max(lingerSeconds, 0));
    }
    case SO_RCVTIMEO:
      return timeval(settings.receiveTimeoutMs);
    case SO_SNDTIMEO:
      return timeval(settings.sendTimeoutMs);
    case SO_PEERCRED: {
      const peer = socket instanceof UnixSocket ? socket.peerCredentials : undefined;
      return peer === undefined ? ints(0, -1, -1) : ints(peer.pid, peer.uid, peer.gid);
    }
    default:
      return readStored(settings, SOL_SOCKET, option, STORED);
  }
}

/** Source: net/core/sock.c, sk_setsockopt */
function setSocket(socket: SocketFile, option: number, value: Uint8Array): number {
  const { settings } = socket;
  switch (option) {
    case SO_ATTACH_FILTER:
    case SO_ATTACH_REUSEPORT_CBPF:
      return attach(socket, option, value);
    case SO_RCVTIMEO:
    case SO_SNDTIMEO:
      return setTimeout(settings, option, value);
    case SO_LINGER: {
      if (value.length < 8) return -ERRNO.EINVAL;
      settings.lingerSeconds = readInt(value, 0) === 0 ? -1 : readInt(value, 4);
      return 0;
    }
  }
  const number = intOf(value);
  if (number === undefined) return -ERRNO.EINVAL;
  if (isOfUnix(option) && socket.family !== AF_UNIX) return -ERRNO.EOPNOTSUPP;
  const flag = FLAGS[option];
  if (flag !== undefined) {
    const isInet = socket.family === AF_INET || socket.family === AF_INET6;
    if (option === SO_REUSEPORT && number !== 0 && !isInet) return -ERRNO.EOPNOTSUPP;
    Object.assign(settings, { [flag]: number !== 0 });
    return 0;
  }
  switch (option) {
    case SO_SNDBUF:
    case SO_SNDBUFFORCE:
      settings.sendBuffer = Math.max(limited(number) * 2, MIN_SEND_BUFFER);
      settings.isSendBufferLocked = true;
      socket.writeSpace();
      return 0;
    case SO_RCVBUF:
    case SO_RCVBUFFORCE:
      settings.receiveBuffer = Math.max(limited(number) * 2, MIN_RECEIVE_BUFFER);
      settings.isReceiveBufferLocked = true;
      if (socket instanceof TcpSocket) socket.resizeReceiveBuffer();
      return 0;
    case SO_RCVLOWAT:
      settings.receiveLowAt = number < 0 ? MAX_INT : Math.max(number, 1);
      if (socket instanceof TcpSocket) socket.receiveLowAtChanged();
      return 0;
    case SO_DETACH_FILTER:
      if (settings.filter === undefined) return -ERRNO.ENOENT;
      settings.filter = undefined;
      return 0;
    case SO_DETACH_REUSEPORT_BPF: {
      const group = groupOf(socket);
      if (group?.program === undefined) return -ERRNO.ENOENT;
      group.program = undefined;
      return 0;
    }
    default:
      return store(settings, { level: SOL_SOCKET, option, value: number }, STORED);
  }
}

/** Since Linux 6.16, only unix sockets have these. Source: net/core/sock.c, sk_may_scm_recv */
function isOfUnix(option: number): boolean {
  return option === SO_PASSCRED || option === SO_PASSSEC;
}

function limited(bytes: number): number {
  // A negative number is a large one without a sign.
  return bytes < 0 ? MAX_BUFFER : Math.min(bytes, MAX_BUFFER);
}

function groupOf(socket: SocketFile): ReuseGroup<TcpSocket> | ReuseGroup<UdpSocket> | undefined {
  return socket instanceof TcpSocket || socket instanceof UdpSocket ? socket.group : undefined;
}

/** Source: net/core/filter.c, sk_attach_filter and sk_reuseport_attach_filter */
function attach(socket: SocketFile, option: number, program: Uint8Array): number {
  const filter = Filter.of(program);
  if (filter === undefined) return -ERRNO.EINVAL;
  if (option === SO_ATTACH_FILTER) {
    socket.settings.filter = filter;
    return 0;
  }
  if (!(socket instanceof TcpSocket || socket instanceof UdpSocket)) return -ERRNO.EINVAL;
  if (!socket.settings.reusePort) return -ERRNO.EINVAL;
  const isListener = socket.type === SOCK_STREAM;
  if (socket instanceof TcpSocket && isListener) socket.group ??= new ReuseGroup();
  const group = groupOf(socket);
  if (group === undefined) return -ERRNO.EINVAL;
  group.program = filter;
  return 0;
}

/** Source: net/core/sock.c, sock_set_timeout */
function setTimeout(settings: SocketSettings, option: number, value: Uint8Array): number {
  if (value.length < 16) return -ERRNO.EINVAL;
  const view = new DataView(value.buffer, value.byteOffset, 16);
  const seconds = Number(view.getBigInt64(0, true));
  const micros = Number(view.getBigInt64(8, true));
  if (micros < 0 || micros >= 1_000_000) return -ERRNO.EDOM;
  const ms = seconds < 0 ? 0 : seconds * 1000 + micros / 1000;
  const timeout = ms === 0 && seconds >= 0 ? Number.POSITIVE_INFINITY : ms;
  if (option === SO_RCVTIMEO) settings.receiveTimeoutMs = timeout;
  else settings.sendTimeoutMs = timeout;
  return 0;
}

function timeval(ms: number): Uint8Array {
  const bytes = new Uint8Array(16);
  if (ms === Number.POSITIVE_INFINITY) return bytes;
  const view = new DataView(bytes.buffer);
  view.setBigInt64(0, BigInt(Math.floor(ms / 1000)), true);
  view.setBigInt64(8, BigInt(Math.round((ms % 1000) * 1000)), true);
  return bytes;
}

function ints(...values: number[]): Uint8Array {
  return new Uint8Array(Int32Array.from(values).buffer);
}

import { booleanOf, integerOf, type NamesOf, stringOf } from "../base/argument.ts";
import { ERRNO } from "../base/errno.ts";
import { show, typeError } from "../base/misuse.ts";
import { SysError } from "../base/sys-error.ts";
import type { Kernel } from "../sys/kernel.ts";
import { encodeAddress, familyOf, formatPath, portOf, type SocketAddress } from "./address.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  IP_ADD_MEMBERSHIP,
  IP_DROP_MEMBERSHIP,
  IP_MULTICAST_IF,
  IP_MULTICAST_LOOP,
  IP_MULTICAST_TTL,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_JOIN_GROUP,
  IPV6_LEAVE_GROUP,
  IPV6_MULTICAST_HOPS,
  IPV6_MULTICAST_IF,
  IPV6_MULTICAST_LOOP,
  IPV6_V6ONLY,
  SO_BROADCAST,
  SO_RCVBUF,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SO_SNDBUF,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_SOCKET,
} from "./constants.ts";
import { interfaceIndex } from "./interface.ts";
import { ipVersion, writeIPv4, writeIPv6 } from "./ip.ts";
import { LISTEN_ADDRESS, type ListenOptions, listenAddress, openServer } from "./listener.ts";
import { bindRaw, connectRaw, setIntOption } from "./raw.ts";
import { AT_ADDRESS, AT_BYTES } from "./scratch.ts";
import { checkSocket } from "./socket-error.ts";

/** The address of a datagram socket, and its options. */
export interface BindOptions
  extends Omit<ListenOptions, "backlog" | "nonBlocking" | "type" | "reuseAddr"> {
  /**
   * The only peer: the socket is connected to it, receives only its datagrams, and learns that it is not reachable. `send`
   * needs no address then.
   */
  readonly remote?: SocketAddress | undefined;
  /** Allows several sockets on one port, as for multicast: SO_REUSEADDR. Each datagram reaches one of them. Default false. */
  readonly reuseAddr?: boolean | undefined;
  /** Allows sending to a broadcast address: SO_BROADCAST. Default false. */
  readonly broadcast?: boolean | undefined;
  /** The number of routers that a multicast datagram may pass, from 0 to 255. Default 1. */
  readonly multicastTtl?: number | undefined;
  /** Whether sockets on this machine receive its multicast datagrams. Default true. */
  readonly multicastLoopback?: boolean | undefined;
  /** The network interface for multicast, by its name. Default: chosen by the routing table. */
  readonly multicastInterface?: string | undefined;
  /** The size of the kernel's buffer in bytes: SO_RCVBUF and SO_SNDBUF. The kernel doubles it, and limits it by sysctl. */
  readonly receiveBufferSize?: number | undefined;
  readonly sendBufferSize?: number | undefined;
}

const { backlog: _, reuseAddr: __, ...ADDRESS_OPTIONS } = LISTEN_ADDRESS;

export const BIND_OPTIONS: NamesOf<BindOptions> = {
  ...ADDRESS_OPTIONS,
  remote: true,
  reuseAddr: true,
  broadcast: true,
  multicastTtl: true,
  multicastLoopback: true,
  multicastInterface: true,
  receiveBufferSize: true,
  sendBufferSize: true,
};

const MAX_BUFFER = 0x3fff_ffff;

/**
 * Opens a datagram socket, non-blocking and close-on-exec: socket, options, bind, connect.
 *
 * @returns Its descriptor, which is the caller's to close.
 * @throws SysError `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`, `EMFILE`, `ECONNREFUSED` and others; misuse errors. Nothing
 * stays open.
 */
export function openDatagrams(kernel: Kernel, options: BindOptions): number {
  const { remote, path, family } = options;
  const isBound =
    (options.port ?? options.host ?? options.hostname ?? options.address) !== undefined;
  if (remote === undefined || isBound || path !== undefined) {
    const where = path === undefined && options.address === undefined;
    const { port: given = 0 } = options;
    const port = where ? portOf(given) : options.port;
    const remoteFamily = remote === undefined ? undefined : familyOf(remote);
    const wanted = family ?? (remoteFamily === AF_UNIX ? undefined : remoteFamily);
    const own = options.host === undefined && options.hostname === undefined ? wanted : family;
    const all = { ...options, port, family: own };
    return openServer(kernel, all, open);
  }
  return open(kernel, options);
}

function open(kernel: Kernel, options: BindOptions): number {
  const { libc, scratch } = kernel;
  const { remote } = options;
  const isBound = (options.port ?? options.path ?? options.address) !== undefined;
  const bound = isBound ? listenAddress(options) : undefined;
  const family = bound?.family ?? familyOf(remote as SocketAddress);
  // Encoded once before there is a descriptor: what is wrong with the addresses is found here.
  for (const address of [bound?.address, remote]) {
    if (address !== undefined) encodeAddress(scratch, AT_ADDRESS, address, family, kernel);
  }
  const settings = settingsOf(options, family);
  const { multicastInterface: name } = options;
  const index =
    name === undefined ? 0 : interfaceIndex(stringOf(name, "multicastInterface"), kernel);
  const address = bound?.address ?? (remote as SocketAddress);
  const type = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const fd = checkSocket(libc.socket(family, type, 0), "socket", address);
  try {
    for (const [level, option, value] of settings) {
      checkSocket(setIntOption(kernel, fd, level, option, value), "setsockopt", address);
    }
    if (index > 0) checkSocket(setInterface(kernel, fd, family, index), "setsockopt", address);
    if (bound !== undefined) {
      const result = bindRaw(kernel, fd, bound.address, family);
      if (result === -ERRNO.EADDRINUSE && bound.address.path !== undefined) {
        throw new SysError("bind", result, {
          address: formatPath(bound.address.path),
          hint: "a file is at that path, maybe of a program that ended without closing its socket: remove it",
        });
      }
      checkSocket(result, "bind", bound.address);
    }
    if (remote !== undefined) {
      checkSocket(connectRaw(kernel, fd, remote, family), "connect", remote);
    }
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

type Setting = readonly [level: number, option: number, value: number];

function settingsOf(options: BindOptions, family: number): readonly Setting[] {
  const { multicastTtl, multicastLoopback } = options;
  const flag = (name: "reuseAddr" | "reusePort" | "broadcast" | "dualStack"): number =>
    booleanOf(options[name], name, false) ? 1 : 0;
  const settings: Setting[] = [];
  const set = (level: number, option: number, value: number): void => {
    settings.push([level, option, value]);
  };
  const size = (name: "receiveBufferSize" | "sendBufferSize", option: number): void => {
    if (options[name] === undefined) return;
    set(SOL_SOCKET, option, integerOf(options[name], name, [1, MAX_BUFFER]));
  };
  size("receiveBufferSize", SO_RCVBUF);
  size("sendBufferSize", SO_SNDBUF);
  const dualStack = flag("dualStack");
  const [reuseAddr, reusePort, broadcast] = [
    flag("reuseAddr"),
    flag("reusePort"),
    flag("broadcast"),
  ];
  const ttl =
    multicastTtl === undefined ? undefined : integerOf(multicastTtl, "multicastTtl", [0, 255]);
  const loopback =
    multicastLoopback === undefined
      ? undefined
      : Number(booleanOf(multicastLoopback, "multicastLoopback"));
  if (family === AF_UNIX) return settings;
  if (reuseAddr) set(SOL_SOCKET, SO_REUSEADDR, 1);
  if (reusePort) set(SOL_SOCKET, SO_REUSEPORT, 1);
  if (broadcast) set(SOL_SOCKET, SO_BROADCAST, 1);
  if (family === AF_INET6) set(IPPROTO_IPV6, IPV6_V6ONLY, 1 - dualStack);
  // A dual-stack socket sends by either.
  const isDual = family === AF_INET6 && dualStack === 1;
  if (family === AF_INET || isDual) {
    if (ttl !== undefined) set(IPPROTO_IP, IP_MULTICAST_TTL, ttl);
    if (loopback !== undefined) set(IPPROTO_IP, IP_MULTICAST_LOOP, loopback);
  }
  if (family === AF_INET6) {
    if (ttl !== undefined) set(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, ttl);
    if (loopback !== undefined) set(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, loopback);
  }
  return settings;
}

/** Sends multicast datagrams through a network interface. @returns 0 or `-errno`. */
function setInterface(kernel: Kernel, fd: number, family: number, index: number): number {
  if (family === AF_UNIX) return -ERRNO.EOPNOTSUPP;
  if (family === AF_INET6) {
    const result = setIntOption(kernel, fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, index);
    if (result < 0) return result;
  }
  const result = setIPv4Group(kernel, fd, IP_MULTICAST_IF, "0.0.0.0", index);
  // A socket of IPv6 alone has no such option.
  return family === AF_INET6 ? 0 : result;
}

/** Sets an option that is a `struct ip_mreqn`: group, local address, index. @returns 0 or `-errno`. */
function setIPv4Group(
  { libc, scratch }: Kernel,
  fd: number,
  option: number,
  group: string,
  index: number,
): number {
  writeIPv4(scratch.u8, AT_BYTES, group);
  scratch.u32[(AT_BYTES + 4) >> 2] = 0;
  scratch.u32[(AT_BYTES + 8) >> 2] = index;
  return libc.setsockopt(fd, IPPROTO_IP, option, scratch.address + AT_BYTES, 12);
}

/** The beginning of 224.0.0.0/4 and of ff00::/8. */
const MULTICAST = /^(22[4-9]|23\d)\.|^ff[\da-f]{2}:/i;

const MEMBERSHIP_HINTS: Readonly<Partial<Record<number, string>>> = {
  [ERRNO.EADDRINUSE]: "the socket has joined this group already",
  [ERRNO.EADDRNOTAVAIL]: "the socket has not joined this group on this interface",
};

/**
 * Joins or leaves a multicast group.
 *
 * @param group - An IPv4 or IPv6 multicast address.
 * @param networkInterface - The name of a network interface. Default: chosen by the routing table.
 * @throws SysError `ENODEV` (no route for multicast), `EADDRINUSE` (joined already), `EADDRNOTAVAIL` (not joined); misuse errors.
 * @source ip(7), IP_ADD_MEMBERSHIP; ipv6(7)
 */
export function setMembership(
  kernel: Kernel,
  fd: number,
  group: string,
  networkInterface: string | undefined,
  joins: boolean,
): void {
  const { libc, scratch } = kernel;
  stringOf(group, "a group", "ERR_INVALID_ADDRESS");
  const index =
    networkInterface === undefined
      ? 0
      : interfaceIndex(stringOf(networkInterface, "an interface"), kernel);
  if (!MULTICAST.test(group) || ipVersion(group) === 0) {
    throw typeError(
      "ERR_INVALID_ADDRESS",
      `Cannot use ${show(group)} as a group: give a multicast address, such as "224.0.0.251"`,
    );
  }
  let result: number;
  if (ipVersion(group) === 4) {
    const option = joins ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP;
    result = setIPv4Group(kernel, fd, option, group, index);
  } else {
    // struct ipv6_mreq: group, index
    writeIPv6(scratch.u8, AT_BYTES, group);
    scratch.u32[(AT_BYTES + 16) >> 2] = index;
    const option = joins ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP;
    result = libc.setsockopt(fd, IPPROTO_IPV6, option, scratch.address + AT_BYTES, 20);
  }
  const hint = MEMBERSHIP_HINTS[-result];
  if (hint !== undefined) throw new SysError("setsockopt", result, { fd, hint });
  checkSocket(result, "setsockopt", null, fd);
}

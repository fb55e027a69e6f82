/** Options of IPv4 and IPv6. Source: ip(7), ipv6(7); net/ipv4/ip_sockglue.c, net/ipv6/ipv6_sockglue.c */
import {
  ERRNO,
  IP_BIND_ADDRESS_NO_PORT,
  IP_FREEBIND,
  IP_MTU_DISCOVER,
  IP_MULTICAST_LOOP,
  IP_MULTICAST_TTL,
  IP_PKTINFO,
  IP_RECVERR,
  IP_RECVTOS,
  IP_RECVTTL,
  IP_TOS,
  IP_TTL,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_DONTFRAG,
  IPV6_MTU_DISCOVER,
  IPV6_MULTICAST_HOPS,
  IPV6_MULTICAST_LOOP,
  IPV6_RECVERR,
  IPV6_RECVHOPLIMIT,
  IPV6_RECVPKTINFO,
  IPV6_RECVTCLASS,
  IPV6_TCLASS,
  IPV6_UNICAST_HOPS,
  IPV6_V6ONLY,
  SO_PRIORITY,
  SOL_SOCKET,
} from "polloi/internal/pure";
import { intOf, intValue, readStored, store } from "./option-values.ts";
import type { SocketFile } from "./socket-file.ts";

const DEFAULT_TTL = 64;

/** SO_PRIORITY that IP_TOS sets, by the type of service. Source: net/ipv4/route.c, ip_tos2prio */
const PRIORITIES: readonly number[] = [0, 2, 6, 4];
const STORED_PRIORITY: Readonly<Record<number, number>> = { [SO_PRIORITY]: 0 };

const STORED: Readonly<Record<number, number>> = {
  [IP_TOS]: 0,
  [IP_PKTINFO]: 0,
  [IP_MTU_DISCOVER]: 1,
  [IP_RECVERR]: 0,
  [IP_RECVTOS]: 0,
  [IP_FREEBIND]: 0,
  [IP_BIND_ADDRESS_NO_PORT]: 0,
  [IP_MULTICAST_TTL]: 1,
  [IP_MULTICAST_LOOP]: 1,
};

const STORED6: Readonly<Record<number, number>> = {
  [IPV6_UNICAST_HOPS]: 64,
  [IPV6_MULTICAST_HOPS]: 1,
  [IPV6_MULTICAST_LOOP]: 1,
  [IPV6_MTU_DISCOVER]: 1,
  [IPV6_RECVERR]: 0,
  [IPV6_RECVPKTINFO]: 0,
  [IPV6_RECVHOPLIMIT]: 0,
  [IPV6_RECVTCLASS]: 0,
  [IPV6_TCLASS]: 0,
  [IPV6_DONTFRAG]: 0,
};

/** Options of one byte are accepted as such, and none as 0. */
function intOrByte(value: Uint8Array): number {
  return intOf(value) ?? value[0] ?? 0;
}

export function getIp({ settings }: SocketFile, option: number): Uint8Array | number {
  if (option === IP_TTL) return intValue(settings.ttl);
  if (option === IP_RECVTTL) return intValue(settings.receiveTtl ? 1 : 0);
  return readStored(settings, IPPROTO_IP, option, STORED);
}

export function setIp({ settings }: SocketFile, option: number, value: Uint8Array): number {
  const number = intOrByte(value);
  if (option === IP_TTL) {
    if (number !== -1 && (number < 1 || number > 255)) return -ERRNO.EINVAL;
    settings.ttl = number === -1 ? DEFAULT_TTL : number;
    return 0;
  }
  if (option === IP_TOS) {
    const priority = PRIORITIES[(number & 0x1f) >> 3] as number;
    store(settings, { level: SOL_SOCKET, option: SO_PRIORITY, value: priority }, STORED_PRIORITY);
  }
  if (option === IP_RECVTTL) {
    settings.receiveTtl = number !== 0;
    return 0;
  }
  return store(settings, { level: IPPROTO_IP, option, value: number }, STORED);
}

export function getIpv6({ settings }: SocketFile, option: number): Uint8Array | number {
  if (option === IPV6_V6ONLY) return intValue(settings.isV6Only ? 1 : 0);
  return readStored(settings, IPPROTO_IPV6, option, STORED6);
}

export function setIpv6(socket: SocketFile, option: number, value: Uint8Array): number {
  const number = intOf(value);
  if (number === undefined) return -ERRNO.EINVAL;
  const { settings } = socket;
  if (option !== IPV6_V6ONLY) {
    return store(settings, { level: IPPROTO_IPV6, option, value: number }, STORED6);
  }
  // A bound socket keeps what it is.
  if (socket.hasLocalPort) return -ERRNO.EINVAL;
  settings.isV6Only = number !== 0;
  return 0;
}

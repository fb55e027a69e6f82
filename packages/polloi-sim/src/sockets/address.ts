/**
 * Addresses of sockets: `struct sockaddr` as bytes, and IP addresses as values.
 *
 * Sources: ip(7), ipv6(7), unix(7).
 */
import { AF_INET, AF_INET6, AF_UNIX } from "polloi/internal/pure";

export const SOCKADDR_IN_SIZE = 16;
export const SOCKADDR_IN6_SIZE = 28;
/** What IPv6 calls accept at least: the struct without its scope. Source: include/net/ipv6.h, SIN6_LEN_RFC2133 */
export const SOCKADDR_IN6_MIN = 24;
/** The offset of the path in a `sockaddr_un`. */
export const SUN_PATH = 2;
/** sizeof(struct sockaddr_un) */
export const SOCKADDR_UN_SIZE = 110;

const MAPPED = 0xffff;

/** An IP address: four words of 32 bits. An IPv4 address is IPv4-mapped, `::ffff:a.b.c.d`. */
export class Ip {
  static readonly ANY4: Ip = new Ip(0, 0, MAPPED, 0);
  static readonly ANY6: Ip = new Ip(0, 0, 0, 0);
  static readonly LOOPBACK4: Ip = new Ip(0, 0, MAPPED, 0x7f00_0001);
  static readonly LOOPBACK6: Ip = new Ip(0, 0, 0, 1);

  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;

  constructor(a: number, b: number, c: number, d: number) {
    this.a = a;
    this.b = b;
    this.c = c;
    this.d = d;
  }

  get isV4(): boolean {
    return this.a === 0 && this.b === 0 && this.c === MAPPED;
  }

  /** Whether it is the wildcard address of its family. */
  get isAny(): boolean {
    return this.d === 0 && this.a === 0 && this.b === 0 && (this.c === 0 || this.c === MAPPED);
  }

  /** Whether it is a loopback address: this machine has no others. */
  get isLoopback(): boolean {
    if (this.isV4) return this.d >>> 24 === 127;
    return this.a === 0 && this.b === 0 && this.c === 0 && this.d === 1;
  }

  equals(other: Ip): boolean {
    return this.d === other.d && this.a === other.a && this.b === other.b && this.c === other.c;
  }
}

/** An IP address and a port. */
export interface InetName {
  readonly ip: Ip;
  readonly port: number;
}

/** The family of a `sockaddr`; -1 when it is too short to have one. */
export function familyOf(address: Uint8Array): number {
  return address.length < 2 ? -1 : (address[0] as number) | ((address[1] as number) << 8);
}

/** Reads a `sockaddr_in`, or the beginning of a `sockaddr_in6`. */
export function readInetName(address: Uint8Array): InetName {
  const view = new DataView(address.buffer, address.byteOffset, address.byteLength);
  const port = view.getUint16(2);
  const ip =
    familyOf(address) === AF_INET6
      ? new Ip(view.getUint32(8), view.getUint32(12), view.getUint32(16), view.getUint32(20))
      : new Ip(0, 0, MAPPED, view.getUint32(4));
  return { ip, port };
}

/** Writes `name` as a `sockaddr` of `family`. */
export function inetSockaddr(family: number, { ip, port }: InetName): Uint8Array {
  const bytes = new Uint8Array(family === AF_INET6 ? SOCKADDR_IN6_SIZE : SOCKADDR_IN_SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, family, true);
  view.setUint16(2, port);
  if (family === AF_INET6) {
    view.setUint32(8, ip.a);
    view.setUint32(12, ip.b);
    view.setUint32(16, ip.c);
    view.setUint32(20, ip.d);
  } else {
    view.setUint32(4, ip.d);
  }
  return bytes;
}

/** The `sockaddr` of a port of the loopback address of IPv4. */
export function loopbackSockaddr(port: number): Uint8Array {
  return inetSockaddr(AF_INET, { ip: Ip.LOOPBACK4, port });
}

/** The `sockaddr` of a port of the loopback address of IPv6. */
export function loopback6Sockaddr(port: number): Uint8Array {
  return inetSockaddr(AF_INET6, { ip: Ip.LOOPBACK6, port });
}

/** The port of a `sockaddr_in` or `sockaddr_in6`. */
export function portOf(address: Uint8Array): number {
  return ((address[2] as number) << 8) | (address[3] as number);
}

/**
 * The `sockaddr` of a unix socket.
 *
 * @param name - A path, or an abstract name with a leading NUL; `""` for none.
 */
export function unixSockaddr(name: string | Uint8Array): Uint8Array {
  const path = typeof name === "string" ? new TextEncoder().encode(name) : name;
  const isPath = path.length > 0 && path[0] !== 0;
  const bytes = new Uint8Array(SUN_PATH + path.length + (isPath ? 1 : 0));
  bytes[0] = AF_UNIX;
  bytes.set(path, SUN_PATH);
  return bytes;
}

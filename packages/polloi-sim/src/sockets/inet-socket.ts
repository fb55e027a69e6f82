import { AF_INET, AF_INET6, AF_UNSPEC, ERRNO, SOCK_DGRAM } from "polloi/internal/pure";
import {
  familyOf,
  type InetName,
  Ip,
  inetSockaddr,
  readInetName,
  SOCKADDR_IN_SIZE,
  SOCKADDR_IN6_MIN,
} from "./address.ts";
import type { PortTable, PortUser } from "./ports.ts";
import { SocketFile } from "./socket-file.ts";

/** A socket of IPv4 or IPv6. An IPv6 one reaches IPv4 by mapped addresses. */
export abstract class InetSocket extends SocketFile implements PortUser {
  local: InetName = { ip: this.family === AF_INET6 ? Ip.ANY6 : Ip.ANY4, port: 0 };
  remote: InetName | undefined;
  /** Whether a program has chosen the port, so that it outlasts a connection: SOCK_BINDPORT_LOCK. */
  protected isPortLocked = false;
  /** Whether a program has chosen the address: SOCK_BINDADDR_LOCK. */
  protected isAddressLocked = false;
  /** Whether the port is its own, and not only the one of a former connection. */
  protected hasPort = false;

  protected abstract get ports(): PortTable;

  /** Source: net/ipv4/af_inet.c, __inet_bind; net/ipv6/af_inet6.c, __inet6_bind */
  bind(address: Uint8Array): number {
    const family = familyOf(address);
    if (this.family === AF_INET) {
      if (address.length < SOCKADDR_IN_SIZE) return -ERRNO.EINVAL;
      const isAny = family === AF_UNSPEC && readInetName(address).ip.isAny;
      if (family !== AF_INET && !isAny) return -ERRNO.EAFNOSUPPORT;
    } else {
      if (address.length < SOCKADDR_IN6_MIN) return -ERRNO.EINVAL;
      if (family !== AF_INET6) return -ERRNO.EAFNOSUPPORT;
    }
    const { ip, port } = readInetName(address);
    if (this.family === AF_INET6 && ip.isV4 && this.settings.isV6Only) return -ERRNO.EINVAL;
    if (!ip.isAny && !ip.isLoopback) return -ERRNO.EADDRNOTAVAIL;
    if (!this.canBind || this.hasPort) return -ERRNO.EINVAL;
    const wanted = this.local;
    this.local = { ip, port };
    if (this.network.world.faults.happens("forbidden")) {
      this.local = wanted;
      return -ERRNO.EACCES;
    }
    const result = port === 0 ? this.takeEphemeral() : this.#take(port);
    if (result < 0) this.local = { ip: this.#anyAddress(), port: wanted.port };
    else {
      this.isPortLocked = port !== 0;
      this.isAddressLocked = !ip.isAny;
      // An address of IPv6 excludes IPv4.
      if (!ip.isAny && !ip.isV4) this.settings.isV6Only = true;
    }
    return result;
  }

  #anyAddress(): Ip {
    return this.family === AF_INET6 ? Ip.ANY6 : Ip.ANY4;
  }

  /** Whether its state allows to bind it. */
  protected abstract get canBind(): boolean;

  #take(port: number): number {
    if (!this.ports.isFree(port, this)) return -ERRNO.EADDRINUSE;
    this.addPort();
    return 0;
  }

  /** Chooses a port. @returns 0 or `-EADDRINUSE`. */
  protected takeEphemeral(): number {
    const port = this.ports.ephemeral(this);
    if (port < 0) return port;
    this.local = { ip: this.local.ip, port };
    this.addPort();
    return 0;
  }

  protected addPort(): void {
    this.hasPort = true;
    this.ports.add(this);
  }

  /** @param isTimeWait - Whether the port stays in TIME_WAIT. */
  protected leavePort(isTimeWait = false): void {
    if (!this.hasPort) return;
    this.hasPort = false;
    if (isTimeWait) this.ports.retire(this);
    else this.ports.remove(this);
  }

  /**
   * Reads an address to send or connect to.
   *
   * @returns The address, in which a wildcard has become the loopback address; or `-errno`.
   */
  protected destinationOf(address: Uint8Array): InetName | number {
    const least = this.family === AF_INET ? SOCKADDR_IN_SIZE : SOCKADDR_IN6_MIN;
    if (address.length < least) return -ERRNO.EINVAL;
    const family = familyOf(address);
    // UDP takes an address without a family as one of IPv4.
    const isUnspecified = family === AF_UNSPEC && this.type === SOCK_DGRAM;
    if (family !== this.family && !isUnspecified) return -ERRNO.EAFNOSUPPORT;
    return this.reach(readInetName(address));
  }

  /** The address that a name reaches, or `-errno`. */
  protected reach({ ip, port }: InetName): InetName | number {
    if (ip.isV4 && this.family === AF_INET6 && this.settings.isV6Only) return -ERRNO.ENETUNREACH;
    const { ip: from } = this.local;
    if (from.isV4 && !from.isAny && !ip.isV4) return -ERRNO.EAFNOSUPPORT;
    if (ip.isAny) return { ip: ip.isV4 ? Ip.LOOPBACK4 : Ip.LOOPBACK6, port };
    // The machine has only its loopback interface.
    return ip.isLoopback ? { ip, port } : -ERRNO.ENETUNREACH;
  }

  /** Forgets an address that a connection has chosen. */
  protected resetAddress(): void {
    if (this.isAddressLocked) return;
    this.local = { ip: this.#anyAddress(), port: this.local.port };
  }

  /** The address that packets to `remote` come from. Source: the preferred source of the local routing table */
  protected sourceFor({ ip }: InetName): Ip {
    const from = this.local.ip;
    // To the other family, a bound address is no source.
    if (!from.isAny && from.isV4 === ip.isV4) return from;
    return ip.isV4 ? Ip.LOOPBACK4 : Ip.LOOPBACK6;
  }

  override get hasLocalPort(): boolean {
    return this.hasPort;
  }

  localName(): Uint8Array {
    return inetSockaddr(this.family, this.local);
  }

  protected remoteName(): Uint8Array | number {
    return this.remote === undefined || this.remote.port === 0
      ? -ERRNO.ENOTCONN
      : inetSockaddr(this.family, this.remote);
  }
}

import {
  AF_INET,
  AF_INET6,
  AF_UNSPEC,
  ERRNO,
  FIONREAD,
  IP_TTL,
  IPPROTO_IP,
  MSG_ERRQUEUE,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  POLLERR,
  POLLHUP,
  POLLRDHUP,
  POLLWRBAND,
  SIOCOUTQ,
  SOL_UDP,
  UDP_SEGMENT,
} from "polloi/internal/pure";
import {
  familyOf,
  type InetName,
  Ip,
  inetSockaddr,
  portOf,
  readInetName,
  SOCKADDR_IN_SIZE,
} from "./address.ts";
import {
  RCV_SHUTDOWN,
  READABLE,
  SEND_SHUTDOWN,
  SHUTDOWN_MASK,
  TCP_CLOSE,
  TCP_ESTABLISHED,
  WAKE_WRITABLE,
  WRITABLE,
} from "./constants.ts";
import { InetSocket } from "./inet-socket.ts";
import type { Network } from "./network.ts";
import { fit, type PortTable } from "./ports.ts";
import { hashOf, ReuseGroup } from "./reuse-group.ts";
import { type Control, type Credentials, type Message, SocketSettings } from "./socket-file.ts";
import { Wire } from "./wire.ts";

/** net.core.wmem_default and rmem_default. socket(7) */
const BUFFER = 212_992;
/** The most bytes of a datagram over IPv4 and IPv6. udp(7) */
const MAX_DATAGRAM = 65_507;
const MAX_DATAGRAM6 = 65_527;
/** The headers of UDP and IP, and a packet of the loopback interface. */
const HEADERS = 28;
const HEADERS6 = 48;
const PACKET = 65_536;
/** UDP_MAX_SEGMENTS */
const MAX_SEGMENTS = 128;
/** The memory of a datagram beyond its bytes, about. */
const OVERHEAD = 768;

interface Datagram {
  readonly bytes: Uint8Array;
  readonly from: InetName;
  readonly ttl: number;
}

/** A UDP socket. Source: udp(7); net/ipv4/udp.c, where each method names its function. */
export class UdpSocket extends InetSocket {
  /** The sockets that share its port by SO_REUSEPORT. */
  group: ReuseGroup<UdpSocket> | undefined;
  /** The option UDP_SEGMENT: the bytes of a segment of what is sent; 0 for none. */
  segment = 0;
  readonly #received: Datagram[] = [];
  #memory = 0;
  readonly #wire: Wire;

  constructor(
    network: Network,
    kind: { readonly family: number; readonly type: number; readonly protocol: number },
    credentials: Credentials,
  ) {
    super(network, kind, credentials, new SocketSettings(BUFFER, BUFFER), TCP_CLOSE);
    this.#wire = new Wire(network.world);
  }

  protected get ports(): PortTable {
    return this.network.udp;
  }

  protected get canBind(): boolean {
    return true;
  }

  protected override addPort(): void {
    super.addPort();
    if (!this.settings.reusePort) return;
    for (const other of this.ports.users(this.local.port)) {
      if (other === this || !(other instanceof UdpSocket) || other.group === undefined) continue;
      if (other.local.ip.equals(this.local.ip)) this.group = other.group;
    }
    this.group ??= new ReuseGroup();
    this.group.join(this);
  }

  /** Source: net/ipv4/datagram.c, __ip4_datagram_connect; net/ipv4/udp.c, __udp_disconnect */
  connect(address: Uint8Array): number {
    const family = familyOf(address);
    if (family < 0) return -ERRNO.EINVAL;
    if (family === AF_UNSPEC) {
      this.remote = undefined;
      this.state = TCP_CLOSE;
      if (!this.isPortLocked) {
        this.leavePort();
        this.resetAddress();
        this.local = { ip: this.local.ip, port: 0 };
      }
      return 0;
    }
    const bound = this.#autobind();
    if (bound < 0) return bound;
    const isExcluded = this.settings.isV6Only && family === AF_INET;
    const remote = isExcluded ? -ERRNO.EAFNOSUPPORT : this.destinationOf(address);
    if (typeof remote === "number") return remote;
    // An address that it has, even if of the other family, stays.
    const { ip, port } = this.local;
    this.local = { ip: ip.isAny ? this.sourceFor(remote) : ip, port };
    this.remote = remote;
    this.state = TCP_ESTABLISHED;
    return 0;
  }

  #autobind(): number {
    if (this.hasPort) return 0;
    return this.takeEphemeral() < 0 ? -ERRNO.EAGAIN : 0;
  }

  /** Source: net/ipv4/udp.c, udp_sendmsg */
  send(source: Uint8Array, flags = 0, message?: Message): number {
    // Whatever comes of it. Source: net/ipv4/af_inet.c, inet_send_prepare
    const bound = this.#autobind();
    if (bound < 0) return bound;
    const longest = this.family === AF_INET ? MAX_DATAGRAM : MAX_DATAGRAM6;
    if (this.family === AF_INET && source.length > 0xffff) return -ERRNO.EMSGSIZE;
    if (this.family === AF_INET && (flags & MSG_OOB) !== 0) return -ERRNO.EOPNOTSUPP;
    let to = this.remote;
    const name = this.#nameOf(message);
    if (typeof name === "number") return name;
    if (name !== undefined) {
      const given = this.destinationOf(name);
      if (typeof given === "number") return given;
      if (given.port === 0) return -ERRNO.EINVAL;
      to = given;
    }
    if (to === undefined) return -ERRNO.EDESTADDRREQ;
    // What IPv6 sends by IPv4 has an address. Source: net/ipv6/udp.c, udpv6_sendmsg
    if (to.port === 0 && to.ip.isV4 && this.family === AF_INET6) return -ERRNO.EINVAL;
    const segment = segmentOf(message?.controls ?? [], this.segment);
    if (segment < 0) return segment;
    const ttl = ttlOf(message?.controls ?? [], this.settings.ttl);
    if (ttl < 0) return ttl;
    if (source.length > longest) return -ERRNO.EMSGSIZE;
    // An error of an earlier datagram is reported by the next call.
    if (this.error !== 0) return this.takeError();
    if ((this.shutdowns & SEND_SHUTDOWN) !== 0) return -ERRNO.EPIPE;
    const { faults } = this.network.world;
    if (faults.happens("noBuffers")) return -ERRNO.ENOBUFS;
    if (faults.happens("forbidden")) return -ERRNO.EPERM;
    // Source: net/ipv4/udp.c, udp_send_skb
    if (segment > 0) {
      const headers = to.ip.isV4 ? HEADERS : HEADERS6;
      if (headers + Math.min(source.length, segment) > PACKET) return -ERRNO.EMSGSIZE;
      if (source.length > segment * MAX_SEGMENTS) return -ERRNO.EINVAL;
    }
    const from: InetName = { ip: this.sourceFor(to), port: this.local.port };
    const datagrams: Datagram[] = [];
    let at = 0;
    do {
      const end = segment > 0 ? at + segment : source.length;
      datagrams.push({ bytes: source.slice(at, end), from, ttl });
      at = end;
    } while (at < source.length);
    const target = to;
    if (this.#wire.isFast()) this.#arrive(datagrams, target);
    else this.#wire.carry(() => this.#arrive(datagrams, target));
    // The buffer is free when the datagram has been sent.
    this.writeSpace();
    return source.length;
  }

  /** Source: net/core/sock.c, sock_def_write_space */
  writeSpace(): void {
    if (!this.isDead) this.waiters.wake(WAKE_WRITABLE);
  }

  /** The address of a datagram, if it has one; or `-errno`. Source: net/ipv6/udp.c, udpv6_sendmsg */
  #nameOf(message: Message | undefined): Uint8Array | undefined | number {
    const name = message?.name;
    if (name === undefined || this.family === AF_INET) return name;
    const family = familyOf(name);
    if (family === AF_UNSPEC) return undefined;
    return family === AF_INET || family === AF_INET6 ? name : -ERRNO.EINVAL;
  }

  /** IPv6 reaches IPv4 also by addresses of IPv4. */
  protected override destinationOf(address: Uint8Array): InetName | number {
    if (this.family === AF_INET) return super.destinationOf(address);
    if (familyOf(address) !== AF_INET) {
      const to = super.destinationOf(address);
      // The wildcard address of IPv6 is this machine in the family of the socket's own address.
      const { ip } = this.local;
      const isAny = to === -ERRNO.EAFNOSUPPORT && ip.isV4 && readInetName(address).ip.isAny;
      return isAny ? { ip: Ip.LOOPBACK4, port: portOf(address) } : to;
    }
    if (this.settings.isV6Only) return -ERRNO.ENETUNREACH;
    return address.length < SOCKADDR_IN_SIZE ? -ERRNO.EINVAL : this.reach(readInetName(address));
  }

  /** The segments of what this socket has sent arrive at `to`. Source: net/ipv4/udp.c, udp_unicast_rcv_skb and udp_err */
  #arrive(datagrams: readonly Datagram[], to: InetName): void {
    const receiver = this.#find((datagrams[0] as Datagram).from, to);
    if (receiver !== undefined) {
      for (const datagram of datagrams) receiver.#receives(datagram);
      return;
    }
    // The error comes back by ICMP, to a socket that is connected to that address.
    const { remote } = this;
    if (remote === undefined || this.isDead) return;
    const isPort = remote.port === 0 || remote.port === to.port;
    if (!isPort || !remote.ip.equals(to.ip)) return;
    // One that was connected in the other family before still has that address.
    if (this.local.ip.isV4 !== to.ip.isV4) return;
    this.error = ERRNO.ECONNREFUSED;
    this.errorReported();
  }

  /** Source: net/ipv4/udp.c, __udp4_lib_lookup and compute_score */
  #find(from: InetName, to: InetName): UdpSocket | undefined {
    let best: UdpSocket | undefined;
    let bestScore = 0;
    for (const user of this.ports.users(to.port)) {
      if (!(user instanceof UdpSocket)) continue;
      const { remote } = user;
      if (remote !== undefined && !remote.ip.equals(from.ip)) continue;
      // A socket that is connected to port 0 receives from every port.
      if (remote !== undefined && remote.port !== 0 && remote.port !== from.port) continue;
      const fits = fit(user, to.ip);
      const score = fits < 0 ? -1 : fits + (remote === undefined ? 0 : 4);
      if (score > bestScore) [best, bestScore] = [user, score];
    }
    if (best?.group === undefined || best.remote !== undefined) return best;
    const hash = hashOf(from.port, to.port);
    return best.group.pick(new Uint8Array(0), hash, this.network.world.choices) ?? best;
  }

  /** Source: net/ipv4/udp.c, __udp_enqueue_schedule_skb */
  #receives(datagram: Datagram): void {
    const memory = datagram.bytes.length + OVERHEAD;
    // Without room it is lost. Nobody learns of it.
    if (this.#memory > 0 && this.#memory + memory > this.settings.receiveBuffer) return;
    this.#memory += memory;
    this.#received.push(datagram);
    this.dataReady();
  }

  /** Source: net/ipv4/udp.c, udp_recvmsg; net/core/datagram.c, __skb_try_recv_datagram */
  receive(target: Uint8Array, flags = 0, message?: Message): number {
    if ((flags & MSG_ERRQUEUE) !== 0) return -ERRNO.EAGAIN;
    if (this.error !== 0) return this.takeError();
    const datagram = this.#received[0];
    if (datagram === undefined) {
      return (this.shutdowns & RCV_SHUTDOWN) !== 0 && !this.isNonBlocking ? 0 : -ERRNO.EAGAIN;
    }
    const { bytes, from, ttl } = datagram;
    if ((flags & MSG_PEEK) === 0) {
      this.#received.shift();
      this.#memory -= bytes.length + OVERHEAD;
    }
    const count = Math.min(bytes.length, target.length);
    target.set(count === bytes.length ? bytes : bytes.subarray(0, count));
    if (message !== undefined) {
      message.name = inetSockaddr(this.family, from);
      if (count < bytes.length) message.flags |= MSG_TRUNC;
      if (this.settings.receiveTtl) message.controls = [ttlControl(ttl)];
    }
    return (flags & MSG_TRUNC) === 0 ? count : bytes.length;
  }

  /** Source: net/ipv4/af_inet.c, inet_shutdown */
  shutdown(how: number): number {
    if (how < 0 || how > 2) return -ERRNO.EINVAL;
    this.shutdowns |= how + 1;
    this.stateChanged();
    return this.state === TCP_CLOSE ? -ERRNO.ENOTCONN : 0;
  }

  protected destroyed(): void {
    this.group?.leave(this);
    this.leavePort();
    this.#received.length = 0;
  }

  /** Source: net/core/datagram.c, datagram_poll */
  poll(): number {
    let mask = WRITABLE | POLLWRBAND;
    if (this.error !== 0) mask |= POLLERR;
    if ((this.shutdowns & RCV_SHUTDOWN) !== 0) mask |= READABLE | POLLRDHUP;
    if (this.shutdowns === SHUTDOWN_MASK) mask |= POLLHUP;
    if (this.#received.length > 0) mask |= READABLE;
    return mask;
  }

  /** Source: net/ipv4/udp.c, udp_ioctl */
  override ioctl(request: number, value: DataView): number {
    if (request === FIONREAD) value.setInt32(0, this.#received[0]?.bytes.length ?? 0, true);
    else if (request === SIOCOUTQ) value.setInt32(0, 0, true);
    else return super.ioctl(request, value);
    return 0;
  }

  peerName(): Uint8Array | number {
    return this.remoteName();
  }
}

/** The bytes of a segment of a message. @returns `-EINVAL` for another control message of UDP. Source: net/ipv4/udp.c, udp_cmsg_send */
function segmentOf(controls: readonly Control[], segment: number): number {
  let result = segment;
  for (const { level, type, data } of controls) {
    if (level !== SOL_UDP) continue;
    if (type !== UDP_SEGMENT || data.length !== 2) return -ERRNO.EINVAL;
    result = new DataView(data.buffer, data.byteOffset).getUint16(0, true);
  }
  return result;
}

/** The time to live of a message: its own, or the one of its socket. @returns `-EINVAL` for another control message. */
function ttlOf(controls: readonly Control[], ttl: number): number {
  let result = ttl;
  for (const { level, type, data } of controls) {
    if (level !== IPPROTO_IP) continue;
    if (type !== IP_TTL || data.length < 4) return -ERRNO.EINVAL;
    result = new DataView(data.buffer, data.byteOffset).getInt32(0, true);
    if (result < 1 || result > 255) return -ERRNO.EINVAL;
  }
  return result;
}

function ttlControl(ttl: number): Control {
  return { level: IPPROTO_IP, type: IP_TTL, data: Uint8Array.of(ttl, 0, 0, 0) };
}

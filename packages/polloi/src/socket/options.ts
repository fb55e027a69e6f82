import { booleanOf, stringOf } from "../base/argument.ts";
import { numberError, show } from "../base/misuse.ts";
import {
  IP_TOS,
  IP_TTL,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  IPV6_V6ONLY,
  SO_ACCEPTCONN,
  SO_BROADCAST,
  SO_ERROR,
  SO_INCOMING_CPU,
  SO_KEEPALIVE,
  SO_LINGER,
  SO_OOBINLINE,
  SO_PASSCRED,
  SO_PEERCRED,
  SO_PRIORITY,
  SO_RCVBUF,
  SO_RCVLOWAT,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SO_SNDBUF,
  SOL_SOCKET,
  TCP_CONGESTION,
  TCP_CORK,
  TCP_DEFER_ACCEPT,
  TCP_FASTOPEN,
  TCP_FASTOPEN_CONNECT,
  TCP_INFO,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_MAXSEG,
  TCP_NODELAY,
  TCP_NOTSENT_LOWAT,
  TCP_QUICKACK,
  TCP_USER_TIMEOUT,
} from "./constants.ts";
import { decodeTcpInfo, TCP_INFO_SIZE, type TcpInfo } from "./tcp-info.ts";

/** The process at the other end of a unix socket, when it connected. unix(7) */
export interface Credentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** The part of a socket that options need. */
export interface OptionsOwner {
  getsockopt(level: number, option: number): number;
  getsockopt(level: number, option: number, length: number): Uint8Array;
  setsockopt(level: number, option: number, value: number | Uint8Array): void;
}

/** The longest name of a congestion control algorithm, with its NUL. */
const TCP_CA_NAME_MAX = 16;

/** `struct ucred`: pid, uid, gid. */
export const UCRED_SIZE = 12;

/**
 * The options of a socket by name: `socket.options.noDelay = true`.
 *
 * @remarks
 * Each access is a system call. The kernel may change a value: it doubles buffer sizes and rounds times. Other options are
 * accessed with `getsockopt` and `setsockopt`.
 *
 * An access throws SysError `ENOPROTOOPT` or `EOPNOTSUPP` if the socket has no such option, `EINVAL` or `EDOM` for a value
 * that the kernel refuses; TypeError `ERR_CLOSED` on a closed socket; and TypeError or RangeError `ERR_INVALID_OPTION` for
 * a value that the option cannot have.
 *
 * @source socket(7), tcp(7), ip(7), ipv6(7), unix(7)
 */
export class SocketOptions {
  readonly #owner: OptionsOwner;

  constructor(owner: OptionsOwner) {
    this.#owner = owner;
  }

  // Any socket.

  /** SO_REUSEADDR: allows binding a port whose former connections are still in TIME_WAIT. */
  get reuseAddr(): boolean {
    return this.#flag(SOL_SOCKET, SO_REUSEADDR);
  }
  set reuseAddr(on: boolean) {
    this.#setFlag(SOL_SOCKET, SO_REUSEADDR, on);
  }

  /** SO_REUSEPORT: allows several sockets on one port; the kernel distributes connections among them. */
  get reusePort(): boolean {
    return this.#flag(SOL_SOCKET, SO_REUSEPORT);
  }
  set reusePort(on: boolean) {
    this.#setFlag(SOL_SOCKET, SO_REUSEPORT, on);
  }

  /** SO_KEEPALIVE: probes an idle connection. See keepIdleSeconds, keepIntervalSeconds and keepCount. */
  get keepAlive(): boolean {
    return this.#flag(SOL_SOCKET, SO_KEEPALIVE);
  }
  set keepAlive(on: boolean) {
    this.#setFlag(SOL_SOCKET, SO_KEEPALIVE, on);
  }

  /** SO_BROADCAST: allows sending to a broadcast address. */
  get broadcast(): boolean {
    return this.#flag(SOL_SOCKET, SO_BROADCAST);
  }
  set broadcast(on: boolean) {
    this.#setFlag(SOL_SOCKET, SO_BROADCAST, on);
  }

  /** SO_OOBINLINE: receives urgent bytes in the stream. */
  get oobInline(): boolean {
    return this.#flag(SOL_SOCKET, SO_OOBINLINE);
  }
  set oobInline(on: boolean) {
    this.#setFlag(SOL_SOCKET, SO_OOBINLINE, on);
  }

  /**
   * SO_LINGER in seconds: how long close blocks until queued data is sent. null does not block, and the kernel sends the
   * data in the background. 0 drops the data and resets the connection.
   */
  get lingerSeconds(): number | null {
    const view = this.#struct(SOL_SOCKET, SO_LINGER, 8);
    return view.getInt32(0, true) === 0 ? null : view.getInt32(4, true);
  }
  set lingerSeconds(seconds: number | null) {
    const struct = new DataView(new ArrayBuffer(8));
    struct.setInt32(0, seconds === null ? 0 : 1, true);
    struct.setInt32(4, seconds === null ? 0 : countOf("lingerSeconds", seconds), true);
    this.#owner.setsockopt(SOL_SOCKET, SO_LINGER, new Uint8Array(struct.buffer));
  }

  /** SO_SNDBUF: the send buffer in bytes. The kernel doubles the value, for its own overhead. */
  get sendBufferSize(): number {
    return this.#owner.getsockopt(SOL_SOCKET, SO_SNDBUF);
  }
  set sendBufferSize(bytes: number) {
    this.#setCount("sendBufferSize", SOL_SOCKET, SO_SNDBUF, bytes);
  }

  /** SO_RCVBUF: the receive buffer in bytes. The kernel doubles the value. Set it before listen or connect to affect the window. */
  get receiveBufferSize(): number {
    return this.#owner.getsockopt(SOL_SOCKET, SO_RCVBUF);
  }
  set receiveBufferSize(bytes: number) {
    this.#setCount("receiveBufferSize", SOL_SOCKET, SO_RCVBUF, bytes);
  }

  /** SO_RCVLOWAT: the number of received bytes from which the socket is readable. */
  get receiveLowAt(): number {
    return this.#owner.getsockopt(SOL_SOCKET, SO_RCVLOWAT);
  }
  set receiveLowAt(bytes: number) {
    this.#setCount("receiveLowAt", SOL_SOCKET, SO_RCVLOWAT, bytes);
  }

  /** SO_PRIORITY: the queueing priority of sent packets, from 0 to 6 without privileges. */
  get priority(): number {
    return this.#owner.getsockopt(SOL_SOCKET, SO_PRIORITY);
  }
  set priority(priority: number) {
    this.#setCount("priority", SOL_SOCKET, SO_PRIORITY, priority);
  }

  /**
   * SO_INCOMING_CPU: the CPU that received the last packet, or -1. If set on a SO_REUSEPORT listener: the CPU whose
   * connections it prefers.
   */
  get incomingCpu(): number {
    return this.#owner.getsockopt(SOL_SOCKET, SO_INCOMING_CPU);
  }
  set incomingCpu(cpu: number) {
    this.#setCount("incomingCpu", SOL_SOCKET, SO_INCOMING_CPU, cpu);
  }

  /**
   * SO_ERROR: the pending error of the socket as a positive number, 0 if there is none. Reading clears it. This is the result
   * of a non-blocking connect.
   */
  get error(): number {
    return this.#owner.getsockopt(SOL_SOCKET, SO_ERROR);
  }

  /** SO_ACCEPTCONN: whether the socket listens. */
  get listening(): boolean {
    return this.#flag(SOL_SOCKET, SO_ACCEPTCONN);
  }

  // Unix sockets.

  /** SO_PEERCRED: the credentials of the peer. */
  get peerCredentials(): Credentials {
    return decodeCredentials(this.#owner.getsockopt(SOL_SOCKET, SO_PEERCRED, UCRED_SIZE));
  }

  /** SO_PASSCRED: `recvMsg` reports the sender's credentials with every message. */
  get passCredentials(): boolean {
    return this.#flag(SOL_SOCKET, SO_PASSCRED);
  }
  set passCredentials(on: boolean) {
    this.#setFlag(SOL_SOCKET, SO_PASSCRED, on);
  }

  // TCP.

  /** TCP_NODELAY: sends small writes at once instead of collecting them (Nagle's algorithm). */
  get noDelay(): boolean {
    return this.#flag(IPPROTO_TCP, TCP_NODELAY);
  }
  set noDelay(on: boolean) {
    this.#setFlag(IPPROTO_TCP, TCP_NODELAY, on);
  }

  /** TCP_CORK: holds back partial segments until it is cleared, at most 200 ms. */
  get cork(): boolean {
    return this.#flag(IPPROTO_TCP, TCP_CORK);
  }
  set cork(on: boolean) {
    this.#setFlag(IPPROTO_TCP, TCP_CORK, on);
  }

  /** TCP_QUICKACK: acknowledges at once. Not permanent: the kernel leaves and enters this mode by itself. */
  get quickAck(): boolean {
    return this.#flag(IPPROTO_TCP, TCP_QUICKACK);
  }
  set quickAck(on: boolean) {
    this.#setFlag(IPPROTO_TCP, TCP_QUICKACK, on);
  }

  /** TCP_DEFER_ACCEPT in seconds: for this long, a connection is accepted only after it has sent data. 0 is off. */
  get deferAcceptSeconds(): number {
    return this.#owner.getsockopt(IPPROTO_TCP, TCP_DEFER_ACCEPT);
  }
  set deferAcceptSeconds(seconds: number) {
    this.#setCount("deferAcceptSeconds", IPPROTO_TCP, TCP_DEFER_ACCEPT, seconds);
  }

  /** TCP_FASTOPEN: the most pending fast opens of a listener. 0 is off. RFC 7413 */
  get fastOpen(): number {
    return this.#owner.getsockopt(IPPROTO_TCP, TCP_FASTOPEN);
  }
  set fastOpen(pending: number) {
    this.#setCount("fastOpen", IPPROTO_TCP, TCP_FASTOPEN, pending);
  }

  /** TCP_FASTOPEN_CONNECT: delays a connect until the first send, and sends the data with it. */
  get fastOpenConnect(): boolean {
    return this.#flag(IPPROTO_TCP, TCP_FASTOPEN_CONNECT);
  }
  set fastOpenConnect(on: boolean) {
    this.#setFlag(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, on);
  }

  /** TCP_USER_TIMEOUT in milliseconds: how long sent data may stay unacknowledged. 0 is the system's default. RFC 5482 */
  get userTimeoutMs(): number {
    return this.#owner.getsockopt(IPPROTO_TCP, TCP_USER_TIMEOUT);
  }
  set userTimeoutMs(ms: number) {
    this.#setCount("userTimeoutMs", IPPROTO_TCP, TCP_USER_TIMEOUT, ms);
  }

  /** TCP_NOTSENT_LOWAT in bytes: the socket is writable while fewer bytes wait to be sent. 0 is off. */
  get notSentLowAt(): number {
    return this.#owner.getsockopt(IPPROTO_TCP, TCP_NOTSENT_LOWAT);
  }
  set notSentLowAt(bytes: number) {
    this.#setCount("notSentLowAt", IPPROTO_TCP, TCP_NOTSENT_LOWAT, bytes);
  }

  /** TCP_KEEPIDLE in seconds: how long a connection is idle before the first probe. */
  get keepIdleSeconds(): number {
    return this.#owner.getsockopt(IPPROTO_TCP, TCP_KEEPIDLE);
  }
  set keepIdleSeconds(seconds: number) {
    this.#setCount("keepIdleSeconds", IPPROTO_TCP, TCP_KEEPIDLE, seconds);
  }

  /** TCP_KEEPINTVL in seconds: the time between probes. */
  get keepIntervalSeconds(): number {
    return this.#owner.getsockopt(IPPROTO_TCP, TCP_KEEPINTVL);
  }
  set keepIntervalSeconds(seconds: number) {
    this.#setCount("keepIntervalSeconds", IPPROTO_TCP, TCP_KEEPINTVL, seconds);
  }

  /** TCP_KEEPCNT: the number of unanswered probes after which the connection fails. */
  get keepCount(): number {
    return this.#owner.getsockopt(IPPROTO_TCP, TCP_KEEPCNT);
  }
  set keepCount(probes: number) {
    this.#setCount("keepCount", IPPROTO_TCP, TCP_KEEPCNT, probes);
  }

  /** TCP_MAXSEG: the largest segment, in bytes. */
  get maxSegment(): number {
    return this.#owner.getsockopt(IPPROTO_TCP, TCP_MAXSEG);
  }
  set maxSegment(bytes: number) {
    this.#setCount("maxSegment", IPPROTO_TCP, TCP_MAXSEG, bytes);
  }

  /** TCP_CONGESTION: the name of the congestion control algorithm; net.ipv4.tcp_available_congestion_control lists them. */
  get congestion(): string {
    const bytes = this.#owner.getsockopt(IPPROTO_TCP, TCP_CONGESTION, TCP_CA_NAME_MAX);
    const end = bytes.indexOf(0);
    return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
  }
  set congestion(name: string) {
    const bytes = new TextEncoder().encode(stringOf(name, "congestion"));
    this.#owner.setsockopt(IPPROTO_TCP, TCP_CONGESTION, bytes);
  }

  /** TCP_INFO: the kernel's current state of the connection. */
  get tcpInfo(): TcpInfo {
    return decodeTcpInfo(this.#owner.getsockopt(IPPROTO_TCP, TCP_INFO, TCP_INFO_SIZE));
  }

  // IP.

  /** IPV6_V6ONLY: an IPv6 socket does not accept IPv4. */
  get ipv6Only(): boolean {
    return this.#flag(IPPROTO_IPV6, IPV6_V6ONLY);
  }
  set ipv6Only(on: boolean) {
    this.#setFlag(IPPROTO_IPV6, IPV6_V6ONLY, on);
  }

  /** IP_TTL: the most hops of a packet, from 1 to 255. */
  get ttl(): number {
    return this.#owner.getsockopt(IPPROTO_IP, IP_TTL);
  }
  set ttl(hops: number) {
    this.#setCount("ttl", IPPROTO_IP, IP_TTL, hops);
  }

  /** IP_TOS: the type-of-service byte of sent packets. */
  get typeOfService(): number {
    return this.#owner.getsockopt(IPPROTO_IP, IP_TOS);
  }
  set typeOfService(tos: number) {
    this.#setCount("typeOfService", IPPROTO_IP, IP_TOS, tos);
  }

  #flag(level: number, option: number): boolean {
    return this.#owner.getsockopt(level, option) !== 0;
  }

  #setFlag(level: number, option: number, on: boolean): void {
    this.#owner.setsockopt(level, option, booleanOf(on, "an option that is on or off") ? 1 : 0);
  }

  #setCount(name: string, level: number, option: number, value: number): void {
    this.#owner.setsockopt(level, option, countOf(name, value));
  }

  #struct(level: number, option: number, length: number): DataView {
    return viewOf(this.#owner.getsockopt(level, option, length));
  }
}

/** Reads a `ucred`. */
export function decodeCredentials(bytes: Uint8Array): Credentials {
  const view = viewOf(bytes);
  return {
    pid: view.getInt32(0, true),
    uid: view.getUint32(4, true),
    gid: view.getUint32(8, true),
  };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** -1 is the kernel's value for "none" or "the default". */
function countOf(name: string, value: number): number {
  if (Number.isInteger(value) && value >= -1 && value <= 0x7fffffff) return value;
  throw numberError(
    "ERR_INVALID_OPTION",
    value,
    `Cannot set ${name} to ${show(value)}: give an integer from 0 to ${0x7fffffff}`,
  );
}

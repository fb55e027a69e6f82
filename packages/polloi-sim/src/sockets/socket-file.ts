import { ERRNO, MSG_NOSIGNAL, POLLERR } from "polloi/internal/pure";
import { OpenFile } from "../process/open-file.ts";
import { TCP_LISTEN, WAKE_READABLE } from "./constants.ts";
import type { Filter } from "./filter.ts";
import { interfaceRequest, isInterfaceRequest } from "./interfaces.ts";
import type { Network } from "./network.ts";

/** Who a process is, for the other end of a unix socket. */
export interface Credentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** A message of ancillary data that is no descriptors and no credentials. */
export interface Control {
  readonly level: number;
  readonly type: number;
  readonly data: Uint8Array;
}

/** What goes beside the bytes of a message. A call that sends reads it, and one that receives fills it. */
export class Message {
  /** The `sockaddr` of the other end. */
  name: Uint8Array | undefined;
  /** The open files of SCM_RIGHTS. The receiver drops them. */
  files: readonly OpenFile[] | undefined;
  credentials: Credentials | undefined;
  controls: readonly Control[] = [];
  /** MSG_* bits of what was received: MSG_TRUNC, MSG_OOB, MSG_EOR. */
  flags = 0;
}

/** What a program can set on a socket of any kind, and what a TCP listener hands on. socket(7) */
export class SocketSettings {
  reuseAddress = false;
  reusePort = false;
  keepAlive = false;
  broadcast = false;
  isUrgentInline = false;
  passCredentials = false;
  /** -1 is off. */
  lingerSeconds = -1;
  /** SO_RCVTIMEO and SO_SNDTIMEO in milliseconds. */
  receiveTimeoutMs: number = Number.POSITIVE_INFINITY;
  sendTimeoutMs: number = Number.POSITIVE_INFINITY;
  receiveLowAt = 1;
  sendBuffer: number;
  receiveBuffer: number;
  /** Whether a program has set the size, so that the kernel does not adapt it. */
  isSendBufferLocked = false;
  isReceiveBufferLocked = false;
  noDelay = false;
  cork = false;
  notSentLowAt = 0;
  isV6Only = false;
  ttl = 64;
  receiveTtl = false;
  filter: Filter | undefined;
  congestion = "cubic";
  /** Options that only read back, by {@link storedKey}. */
  stored: Map<number, number> | undefined;

  constructor(sendBuffer: number, receiveBuffer: number) {
    this.sendBuffer = sendBuffer;
    this.receiveBuffer = receiveBuffer;
  }

  /** Takes over everything, as a socket that was accepted does. Source: net/core/sock.c, sk_clone_lock */
  inherit(from: SocketSettings): void {
    Object.assign(this, from);
    this.stored = from.stored === undefined ? undefined : new Map(from.stored);
  }
}

/** The key of an option in {@link SocketSettings.stored}. */
export function storedKey(level: number, option: number): number {
  return level * 0x1_0000 + option;
}

/**
 * A socket.
 *
 * @remarks
 * Programs use it by system calls, simulated peers use its methods directly. A method never waits: it returns `>= 0` or
 * `-errno`, and `-EAGAIN` or `-EINPROGRESS` where a blocking call waits until {@link OpenFile.waiters} are woken.
 * Addresses are the bytes of a `sockaddr`. Source: struct proto_ops in include/linux/net.h
 */
export abstract class SocketFile extends OpenFile {
  readonly kind = "socket";
  readonly network: Network;
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
  readonly settings: SocketSettings;
  /** The process that made it. */
  credentials: Credentials;
  /** A TCP_* state. */
  state: number;
  /** The pending error, positive: `sk_err`. */
  error = 0;
  /** RCV_SHUTDOWN and SEND_SHUTDOWN. */
  shutdowns = 0;
  /** Whether somebody waits for room: SOCK_NOSPACE. */
  protected hasNoSpace = false;

  protected constructor(
    network: Network,
    kind: { readonly family: number; readonly type: number; readonly protocol: number },
    credentials: Credentials,
    settings: SocketSettings,
    state: number,
  ) {
    super();
    this.network = network;
    this.family = kind.family;
    this.type = kind.type;
    this.protocol = kind.protocol;
    this.credentials = credentials;
    this.settings = settings;
    this.state = state;
  }

  /** bind(2) */
  abstract bind(address: Uint8Array): number;

  /** connect(2). @returns 0; `-EINPROGRESS` while it connects; `-errno`. */
  abstract connect(address: Uint8Array): number;

  /** The error of a send that comes before its ancillary data is read: 0 or `-errno`. */
  sendError(): number {
    return 0;
  }

  /** recv(2). @param message - Filled with what comes beside the bytes. */
  abstract receive(target: Uint8Array, flags?: number, message?: Message): number;

  /** send(2). @param message - What goes beside the bytes. */
  abstract send(source: Uint8Array, flags?: number, message?: Message): number;

  /** shutdown(2). @param how - SHUT_RD, SHUT_WR or SHUT_RDWR. */
  abstract shutdown(how: number): number;

  /** getsockname(2). @returns The `sockaddr`. */
  abstract localName(): Uint8Array;

  /** getpeername(2). @returns The `sockaddr`, or `-errno`. */
  abstract peerName(): Uint8Array | number;

  /** The `sockaddr` of the peer of a connection that may be over; undefined when there was none. */
  formerPeerName(): Uint8Array | undefined {
    return undefined;
  }

  /** listen(2) */
  listen(_backlog: number): number {
    return -ERRNO.EOPNOTSUPP;
  }

  /** accept(2). @returns The socket of the next connection, or `-errno`. */
  accept(): SocketFile | number {
    return -ERRNO.EOPNOTSUPP;
  }

  /** The result of a {@link SocketFile.connect} that a blocking call waits for: `-EAGAIN` until it is decided. */
  connectResult(): number {
    return 0;
  }

  /** Wakes those who wait for room, if there is enough: sk_write_space. */
  abstract writeSpace(): void;

  /** Releases a socket that has no descriptor, as the peers of a simulation have: what close(2) does. */
  close(): void {
    this.hold().drop();
  }

  /** Closes it with a reset instead of an end. socket(7), SO_LINGER */
  reset(): void {
    this.settings.lingerSeconds = 0;
    this.close();
  }

  /** Whether it has a port of its own. */
  get hasLocalPort(): boolean {
    return false;
  }

  /**
   * The bytes that wait to be received, as `msg_inq` reports them after a receive; -1 for a socket that does not.
   */
  get inQueue(): number {
    return -1;
  }

  /** Whether another connection waits at a listener; undefined for one that does not tell: `is_empty`. */
  get hasBacklog(): boolean | undefined {
    return undefined;
  }

  get isListening(): boolean {
    return this.state === TCP_LISTEN;
  }

  override get readTimeoutMs(): number {
    return this.settings.receiveTimeoutMs;
  }

  override get writeTimeoutMs(): number {
    return this.settings.sendTimeoutMs;
  }

  /** Source: net/socket.c, sock_read_iter */
  override read(target: Uint8Array): number {
    return target.length === 0 ? 0 : this.receive(target);
  }

  /** A peer that is gone causes no signal here: the programs of a simulation ignore SIGPIPE, as all runtimes do. */
  override write(source: Uint8Array): number {
    return this.send(source, MSG_NOSIGNAL);
  }

  /** Source: net/socket.c, sock_ioctl */
  override ioctl(request: number, value: DataView): number {
    return isInterfaceRequest(request) ? interfaceRequest(request, value) : -ERRNO.ENOTTY;
  }

  /** Reads and clears the pending error. @returns 0 or `-errno`. */
  takeError(): number {
    const error = this.error;
    this.error = 0;
    return error === 0 ? 0 : -error;
  }

  /** Whether the file has been released: SOCK_DEAD. */
  protected isDead = false;

  protected override released(): void {
    if (this.isDead) return;
    this.isDead = true;
    this.destroyed();
  }

  /** The last reference is gone: the `release` of the protocol. */
  protected abstract destroyed(): void;

  /** sk_data_ready. Source: net/core/sock.c, sock_def_readable */
  protected dataReady(): void {
    if (!this.isDead) this.waiters.wake(WAKE_READABLE);
  }

  /** sk_state_change. Source: net/core/sock.c, sock_def_wakeup */
  protected stateChanged(): void {
    if (!this.isDead) this.waiters.wakeAll();
  }

  /** sk_error_report. Source: net/core/sock.c, sock_def_error_report */
  protected errorReported(): void {
    if (!this.isDead) this.waiters.wake(POLLERR);
  }
}

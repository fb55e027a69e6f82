import {
  AF_UNSPEC,
  ERRNO,
  FIONREAD,
  MSG_ERRQUEUE,
  MSG_OOB,
  POLLERR,
  POLLHUP,
  POLLRDHUP,
  SHUT_RDWR,
  SIOCATMARK,
  SIOCOUTQ,
} from "polloi/internal/pure";
import { familyOf } from "./address.ts";
import {
  RCV_SHUTDOWN,
  READABLE,
  SHUTDOWN_MASK,
  TCP_CLOSE,
  TCP_ESTABLISHED,
  WAKE_WRITABLE,
} from "./constants.ts";
import type { Network } from "./network.ts";
import { type Credentials, type Message, SocketSettings } from "./socket-file.ts";
import { isUnixAddress, UNIX_BUFFER, UnixSocket } from "./unix-socket.ts";
import { UnixConnectionSocket } from "./unix-stream-socket.ts";

/** net.unix.max_dgram_qlen: how many datagrams wait at a socket that is not connected to the sender. */
const MAX_QUEUED = 10;

/** A unix socket of connections that keeps the boundaries of messages. */
export class UnixSeqpacketSocket extends UnixConnectionSocket {
  protected another(): UnixSeqpacketSocket {
    const { family, type, protocol } = this;
    return new UnixSeqpacketSocket(this.network, { family, type, protocol }, this.credentials);
  }

  override sendError(): number {
    if (this.error !== 0) return this.takeError();
    return this.state === TCP_ESTABLISHED ? 0 : -ERRNO.ENOTCONN;
  }

  /** Source: net/unix/af_unix.c, unix_seqpacket_sendmsg */
  send(source: Uint8Array, flags = 0, message?: Message): number {
    const error = this.sendError();
    if (error !== 0) return error;
    if ((flags & MSG_OOB) !== 0) return -ERRNO.EOPNOTSUPP;
    const { peer } = this;
    if (!(peer instanceof UnixSeqpacketSocket)) return -ERRNO.ENOTCONN;
    if (this.settings.passCredentials && !this.isBound) this.autobind();
    const packet = this.datagramOf(source, message);
    if (typeof packet === "number") return packet;
    if (peer.deliver(packet)) return source.length;
    this.free(packet);
    return -ERRNO.EPIPE;
  }

  /** Source: net/unix/af_unix.c, unix_seqpacket_recvmsg */
  receive(target: Uint8Array, flags = 0, message?: Message): number {
    if ((flags & MSG_ERRQUEUE) !== 0) return -ERRNO.EAGAIN;
    if (this.state !== TCP_ESTABLISHED) return -ERRNO.ENOTCONN;
    if ((flags & MSG_OOB) !== 0) return -ERRNO.EOPNOTSUPP;
    const result = this.receivePacket(target, flags, message);
    const isOver = result === -ERRNO.EAGAIN && (this.shutdowns & RCV_SHUTDOWN) !== 0;
    return isOver ? 0 : result;
  }
}

/** A unix datagram socket. */
export class UnixDatagramSocket extends UnixSocket {
  /** Senders that wait for room here. Source: net/unix/af_unix.c, unix_dgram_peer_wake_me */
  readonly #waitingSenders: Set<UnixDatagramSocket> = new Set();

  constructor(
    network: Network,
    kind: { readonly family: number; readonly type: number; readonly protocol: number },
    credentials: Credentials,
  ) {
    const settings = new SocketSettings(UNIX_BUFFER, UNIX_BUFFER);
    super(network, kind, credentials, settings, TCP_CLOSE);
  }

  protected connectedTo(peer: UnixSocket, credentials: Credentials): void {
    this.peer = peer;
    this.peerCredentials = credentials;
    this.state = TCP_ESTABLISHED;
  }

  /** Source: net/unix/af_unix.c, unix_dgram_connect */
  connect(address: Uint8Array): number {
    if (address.length < 2) return -ERRNO.EINVAL;
    if (familyOf(address) === AF_UNSPEC) {
      this.#disconnect();
      this.state = TCP_CLOSE;
      return 0;
    }
    // Whether or not there is a socket at the address.
    if (!isUnixAddress(address)) return -ERRNO.EINVAL;
    if (this.settings.passCredentials && !this.isBound) this.autobind();
    const other = this.find(address);
    if (typeof other === "number") return other;
    if (!(other instanceof UnixDatagramSocket)) return -ERRNO.EPROTOTYPE;
    if (!other.#takesFrom(this)) return -ERRNO.EPERM;
    if (this.peer !== other) this.#disconnect();
    this.peer = other;
    this.state = TCP_ESTABLISHED;
    return 0;
  }

  /** Parts from the peer. What it has sent is lost. Source: net/unix/af_unix.c, unix_dgram_disconnected */
  #disconnect(): void {
    const { peer } = this;
    this.peer = undefined;
    if (!(peer instanceof UnixDatagramSocket) || this.received.length === 0) return;
    for (const packet of this.received.splice(0)) this.free(packet);
    this.#wakeSenders();
    if (peer.isDead || peer.peer !== this) return;
    peer.error = ERRNO.ECONNRESET;
    peer.errorReported();
  }

  /** Source: net/unix/af_unix.c, unix_may_send */
  #takesFrom(sender: UnixDatagramSocket): boolean {
    return this.peer === undefined || this.peer === sender;
  }

  /** Whether the queue has no room for a sender that is not the peer. */
  #isFullFor(sender: UnixDatagramSocket): boolean {
    return this !== sender && this.peer !== sender && this.received.length > MAX_QUEUED;
  }

  /** Source: net/unix/af_unix.c, unix_dgram_sendmsg */
  send(source: Uint8Array, flags = 0, message?: Message): number {
    if ((flags & MSG_OOB) !== 0) return -ERRNO.EOPNOTSUPP;
    const name = message?.name;
    if (name !== undefined && !isUnixAddress(name)) return -ERRNO.EINVAL;
    if (this.settings.passCredentials && !this.isBound) this.autobind();
    const packet = this.datagramOf(source, message);
    if (typeof packet === "number") return packet;
    const other = name === undefined ? (this.peer ?? -ERRNO.ENOTCONN) : this.find(name);
    const failure = this.#admit(other);
    if (failure !== 0 || !(other instanceof UnixDatagramSocket)) {
      this.free(packet);
      return failure;
    }
    other.received.push(packet);
    other.dataReady();
    return source.length;
  }

  /** Whether a datagram can be delivered to `other`: 0 or `-errno`. */
  #admit(other: UnixSocket | number): number {
    if (typeof other === "number") return other;
    if (!(other instanceof UnixDatagramSocket)) return -ERRNO.EPROTOTYPE;
    if (!other.#takesFrom(this)) return -ERRNO.EPERM;
    if (other.isDead) {
      if (this.peer !== other) return -ERRNO.ECONNREFUSED;
      this.#disconnect();
      this.state = TCP_CLOSE;
      return -ERRNO.ECONNREFUSED;
    }
    if ((other.shutdowns & RCV_SHUTDOWN) !== 0) return -ERRNO.EPIPE;
    if (!other.#isFullFor(this)) return 0;
    if (this.peer === other) other.#waitingSenders.add(this);
    return -ERRNO.EAGAIN;
  }

  /** Source: net/unix/af_unix.c, unix_dgram_recvmsg */
  receive(target: Uint8Array, flags = 0, message?: Message): number {
    if ((flags & MSG_ERRQUEUE) !== 0) return -ERRNO.EAGAIN;
    if ((flags & MSG_OOB) !== 0) return -ERRNO.EOPNOTSUPP;
    const result = this.receivePacket(target, flags, message);
    if (result >= 0) this.#wakeSenders();
    // Only a call that could wait finds the end.
    const isOver = (this.shutdowns & RCV_SHUTDOWN) !== 0 && !this.isNonBlocking;
    return result === -ERRNO.EAGAIN && isOver ? 0 : result;
  }

  /** Source: net/unix/af_unix.c, unix_dgram_peer_wake_relay */
  #wakeSenders(): void {
    for (const sender of this.#waitingSenders) {
      if (!sender.isDead) sender.waiters.wake(WAKE_WRITABLE);
    }
    this.#waitingSenders.clear();
  }

  /** Source: net/unix/af_unix.c, unix_shutdown */
  shutdown(how: number): number {
    if (how < 0 || how > SHUT_RDWR) return -ERRNO.EINVAL;
    this.shutdowns |= how + 1;
    this.stateChanged();
    return 0;
  }

  writeSpace(): void {
    if (!this.isDead && this.isWritable) this.waiters.wake(WAKE_WRITABLE);
  }

  protected destroyed(): void {
    this.releaseName();
    this.shutdowns = SHUTDOWN_MASK;
    this.state = TCP_CLOSE;
    this.peer = undefined;
    this.#wakeSenders();
    for (const packet of this.received.splice(0)) this.free(packet);
  }

  /** Source: net/unix/af_unix.c, unix_dgram_poll */
  poll(): number {
    const { shutdowns, peer } = this;
    let mask = 0;
    if (this.error !== 0) mask |= POLLERR;
    if ((shutdowns & RCV_SHUTDOWN) !== 0) mask |= READABLE | POLLRDHUP;
    if (shutdowns === SHUTDOWN_MASK) mask |= POLLHUP;
    if (this.received.length > 0) mask |= READABLE;
    if (!this.isWritable) return mask;
    if (!(peer instanceof UnixDatagramSocket) || !peer.#isFullFor(this))
      return mask | WAKE_WRITABLE;
    peer.#waitingSenders.add(this);
    return mask;
  }

  /** Source: net/unix/af_unix.c, unix_inq_len */
  override ioctl(request: number, value: DataView): number {
    if (request === FIONREAD) value.setInt32(0, this.received[0]?.bytes.length ?? 0, true);
    else if (request === SIOCOUTQ) value.setInt32(0, this.sentMemory, true);
    else if (request === SIOCATMARK) return -ERRNO.EOPNOTSUPP;
    else return super.ioctl(request, value);
    return 0;
  }
}

import {
  AF_UNSPEC,
  ERRNO,
  FIONREAD,
  MSG_ERRQUEUE,
  MSG_OOB,
  MSG_PEEK,
  MSG_WAITALL,
  POLLERR,
  POLLHUP,
  POLLRDHUP,
  SHUT_RDWR,
  SIOCATMARK,
  SIOCOUTQ,
  SOCK_STREAM,
} from "polloi/internal/pure";
import { familyOf } from "./address.ts";
import {
  RCV_SHUTDOWN,
  READABLE,
  SEND_SHUTDOWN,
  SHUTDOWN_MASK,
  TCP_CLOSE,
  TCP_ESTABLISHED,
  TCP_LISTEN,
  WAKE_WRITABLE,
} from "./constants.ts";
import type { Network } from "./network.ts";
import { type Credentials, type Message, SocketSettings } from "./socket-file.ts";
import {
  type Packet,
  streamMemory,
  streamPacketLimit,
  UNIX_BUFFER,
  UnixSocket,
} from "./unix-socket.ts";

interface Kind {
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
}

/**
 * A unix socket of connections. {@link UnixStreamSocket} and UnixSeqpacketSocket differ in how bytes pass.
 *
 * @remarks
 * What is sent has arrived: there is no network between the ends.
 */
export abstract class UnixConnectionSocket extends UnixSocket {
  /** Connections that wait to be accepted. */
  readonly #backlog: UnixConnectionSocket[] = [];
  #maxBacklog = 0;

  constructor(network: Network, kind: Kind, credentials: Credentials) {
    const settings = new SocketSettings(UNIX_BUFFER, UNIX_BUFFER);
    super(network, kind, credentials, settings, TCP_CLOSE);
  }

  /** Makes the socket of the other end of a connection. */
  protected abstract another(): UnixConnectionSocket;

  /** Source: net/unix/af_unix.c, unix_listen */
  override listen(backlog: number): number {
    if (!this.isBound) return -ERRNO.EINVAL;
    if (this.state !== TCP_CLOSE && this.state !== TCP_LISTEN) return -ERRNO.EINVAL;
    this.#maxBacklog = backlog;
    this.state = TCP_LISTEN;
    this.peerCredentials = this.credentials;
    return 0;
  }

  /** Source: net/unix/af_unix.c, unix_stream_connect */
  connect(address: Uint8Array): number {
    if (familyOf(address) === AF_UNSPEC) return -ERRNO.EINVAL;
    const other = this.find(address);
    if (typeof other === "number") return other;
    if (this.settings.passCredentials && !this.isBound) this.autobind();
    if (!(other instanceof UnixConnectionSocket) || !other.isListening) return -ERRNO.ECONNREFUSED;
    if ((other.shutdowns & RCV_SHUTDOWN) !== 0) return -ERRNO.ECONNREFUSED;
    if (other.#backlog.length > other.#maxBacklog) return -ERRNO.EAGAIN;
    if (this.state !== TCP_CLOSE) {
      return this.state === TCP_ESTABLISHED ? -ERRNO.EISCONN : -ERRNO.EINVAL;
    }
    const child = this.another();
    child.credentials = other.credentials;
    child.settings.passCredentials = other.settings.passCredentials;
    child.inheritName(other);
    child.connectedTo(this, this.credentials);
    this.connectedTo(child, other.peerCredentials ?? other.credentials);
    other.#backlog.push(child);
    other.dataReady();
    return 0;
  }

  protected connectedTo(peer: UnixSocket, credentials: Credentials): void {
    this.peer = peer;
    this.peerCredentials = credentials;
    this.state = TCP_ESTABLISHED;
  }

  /** Source: net/unix/af_unix.c, unix_accept */
  override accept(): UnixConnectionSocket | number {
    if (this.state !== TCP_LISTEN) return -ERRNO.EINVAL;
    const child = this.#backlog.shift();
    if (child !== undefined) return child;
    // The shutdown is noticed by a wait only. net/core/datagram.c, __skb_wait_for_more_packets
    const isOver = (this.shutdowns & RCV_SHUTDOWN) !== 0 && !this.isNonBlocking;
    return isOver ? -ERRNO.EINVAL : -ERRNO.EAGAIN;
  }

  /** Source: net/unix/af_unix.c, unix_shutdown */
  shutdown(how: number): number {
    if (how < 0 || how > SHUT_RDWR) return -ERRNO.EINVAL;
    const halves = how + 1;
    this.shutdowns |= halves;
    this.stateChanged();
    const { peer } = this;
    if (peer instanceof UnixConnectionSocket) {
      if ((halves & RCV_SHUTDOWN) !== 0) peer.shutdowns |= SEND_SHUTDOWN;
      if ((halves & SEND_SHUTDOWN) !== 0) peer.shutdowns |= RCV_SHUTDOWN;
      peer.stateChanged();
    }
    return 0;
  }

  /** Source: net/unix/af_unix.c, unix_release_sock */
  protected destroyed(): void {
    this.releaseName();
    this.#hangUp(false);
    for (const child of this.#backlog.splice(0)) {
      child.isDead = true;
      child.#hangUp(true);
    }
  }

  /** @param isRefused - Whether it was never accepted. */
  #hangUp(isRefused: boolean): void {
    const { peer } = this;
    this.shutdowns = SHUTDOWN_MASK;
    this.state = TCP_CLOSE;
    this.peer = undefined;
    if (peer instanceof UnixConnectionSocket && !peer.isDead) {
      peer.shutdowns = SHUTDOWN_MASK;
      if (isRefused || this.#hasUnread()) peer.error = ERRNO.ECONNRESET;
      peer.stateChanged();
    }
    for (const packet of this.received.splice(0)) this.free(packet);
  }

  /** A first packet without bytes does not count: it could be what an urgent byte has left. */
  #hasUnread(): boolean {
    const [first, second] = this.received;
    if (first === undefined) return false;
    return first.bytes.length > first.consumed || second !== undefined;
  }

  writeSpace(): void {
    if (!this.isDead && this.isWritable) this.waiters.wake(WAKE_WRITABLE);
  }

  /** Source: net/unix/af_unix.c, unix_poll and unix_dgram_poll */
  poll(): number {
    const { shutdowns, state } = this;
    let mask = 0;
    if (this.error !== 0) mask |= POLLERR;
    if (shutdowns === SHUTDOWN_MASK || state === TCP_CLOSE) mask |= POLLHUP;
    if ((shutdowns & RCV_SHUTDOWN) !== 0) mask |= READABLE | POLLRDHUP;
    if (this.received.length > 0 || this.#backlog.length > 0) mask |= READABLE;
    if (this.isWritable) mask |= WAKE_WRITABLE;
    return mask;
  }

  /** Source: net/unix/af_unix.c, unix_ioctl */
  override ioctl(request: number, value: DataView): number {
    if (request === FIONREAD && this.state === TCP_LISTEN) return -ERRNO.EINVAL;
    if (request === FIONREAD) value.setInt32(0, this.unread, true);
    else if (request === SIOCOUTQ) value.setInt32(0, this.sentMemory, true);
    else if (request === SIOCATMARK) {
      // Urgent bytes of unix streams are not part of the simulation.
      if (this.type !== SOCK_STREAM) return -ERRNO.EOPNOTSUPP;
      value.setInt32(0, 0, true);
    } else return super.ioctl(request, value);
    return 0;
  }

  /** The bytes that wait to be received. */
  get unread(): number {
    return this.received.reduce((sum, { bytes, consumed }) => sum + bytes.length - consumed, 0);
  }

  /** The connections that wait at a listener, and their limit. */
  get backlog(): readonly [waiting: number, limit: number] {
    return [this.#backlog.length, this.#maxBacklog];
  }

  /** Takes a packet, unless the socket does not receive any more. */
  protected deliver(packet: Packet): boolean {
    if (this.isDead || (this.shutdowns & RCV_SHUTDOWN) !== 0) return false;
    this.received.push(packet);
    this.dataReady();
    return true;
  }
}

/** A unix stream socket. */
export class UnixStreamSocket extends UnixConnectionSocket {
  override get inQueue(): number {
    return this.unread;
  }

  protected another(): UnixStreamSocket {
    const { family, type, protocol } = this;
    return new UnixStreamSocket(this.network, { family, type, protocol }, this.credentials);
  }

  /** Source: net/unix/af_unix.c, unix_stream_sendmsg; net/core/sock.c, sock_alloc_send_pskb */
  send(source: Uint8Array, flags = 0, message?: Message): number {
    if ((flags & MSG_OOB) !== 0) return -ERRNO.EOPNOTSUPP;
    if (message?.name !== undefined) {
      return this.state === TCP_ESTABLISHED ? -ERRNO.EISCONN : -ERRNO.EOPNOTSUPP;
    }
    const { peer, settings } = this;
    if (!(peer instanceof UnixStreamSocket)) {
      // The other end is gone, or there never was one.
      return (this.shutdowns & SEND_SHUTDOWN) !== 0 && this.state === TCP_ESTABLISHED
        ? -ERRNO.EPIPE
        : -ERRNO.ENOTCONN;
    }
    if ((this.shutdowns & SEND_SHUTDOWN) !== 0) return -ERRNO.EPIPE;
    const { faults } = this.network.world;
    const limit = streamPacketLimit(settings.sendBuffer);
    let done = 0;
    while (done < source.length) {
      const failure = this.#admit(done > 0 && faults.happens("shortWrite"));
      if (failure !== 0) return done > 0 ? done : failure;
      const end = Math.min(done + limit, source.length);
      const bytes = this.network.bytes.copy(source, done, end);
      const memory = streamMemory(bytes.length);
      // Descriptors travel with the first packet.
      const packet = this.packetOf(bytes, memory, done === 0 ? message : undefined);
      if (!peer.deliver(packet)) {
        this.free(packet);
        return done > 0 ? done : -ERRNO.EPIPE;
      }
      done += bytes.length;
    }
    return done;
  }

  /** Whether there is memory for a packet: 0 or `-errno`. */
  #admit(isShort: boolean): number {
    if (this.error !== 0) return this.takeError();
    if (this.sentMemory >= this.settings.sendBuffer) return -ERRNO.EAGAIN;
    return isShort || this.network.world.faults.happens("noBuffers") ? -ERRNO.ENOBUFS : 0;
  }

  /** Source: net/unix/af_unix.c, unix_stream_read_generic */
  receive(target: Uint8Array, flags = 0, message?: Message): number {
    if ((flags & MSG_ERRQUEUE) !== 0) return -ERRNO.EAGAIN;
    if (this.state !== TCP_ESTABLISHED) return -ERRNO.EINVAL;
    if ((flags & MSG_OOB) !== 0) return -ERRNO.EINVAL;
    const isPeek = (flags & MSG_PEEK) !== 0;
    const { received, settings } = this;
    let first: Packet | undefined;
    let done = 0;
    for (let i = 0; ; ) {
      const packet = received[i];
      if (packet === undefined) break;
      // Bytes of different senders are not joined when their credentials are asked for.
      if (settings.passCredentials && first !== undefined) {
        if (!isSame(first.credentials, packet.credentials)) break;
      }
      first ??= packet;
      const { bytes, consumed, files } = packet;
      const count = Math.min(bytes.length - consumed, target.length - done);
      target.set(bytes.subarray(consumed, consumed + count), done);
      done += count;
      if (message !== undefined && packet === first) {
        message.name = packet.sender.boundName;
        if (settings.passCredentials) message.credentials = packet.credentials;
      }
      if (isPeek) {
        if (files !== undefined) {
          this.describe(packet, message, true);
          break;
        }
        i++;
      } else {
        packet.consumed += count;
        if (files !== undefined) this.describe(packet, message, false);
        if (packet.consumed < bytes.length) break;
        received.shift();
        this.free(packet);
        // A receive ends behind descriptors, so that they are not mixed with those of other bytes.
        if (files !== undefined) break;
      }
      if (done >= target.length) break;
    }
    const wanted = (flags & MSG_WAITALL) === 0 ? settings.receiveLowAt : target.length;
    // A receive that asks for more takes the error that ends the bytes, and reports the bytes.
    if (!isPeek && done < Math.min(wanted, target.length) && received.length === 0) {
      if (first !== undefined) this.error = 0;
    }
    if (first !== undefined) return done;
    if (this.error !== 0) return this.takeError();
    if ((this.shutdowns & RCV_SHUTDOWN) === 0) return -ERRNO.EAGAIN;
    // The end has credentials too, of nobody.
    if (message !== undefined && settings.passCredentials) message.credentials = NOBODY;
    return 0;
  }
}

const NOBODY: Credentials = { pid: 0, uid: 0, gid: 0 };

function isSame(a: Credentials, b: Credentials): boolean {
  return a.pid === b.pid && a.uid === b.uid && a.gid === b.gid;
}

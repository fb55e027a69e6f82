import { AF_UNIX, ERRNO, MSG_PEEK, MSG_TRUNC } from "polloi/internal/pure";
import type { OpenFile } from "../process/open-file.ts";
import { familyOf, SOCKADDR_UN_SIZE, SUN_PATH, unixSockaddr } from "./address.ts";
import { SEND_SHUTDOWN, TCP_LISTEN } from "./constants.ts";
import { type Credentials, type Message, SocketFile } from "./socket-file.ts";

/** net.core.wmem_default and rmem_default. socket(7) */
export const UNIX_BUFFER = 212_992;

const PAGE = 4096;
/** sizeof(struct skb_shared_info), behind the bytes of a packet, and sizeof(struct sk_buff), rounded. */
const SHARED_INFO = 320;
const SK_BUFF = 256;
/** The most bytes of a packet in one block of four pages. Source: include/linux/skbuff.h, SKB_MAX_ALLOC */
const MAX_BLOCK = 4 * PAGE - SHARED_INFO;
/** The most bytes of a packet in one page. SKB_MAX_HEAD(0) */
const MAX_HEAD = PAGE - SHARED_INFO;
/** UNIX_SKB_FRAGS_SZ */
const FRAGMENT_BYTES = 32_768;

/** The most bytes of one packet of a stream. Source: net/unix/af_unix.c, unix_stream_sendmsg */
export function streamPacketLimit(sendBuffer: number): number {
  return Math.min((sendBuffer >> 1) - 64, MAX_HEAD + FRAGMENT_BYTES);
}

/** The memory of a packet of a stream: its `truesize`. */
export function streamMemory(length: number): number {
  const paged = Math.min(length, wholePages(Math.max(0, length - MAX_HEAD)));
  return block(length - paged) + paged;
}

/** The memory of a datagram. Source: net/unix/af_unix.c, unix_dgram_sendmsg */
function datagramMemory(length: number): number {
  const paged = Math.min(length, wholePages(Math.max(0, length - MAX_BLOCK)));
  return block(length - paged) + paged;
}

function wholePages(bytes: number): number {
  return Math.ceil(bytes / PAGE) * PAGE;
}

/** A block of the allocator, which is a power of two. */
function block(bytes: number): number {
  return SK_BUFF + 2 ** Math.ceil(Math.log2(bytes + SHARED_INFO));
}

/** What a unix socket has received and a program has not read: an `sk_buff`. */
export interface Packet {
  readonly bytes: Uint8Array;
  /** The number of bytes that were read. */
  consumed: number;
  readonly memory: number;
  readonly sender: UnixSocket;
  readonly credentials: Credentials;
  /** Open files that travel with it, which it holds. */
  files: readonly OpenFile[] | undefined;
}

const UNNAMED: Uint8Array = unixSockaddr("");

/** A unix socket. Source: unix(7); net/unix/af_unix.c, where each method names its function. */
export abstract class UnixSocket extends SocketFile {
  /** The `sockaddr` that it is bound to. */
  #name: Uint8Array = UNNAMED;
  protected peer: UnixSocket | undefined;
  /** The credentials of the other end when it connected or listened: SO_PEERCRED. */
  peerCredentials: Credentials | undefined;
  protected readonly received: Packet[] = [];
  /** The memory of what it has sent and the other end has not read: sk_wmem_alloc. */
  protected sentMemory = 0;

  get isBound(): boolean {
    return this.#name !== UNNAMED;
  }

  localName(): Uint8Array {
    return this.#name;
  }

  /** The `sockaddr` for those who receive from it; undefined when it has none. Source: unix_copy_addr */
  get boundName(): Uint8Array | undefined {
    return this.isBound ? this.#name : undefined;
  }

  /** Source: net/unix/af_unix.c, unix_getname */
  peerName(): Uint8Array | number {
    return this.peer === undefined ? -ERRNO.ENOTCONN : this.peer.localName();
  }

  /** Source: net/unix/af_unix.c, unix_bind */
  bind(address: Uint8Array): number {
    if (familyOf(address) === AF_UNIX && address.length === SUN_PATH) {
      if (!this.isBound) this.autobind();
      return 0;
    }
    if (!isUnixAddress(address)) return -ERRNO.EINVAL;
    const { unix } = this.network;
    const path = address.subarray(SUN_PATH);
    if (path[0] === 0) {
      if (this.isBound) return -ERRNO.EINVAL;
      const result = unix.bindAbstract(this.type, path, this);
      if (result === 0) this.#name = address.slice();
      return result;
    }
    if (this.isBound) return -ERRNO.EINVAL;
    const text = pathOf(path);
    const result = unix.bindPath(text, this);
    if (result === 0) this.#name = unixSockaddr(path.slice(0, lengthOf(path)));
    return result;
  }

  protected autobind(): void {
    this.#name = unixSockaddr(this.network.unix.autobind(this.type, this));
  }

  /** Finds the socket at an address. Source: net/unix/af_unix.c, unix_find_other */
  protected find(address: Uint8Array): UnixSocket | number {
    if (!isUnixAddress(address)) return -ERRNO.EINVAL;
    const path = address.subarray(SUN_PATH);
    const { unix } = this.network;
    const found = path[0] === 0 ? unix.findAbstract(this.type, path) : unix.findPath(pathOf(path));
    if (typeof found === "number") return found;
    if (!(found instanceof UnixSocket) || found.isDead) return -ERRNO.ECONNREFUSED;
    return found.type === this.type ? found : -ERRNO.EPROTOTYPE;
  }

  /** Makes two sockets that are connected. socketpair(2) */
  pairWith(other: UnixSocket): void {
    this.connectedTo(other, other.credentials);
    other.connectedTo(this, this.credentials);
  }

  protected abstract connectedTo(peer: UnixSocket, credentials: Credentials): void;

  /** Sends no more than a packet. */
  protected packetOf(bytes: Uint8Array, memory: number, message: Message | undefined): Packet {
    this.sentMemory += memory;
    const files = message?.files;
    for (const file of files ?? []) file.hold();
    return {
      bytes,
      consumed: 0,
      memory,
      sender: this,
      credentials: message?.credentials ?? this.credentials,
      files,
    };
  }

  /** Fills in what comes beside the bytes of a packet. The receiver gets the references of its files. */
  protected describe(packet: Packet, message: Message | undefined, isPeek: boolean): void {
    const { files } = packet;
    if (!isPeek) packet.files = undefined;
    if (message === undefined) {
      if (!isPeek) for (const file of files ?? []) file.drop();
      return;
    }
    if (this.settings.passCredentials) message.credentials = packet.credentials;
    if (isPeek) for (const file of files ?? []) file.hold();
    message.files = files;
  }

  /**
   * Receives one packet, whole or truncated.
   *
   * @returns Its length; `-EAGAIN` when there is none. Source: net/unix/af_unix.c, __unix_dgram_recvmsg
   */
  protected receivePacket(target: Uint8Array, flags: number, message: Message | undefined): number {
    if (this.error !== 0) return this.takeError();
    const packet = this.received[0];
    if (packet === undefined) return -ERRNO.EAGAIN;
    const isPeek = (flags & MSG_PEEK) !== 0;
    const { bytes } = packet;
    const count = Math.min(bytes.length, target.length);
    target.set(count === bytes.length ? bytes : bytes.subarray(0, count));
    if (message !== undefined) {
      message.name = packet.sender.boundName;
      if (count < bytes.length) message.flags |= MSG_TRUNC;
    }
    this.describe(packet, message, isPeek);
    if (!isPeek) {
      this.received.shift();
      this.free(packet);
    }
    return (flags & MSG_TRUNC) === 0 ? count : bytes.length;
  }

  /**
   * Makes a packet of a datagram, if there is memory for it.
   *
   * @returns The packet, or `-errno`. Source: net/unix/af_unix.c, unix_dgram_sendmsg; net/core/sock.c, sock_alloc_send_pskb
   */
  protected datagramOf(source: Uint8Array, message: Message | undefined): Packet | number {
    if (source.length > this.settings.sendBuffer - 32) return -ERRNO.EMSGSIZE;
    if (this.error !== 0) return this.takeError();
    if ((this.shutdowns & SEND_SHUTDOWN) !== 0) return -ERRNO.EPIPE;
    if (this.sentMemory >= this.settings.sendBuffer) return -ERRNO.EAGAIN;
    if (this.network.world.faults.happens("noBuffers")) return -ERRNO.ENOBUFS;
    const bytes = this.network.bytes.copy(source, 0, source.length);
    return this.packetOf(bytes, datagramMemory(source.length), message);
  }

  /** A packet was read or dropped. Source: net/core/sock.c, sock_wfree */
  protected free({ sender, memory, files }: Packet): void {
    for (const file of files ?? []) file.drop();
    sender.sentMemory -= memory;
    sender.writeSpace();
  }

  /** Whether POLLOUT holds: three quarters of the buffer are free. Source: net/unix/af_unix.c, unix_writable */
  protected get isWritable(): boolean {
    return this.state !== TCP_LISTEN && this.sentMemory << 2 <= this.settings.sendBuffer;
  }

  /** Source: net/unix/af_unix.c, unix_write_space */
  abstract override writeSpace(): void;

  protected releaseName(): void {
    if (this.isBound && this.#name[SUN_PATH] === 0) {
      this.network.unix.removeAbstract(this.type, this.#name.subarray(SUN_PATH), this);
    }
  }

  /** A socket that was accepted has the name of its listener. */
  protected inheritName(from: UnixSocket): void {
    this.#name = from.#name;
  }
}

/** Source: net/unix/af_unix.c, unix_validate_addr */
export function isUnixAddress(address: Uint8Array): boolean {
  const { length } = address;
  return length > SUN_PATH && length <= SOCKADDR_UN_SIZE && familyOf(address) === AF_UNIX;
}

function lengthOf(path: Uint8Array): number {
  const end = path.indexOf(0);
  return end < 0 ? path.length : end;
}

/** A path as a tree of files takes it: with a character for each byte. */
function pathOf(path: Uint8Array): string {
  return String.fromCharCode(...path.subarray(0, lengthOf(path)));
}

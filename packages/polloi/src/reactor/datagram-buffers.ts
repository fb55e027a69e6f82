import { ERRNO } from "../base/errno.ts";
import {
  decodeAddress,
  encodeAddress,
  type InetAddress,
  type SocketAddress,
} from "../socket/address.ts";
import { AF_INET, AF_INET6, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_TRUNC } from "../socket/constants.ts";
import { readIPv4 } from "../socket/ip.ts";
import { SYS } from "../sys/abi.ts";
import type { Arena } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";

/** The datagrams that one call receives or sends. */
export const BATCH = 32;
/** The longest datagram. Those of UDP have at most 65,507 bytes. */
export const MAX_DATAGRAM_BYTES = 65_536;
/** The bytes of datagrams that wait for one call. */
const SEND_BYTES = 4 * MAX_DATAGRAM_BYTES;

/**
 * `struct mmsghdr`, in bytes: a `struct msghdr` and the length that was received or sent. recvmmsg(2)
 *
 * ```text
 *   0      8         16     24      32       40          48      56
 *   | name | namelen | iov  | count | control | length   | flags | length |
 * ```
 */
const HEADER = { name: 0, nameLength: 8, vector: 16, vectorCount: 24, flags: 48, length: 56 };
const HEADER_SIZE = 64;
/** `struct iovec`: an address and a length. */
const VECTOR_SIZE = 16;
/** `sizeof(struct sockaddr_storage)`. */
const NAME_SIZE = 128;

const SOCKADDR_IN_SIZE = 16;
const SOCKADDR_IN6_SIZE = 28;

const HEADERS_AT = 0;
const VECTORS_AT = BATCH * HEADER_SIZE;
const NAMES_AT = VECTORS_AT + BATCH * VECTOR_SIZE;
const BYTES_AT = NAMES_AT + BATCH * NAME_SIZE;

/** The addresses of IPv4 that are remembered. */
const MOST_KNOWN = 4096;

/** An address of IPv4 that a datagram came from. It is written into memory without being parsed again. */
class KnownAddress implements InetAddress {
  readonly address: string;
  readonly port: number;
  readonly family: typeof AF_INET = AF_INET;
  readonly #ip: number;

  constructor(address: string, port: number, ip: number) {
    this.address = address;
    this.port = port;
    this.#ip = ip;
  }

  /** Writes it as the `sockaddr` of a socket of `family`. @returns Its length. */
  write({ u8, view }: Arena, offset: number, family: number): number {
    if (family === AF_INET) {
      view.setUint16(offset, AF_INET, true);
      view.setUint16(offset + 2, this.port);
      view.setUint32(offset + 4, this.#ip);
      return SOCKADDR_IN_SIZE;
    }
    u8.fill(0, offset, offset + SOCKADDR_IN6_SIZE);
    view.setUint16(offset, AF_INET6, true);
    view.setUint16(offset + 2, this.port);
    view.setUint16(offset + 18, 0xffff);
    view.setUint32(offset + 20, this.#ip);
    return SOCKADDR_IN6_SIZE;
  }
}

/** Whether it is an address that a datagram came from, and so needs no check. */
export function isKnown(address: SocketAddress): boolean {
  return address instanceof KnownAddress;
}

/** A socket whose datagrams are in the memory to send from. */
export interface Sender {
  /** Sends them. */
  flush(): void;
}

/**
 * The memory with which all datagram sockets of a reactor receive and send, many datagrams in one call.
 *
 * @remarks
 * A socket receives and calls its handler for each datagram before another one receives, and the datagrams of only one
 * socket wait to be sent. So the memory does not depend on the number of sockets.
 *
 * @source recvmmsg(2), sendmmsg(2), recvfrom(2), sendto(2)
 */
export class DatagramBuffers {
  /** The socket whose datagrams wait to be sent. */
  sender: Sender | null = null;
  /** The number of these datagrams. */
  count = 0;
  readonly #kernel: Kernel;
  readonly #in: Arena;
  readonly #out: Arena;
  /** The number of headers whose lengths the last call has changed. */
  #used = BATCH;
  #outBytes = 0;
  /** Whether the kernel has the calls for many datagrams; a seccomp profile may forbid them. */
  #hasBatches = true;
  readonly #known: Map<number, KnownAddress> = new Map();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#in = kernel.arenas.map(BYTES_AT + BATCH * MAX_DATAGRAM_BYTES);
    try {
      this.#out = kernel.arenas.map(BYTES_AT + SEND_BYTES);
    } catch (error) {
      kernel.arenas.release(this.#in);
      throw error;
    }
    for (const arena of [this.#in, this.#out]) {
      for (let i = 0; i < BATCH; i++) {
        const header = HEADERS_AT + i * HEADER_SIZE;
        arena.setWord(header + HEADER.name, arena.address + NAMES_AT + i * NAME_SIZE);
        arena.setWord(header + HEADER.vector, arena.address + VECTORS_AT + i * VECTOR_SIZE);
        arena.setWord(header + HEADER.vectorCount, 1);
      }
    }
    for (let i = 0; i < BATCH; i++) {
      const vector = VECTORS_AT + i * VECTOR_SIZE;
      this.#in.setWord(vector, this.#in.address + BYTES_AT + i * MAX_DATAGRAM_BYTES);
      this.#in.setWord(vector + 8, MAX_DATAGRAM_BYTES);
    }
  }

  /** Receives up to {@link BATCH} datagrams. @returns Their number, or `-errno`. */
  receive(fd: number): number {
    if (!this.#hasBatches) return this.receiveOne(fd);
    const { address, u32 } = this.#in;
    for (let i = 0; i < this.#used; i++) {
      u32[(HEADERS_AT + i * HEADER_SIZE + HEADER.nameLength) >> 2] = NAME_SIZE;
    }
    this.#used = 0;
    const at = address + HEADERS_AT;
    const count = this.#kernel.libc.syscall(SYS.recvmmsg, fd, at, BATCH, MSG_DONTWAIT, 0, 0);
    if (count === -ERRNO.ENOSYS || count === -ERRNO.EPERM) {
      this.#hasBatches = false;
      return this.receiveOne(fd);
    }
    this.#used = Math.max(count, 0);
    return count;
  }

  /**
   * Receives a datagram. It costs less than {@link DatagramBuffers.receive}, which looks for a second one.
   *
   * @returns 1, or `-errno`.
   */
  receiveOne(fd: number): number {
    const { address, u32 } = this.#in;
    const nameLength = HEADERS_AT + HEADER.nameLength;
    u32[nameLength >> 2] = NAME_SIZE;
    this.#used = Math.max(this.#used, 1);
    const length = this.#kernel.libc.recvfrom(
      fd,
      address + BYTES_AT,
      MAX_DATAGRAM_BYTES,
      // The length of the datagram, and not of what fits.
      MSG_DONTWAIT | MSG_TRUNC,
      address + NAMES_AT,
      address + nameLength,
    );
    if (length < 0) return length;
    u32[(HEADERS_AT + HEADER.length) >> 2] = length;
    u32[(HEADERS_AT + HEADER.flags) >> 2] = length > MAX_DATAGRAM_BYTES ? MSG_TRUNC : 0;
    return 1;
  }

  /** The arena that received datagrams are in. */
  get arena(): Arena {
    return this.#in;
  }

  /** Where the bytes of a received datagram begin in {@link DatagramBuffers.arena}. */
  offsetOf(index: number): number {
    return BYTES_AT + index * MAX_DATAGRAM_BYTES;
  }

  lengthOf(index: number): number {
    return this.#in.u32[(HEADERS_AT + index * HEADER_SIZE + HEADER.length) >> 2] as number;
  }

  /** Whether a received datagram was longer than {@link MAX_DATAGRAM_BYTES}. */
  isCut(index: number): boolean {
    const flags = this.#in.u32[(HEADERS_AT + index * HEADER_SIZE + HEADER.flags) >> 2] as number;
    return (flags & MSG_TRUNC) !== 0;
  }

  /** The sender of a received datagram; an unnamed path for a unix socket that is not bound. */
  senderOf(index: number): SocketAddress {
    const { view, u8, u32 } = this.#in;
    const at = NAMES_AT + index * NAME_SIZE;
    const length = u32[(HEADERS_AT + index * HEADER_SIZE + HEADER.nameLength) >> 2] as number;
    const family = length === 0 ? 0 : view.getUint16(at, true);
    if (family === AF_INET) return this.#knownAt(at + 4, view.getUint16(at + 2));
    const isMapped =
      family === AF_INET6 &&
      view.getUint32(at + 8) === 0 &&
      view.getUint32(at + 12) === 0 &&
      view.getUint32(at + 16) === 0xffff;
    if (isMapped) return this.#knownAt(at + 20, view.getUint16(at + 2));
    return decodeAddress({ view, u8 } as Arena, at, length) ?? { path: "" };
  }

  /**
   * Adds a datagram of {@link DatagramBuffers.sender}.
   *
   * @param to - The address; undefined on a connected socket.
   * @returns false if there is no room: those that wait must be sent first.
   * @throws as `encodeAddress`.
   */
  add(bytes: Uint8Array, to: SocketAddress | undefined, family: number): boolean {
    const { count } = this;
    if (count === BATCH || this.#outBytes + bytes.length > SEND_BYTES) return false;
    const out = this.#out;
    const name = NAMES_AT + count * NAME_SIZE;
    const length = to === undefined ? 0 : this.#writeAddress(to, name, family);
    const header = HEADERS_AT + count * HEADER_SIZE;
    // A connected socket has no name, which is a null pointer.
    out.setWord(header + HEADER.name, length === 0 ? 0 : out.address + name);
    out.u32[(header + HEADER.nameLength) >> 2] = length;
    const vector = VECTORS_AT + count * VECTOR_SIZE;
    const at = BYTES_AT + this.#outBytes;
    out.u8.set(bytes, at);
    out.setWord(vector, out.address + at);
    out.setWord(vector + 8, bytes.length);
    this.#outBytes += bytes.length;
    this.count++;
    return true;
  }

  /** Sends datagrams from `index` on. @returns How many were sent, or `-errno` of the first. */
  send(fd: number, index: number): number {
    const { libc } = this.#kernel;
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    if (this.#hasBatches && this.count - index > 1) {
      const at = this.#out.address + HEADERS_AT + index * HEADER_SIZE;
      const sent = libc.syscall(SYS.sendmmsg, fd, at, this.count - index, flags, 0, 0);
      if (sent !== -ERRNO.ENOSYS && sent !== -ERRNO.EPERM) return sent;
      this.#hasBatches = false;
    }
    const { u32 } = this.#out;
    const nameLength = u32[(HEADERS_AT + index * HEADER_SIZE + HEADER.nameLength) >> 2] as number;
    const name = nameLength === 0 ? 0 : this.#out.address + NAMES_AT + index * NAME_SIZE;
    const bytes = this.#addressOf(index);
    const sent = libc.sendto(fd, bytes, this.#lengthOf(index), flags, name, nameLength);
    return sent < 0 ? sent : 1;
  }

  /** The address of the bytes of a datagram that waits. */
  #addressOf(index: number): number {
    const { u32 } = this.#out;
    const vector = (VECTORS_AT + index * VECTOR_SIZE) >> 2;
    return (u32[vector] as number) + (u32[vector + 1] as number) * 0x1_0000_0000;
  }

  #lengthOf(index: number): number {
    return this.#out.u32[(VECTORS_AT + index * VECTOR_SIZE + 8) >> 2] as number;
  }

  /** A copy of a datagram that waits, and its address. */
  waiting(index: number): { readonly bytes: Uint8Array; readonly to: SocketAddress | undefined } {
    const out = this.#out;
    const at = this.#addressOf(index) - out.address;
    const nameLength = out.u32[
      (HEADERS_AT + index * HEADER_SIZE + HEADER.nameLength) >> 2
    ] as number;
    const name = NAMES_AT + index * NAME_SIZE;
    const to = nameLength === 0 ? undefined : (decodeAddress(out, name, nameLength) ?? undefined);
    return { bytes: out.u8.slice(at, at + this.#lengthOf(index)), to };
  }

  /** All datagrams that waited are sent or taken over. */
  clear(): void {
    this.count = 0;
    this.#outBytes = 0;
    this.sender = null;
  }

  dispose(): void {
    this.#kernel.arenas.release(this.#in);
    this.#kernel.arenas.release(this.#out);
  }

  #knownAt(at: number, port: number): KnownAddress {
    const { view, u8 } = this.#in;
    const ip = view.getUint32(at);
    const key = ip * 0x1_0000 + port;
    let known = this.#known.get(key);
    if (known === undefined) {
      known = new KnownAddress(readIPv4(u8, at), port, ip);
      if (this.#known.size >= MOST_KNOWN) this.#known.clear();
      this.#known.set(key, known);
    }
    return known;
  }

  #writeAddress(to: SocketAddress, offset: number, family: number): number {
    if (to instanceof KnownAddress) return to.write(this.#out, offset, family);
    return encodeAddress(this.#out, offset, to, family, this.#kernel);
  }
}

import { ERRNO } from "../base/errno.ts";
import {
  decodeAddress,
  encodeAddress,
  type InetAddress,
  type SocketAddress,
} from "../socket/address.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  MSG_TRUNC,
  SOL_UDP,
  UDP_SEGMENT,
} from "../socket/constants.ts";
import { readIPv4 } from "../socket/ip.ts";
import { readIntOption } from "../socket/raw.ts";
import { SYS } from "../sys/abi.ts";
import type { Arena } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";

/** The datagrams that one call receives, and the messages that one call sends. */
export const BATCH = 32;
/** The longest datagram. */
export const MAX_DATAGRAM_BYTES = 65_536;
/** The most bytes of UDP: 65,535 without the headers of IPv4 and UDP. */
export const MAX_UDP_BYTES = 65_507;
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
const HEADER = {
  name: 0,
  nameLength: 8,
  vector: 16,
  vectorCount: 24,
  control: 32,
  controlLength: 40,
  flags: 48,
  length: 56,
};
const HEADER_SIZE = 64;
/** `struct iovec`: an address and a length. */
const VECTOR_SIZE = 16;
/** `sizeof(struct sockaddr_storage)`. */
const NAME_SIZE = 128;
/** `struct cmsghdr`: a length, a level, a type; then the length of a segment in 16 bits. cmsg(3) */
const CONTROL = { level: 8, type: 12, segment: 16 };
const CONTROL_LENGTH = 18;
const CONTROL_SIZE = 24;

const SOCKADDR_IN_SIZE = 16;
const SOCKADDR_IN6_SIZE = 28;

const HEADERS_AT = 0;
const VECTORS_AT = BATCH * HEADER_SIZE;
const NAMES_AT = VECTORS_AT + BATCH * VECTOR_SIZE;
const CONTROLS_AT = NAMES_AT + BATCH * NAME_SIZE;
const BYTES_AT = CONTROLS_AT + BATCH * CONTROL_SIZE;

/** The most segments of a message: UDP_MAX_SEGMENTS, which later kernels have doubled. */
const MAX_SEGMENTS = 64;
/** The longest segment: a packet of Ethernet without the headers of IPv6 and UDP. */
const MAX_SEGMENT_BYTES = 1452;
/** Errors of a message of several segments, each of which could be sent alone. */
const REFUSALS: readonly number[] = [-ERRNO.EINVAL, -ERRNO.EMSGSIZE, -ERRNO.EIO, -ERRNO.ENOBUFS];

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
 * Successive datagrams of the same length to the same address wait as one message, whose segments they are. The last one
 * may be shorter. The kernel then looks up the route and passes the packet on once for all of them (UDP_SEGMENT), which is
 * most of what a datagram costs. A message that the kernel refuses is sent datagram by datagram.
 *
 * @source recvmmsg(2), sendmmsg(2), recvfrom(2), sendto(2), udp(7)
 */
export class DatagramBuffers {
  /** The socket whose datagrams wait to be sent. */
  sender: Sender | null = null;
  readonly #kernel: Kernel;
  readonly #in: Arena;
  readonly #out: Arena;
  /** The number of headers whose lengths the last call has changed. */
  #used = BATCH;
  /** The bytes that were last lent of each place. */
  readonly #views: Uint8Array[] = [];
  /** The number of messages that wait, or were sent since {@link DatagramBuffers.clear}; and their bytes. */
  #count = 0;
  #outBytes = 0;
  /** The bytes of the first datagram of each message, and of all its datagrams. */
  readonly #sizes: Uint32Array = new Uint32Array(BATCH);
  readonly #totals: Uint32Array = new Uint32Array(BATCH);
  /** The address of the last message. */
  #lastTo: SocketAddress | undefined;
  /** The first message that waits, and the bytes of its datagrams that were sent. */
  #next = 0;
  #sent = 0;
  /** Whether the datagrams of this message are sent one by one. */
  #isSplit = false;
  /** The longest segment that the kernel takes; 0 if it knows no segments. undefined until it was asked. */
  #mostSegment: number | undefined;
  /** Whether the kernel has the calls for many datagrams; a seccomp profile may forbid them. */
  #hasBatches = true;
  /** Whether one of these calls has succeeded, so that EPERM is about a datagram. */
  #isAllowed = false;
  readonly #known: Map<number, KnownAddress> = new Map();
  #lastKey = -1;
  #lastKnown: KnownAddress | undefined;

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
      const control = CONTROLS_AT + i * CONTROL_SIZE;
      this.#out.setWord(control, CONTROL_LENGTH);
      this.#out.u32[(control + CONTROL.level) >> 2] = SOL_UDP;
      this.#out.u32[(control + CONTROL.type) >> 2] = UDP_SEGMENT;
      const vector = VECTORS_AT + i * VECTOR_SIZE;
      this.#in.setWord(vector, this.#in.address + BYTES_AT + i * MAX_DATAGRAM_BYTES);
      this.#in.setWord(vector + 8, MAX_DATAGRAM_BYTES);
    }
  }

  /** Asks the kernel of a UDP socket whether it knows segments. Linux before 4.18 would send them as one datagram. */
  probe(fd: number): void {
    this.#mostSegment ??=
      readIntOption(this.#kernel, fd, SOL_UDP, UDP_SEGMENT) < 0 ? 0 : MAX_SEGMENT_BYTES;
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
    if (this.#areForbidden(count)) return this.receiveOne(fd);
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

  /** The bytes of a received datagram, until the next ones are received. */
  bytesOf(index: number): Uint8Array {
    const length = this.lengthOf(index);
    const last = this.#views[index];
    if (last !== undefined && last.length === length) return last;
    const bytes = new Uint8Array(this.#in.buffer, this.offsetOf(index), length);
    this.#views[index] = bytes;
    return bytes;
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

  /** Whether the result of a call for many datagrams says that there are no such calls. They are not used again. */
  #areForbidden(result: number): boolean {
    if (result >= 0) this.#isAllowed = true;
    const isForbidden = result === -ERRNO.ENOSYS || (result === -ERRNO.EPERM && !this.#isAllowed);
    if (isForbidden) this.#hasBatches = false;
    return isForbidden;
  }

  /**
   * Adds a datagram of {@link DatagramBuffers.sender}.
   *
   * @param to - The address; undefined on a connected socket.
   * @returns false if there is no room: those that wait must be sent first.
   * @throws as `encodeAddress`.
   */
  add(bytes: Uint8Array, to: SocketAddress | undefined, family: number): boolean {
    const { length } = bytes;
    if (this.#outBytes + length > SEND_BYTES) return false;
    const last = this.#count - 1;
    const canAppend = last >= 0 && family !== AF_UNIX && this.#isSegment(last, length);
    // Other addresses may have been changed by the program.
    const isLast = to === this.#lastTo && (to === undefined || to instanceof KnownAddress);
    if (canAppend && isLast) {
      this.#append(last, bytes);
      return true;
    }
    const count = last + 1;
    if (count === BATCH) return false;
    const out = this.#out;
    const name = NAMES_AT + count * NAME_SIZE;
    const nameLength = to === undefined ? 0 : this.#writeAddress(to, name, family);
    this.#lastTo = to;
    if (canAppend && this.#isNameOf(last, nameLength)) {
      this.#append(last, bytes);
      return true;
    }
    const header = HEADERS_AT + count * HEADER_SIZE;
    // A connected socket has no name, which is a null pointer.
    out.setWord(header + HEADER.name, nameLength === 0 ? 0 : out.address + name);
    out.u32[(header + HEADER.nameLength) >> 2] = nameLength;
    out.setWord(header + HEADER.control, 0);
    out.setWord(header + HEADER.controlLength, 0);
    const vector = VECTORS_AT + count * VECTOR_SIZE;
    const at = BYTES_AT + this.#outBytes;
    out.u8.set(bytes, at);
    out.setWord(vector, out.address + at);
    out.setWord(vector + 8, length);
    this.#sizes[count] = length;
    this.#totals[count] = length;
    this.#outBytes += length;
    this.#count++;
    return true;
  }

  /** Whether a datagram of `length` bytes can be the next segment of a message. */
  #isSegment(index: number, length: number): boolean {
    const [size, total] = [this.#sizes[index] as number, this.#totals[index] as number];
    return (
      length > 0 &&
      length <= size &&
      size <= (this.#mostSegment ?? 0) &&
      total % size === 0 &&
      total < size * MAX_SEGMENTS &&
      total + length <= MAX_UDP_BYTES
    );
  }

  /** Whether the address behind those of the messages is that of a message. */
  #isNameOf(index: number, nameLength: number): boolean {
    const { u8, u32 } = this.#out;
    if (u32[(HEADERS_AT + index * HEADER_SIZE + HEADER.nameLength) >> 2] !== nameLength)
      return false;
    const at = NAMES_AT + index * NAME_SIZE;
    for (let i = at; i < at + nameLength; i++) if (u8[i] !== u8[i + NAME_SIZE]) return false;
    return true;
  }

  /** Adds a segment to the last message, whose bytes end where those of the segment begin. */
  #append(index: number, bytes: Uint8Array): void {
    const out = this.#out;
    const [size, total] = [this.#sizes[index] as number, this.#totals[index] as number];
    out.u8.set(bytes, BYTES_AT + this.#outBytes);
    const { length } = bytes;
    this.#outBytes += length;
    this.#totals[index] = total + length;
    out.u32[(VECTORS_AT + index * VECTOR_SIZE + 8) >> 2] = total + length;
    if (total > size) return;
    const control = CONTROLS_AT + index * CONTROL_SIZE;
    out.view.setUint16(control + CONTROL.segment, size, true);
    const header = HEADERS_AT + index * HEADER_SIZE;
    out.setWord(header + HEADER.control, out.address + control);
    out.setWord(header + HEADER.controlLength, CONTROL_SIZE);
  }

  /** Whether datagrams wait to be sent. */
  get isWaiting(): boolean {
    return this.#next < this.#count;
  }

  /** Sends as many of the datagrams that wait as one call does. @returns `-errno` of the first; `>= 0` otherwise. */
  send(fd: number): number {
    const { libc } = this.#kernel;
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    const next = this.#next;
    const isMerged = (this.#totals[next] as number) > (this.#sizes[next] as number);
    const isWhole = this.#sent === 0 && !this.#isSplit;
    if (this.#hasBatches && isWhole && (isMerged || this.#count - next > 1)) {
      const at = this.#out.address + HEADERS_AT + next * HEADER_SIZE;
      const sent = libc.syscall(SYS.sendmmsg, fd, at, this.#count - next, flags, 0, 0);
      if (!this.#areForbidden(sent)) {
        if (sent > 0) this.#next += sent;
        if (!isMerged || !REFUSALS.includes(sent)) return sent;
        this.#refused(sent);
        return 0;
      }
    }
    const header = HEADERS_AT + next * HEADER_SIZE;
    const nameLength = this.#out.u32[(header + HEADER.nameLength) >> 2] as number;
    const name = nameLength === 0 ? 0 : this.#out.address + NAMES_AT + next * NAME_SIZE;
    const bytes = this.#out.address + this.#firstAt();
    const sent = libc.sendto(fd, bytes, this.#firstLength(), flags, name, nameLength);
    if (sent >= 0) this.skip();
    return sent;
  }

  /** The kernel has refused the message that is next, as one of several segments. */
  #refused(error: number): void {
    this.#isSplit = true;
    if (error === -ERRNO.EIO) this.#mostSegment = 0;
    else if (error !== -ERRNO.ENOBUFS) {
      this.#mostSegment = Math.min(this.#mostSegment ?? 0, (this.#sizes[this.#next] as number) - 1);
    }
  }

  /** The first datagram that waits is not sent, or was. */
  skip(): void {
    this.#sent += this.#sizes[this.#next] as number;
    if (this.#sent < (this.#totals[this.#next] as number)) return;
    this.#next++;
    this.#sent = 0;
    this.#isSplit = false;
  }

  /** The place of the first datagram that waits. */
  #firstAt(): number {
    const out = this.#out;
    return out.getWord(VECTORS_AT + this.#next * VECTOR_SIZE) - out.address + this.#sent;
  }

  #firstLength(): number {
    const left = (this.#totals[this.#next] as number) - this.#sent;
    return Math.min(this.#sizes[this.#next] as number, left);
  }

  /** A copy of the first datagram that waits, and its address. */
  first(): { readonly bytes: Uint8Array; readonly to: SocketAddress | undefined } {
    const out = this.#out;
    const at = this.#firstAt();
    const nameLength = out.u32[
      (HEADERS_AT + this.#next * HEADER_SIZE + HEADER.nameLength) >> 2
    ] as number;
    const name = NAMES_AT + this.#next * NAME_SIZE;
    const to = nameLength === 0 ? undefined : (decodeAddress(out, name, nameLength) ?? undefined);
    return { bytes: out.u8.slice(at, at + this.#firstLength()), to };
  }

  /** All datagrams that waited are sent or taken over. */
  clear(): void {
    this.#count = 0;
    this.#outBytes = 0;
    this.#next = 0;
    this.#sent = 0;
    this.#isSplit = false;
    this.#lastTo = undefined;
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
    if (key === this.#lastKey) return this.#lastKnown as KnownAddress;
    let known = this.#known.get(key);
    if (known === undefined) {
      known = new KnownAddress(readIPv4(u8, at), port, ip);
      if (this.#known.size >= MOST_KNOWN) this.#known.clear();
      this.#known.set(key, known);
    }
    this.#lastKey = key;
    this.#lastKnown = known;
    return known;
  }

  #writeAddress(to: SocketAddress, offset: number, family: number): number {
    if (to instanceof KnownAddress) return to.write(this.#out, offset, family);
    return encodeAddress(this.#out, offset, to, family, this.#kernel);
  }
}

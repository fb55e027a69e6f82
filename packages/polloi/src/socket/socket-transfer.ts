import { flagsOf, listOf } from "../base/argument.ts";
import { show, typeError } from "../base/misuse.ts";
import type { Arena } from "../sys/arena.ts";
import { encodeAddress, type SocketAddress } from "./address.ts";
import {
  type AncillaryMessage,
  decodeAncillary,
  encodeAncillary,
  encodedLength,
} from "./ancillary.ts";
import { AF_UNIX, MSG_CMSG_CLOEXEC, MSG_NOSIGNAL, MSG_WAITALL, SOCK_STREAM } from "./constants.ts";
import {
  controlOffset,
  gather,
  type MessageLayout,
  prepareMessage,
  readMessage,
} from "./message.ts";
import { prepareAddress, readAddress, WOULD_BLOCK } from "./raw.ts";
import {
  AT_ADDRESS,
  AT_BYTES,
  AT_LENGTH,
  AT_MESSAGE,
  borrow,
  giveBack,
  MAX_STREAM_TRANSFER,
  SOCKADDR_SIZE,
} from "./scratch.ts";
import { lengthOf, SocketHandle } from "./socket-handle.ts";
import { POLLIN, POLLOUT, waitFor } from "./wait.ts";

/** The result of `recvFrom`. */
export interface ReceivedFrom {
  readonly bytes: Uint8Array;
  /** The sender; null on a connected stream, where the kernel does not report it. */
  readonly address: SocketAddress | null;
}

/** The result of `recvFromInto`. */
export interface ReceivedInto {
  readonly length: number;
  readonly address: SocketAddress | null;
}

/** The result of `recvMsg`. */
export interface ReceivedMessage extends ReceivedFrom {
  readonly ancillary: readonly AncillaryMessage[];
  /** MSG_* bits. MSG_TRUNC: the message was longer. MSG_CTRUNC: its ancillary data was longer. MSG_EOR, MSG_OOB. */
  readonly flags: number;
}

const encoder = new TextEncoder();

/**
 * The calls of a socket that receive and send.
 *
 * @remarks
 * Bytes are copied once, between the caller's memory and memory whose address the kernel receives. A call on a stream
 * transfers at most 1 MiB, or more with `MSG_WAITALL`. Sending never raises SIGPIPE: if the peer has closed, it fails with
 * `EPIPE`.
 *
 * Each call throws SysError with the code of the kernel (`ECONNRESET`, `ENOTCONN`, `EPIPE` and others), `ETIMEDOUT` when
 * the socket's timeout has expired, TypeError `ERR_CLOSED` after close, and TypeError or RangeError `ERR_INVALID_DATA`,
 * `ERR_INVALID_LENGTH` or `ERR_INVALID_OPTION` for an argument.
 */
export class SocketTransfer extends SocketHandle {
  /**
   * Receives at most `length` bytes.
   *
   * @param length - From 0 to 2 ** 31 - 1. The rest of a longer datagram is lost.
   * @param flags - MSG_* bits.
   * @returns The bytes, which are the caller's; empty at the end of the stream; null if none have arrived.
   * @throws RangeError `ERR_INVALID_LENGTH`
   * @source recv(2)
   */
  recv(length: number, flags: number = 0): Uint8Array | null {
    const bits = flagsOf(flags);
    const room = this.#room(lengthOf(length), bits);
    return this.#lend(room, (area) => {
      const got = this.#receive(area, room, bits);
      return got === WOULD_BLOCK ? null : area.u8.slice(AT_BYTES, AT_BYTES + Math.min(got, room));
    });
  }

  /**
   * Receives into `buffer`.
   *
   * @returns The number of bytes; 0 at the end of the stream; null if none have arrived. With MSG_TRUNC in `flags` the length
   * of the datagram, which may exceed the buffer.
   * @source recv(2)
   */
  recvInto(buffer: Uint8Array, flags: number = 0): number | null {
    const bits = flagsOf(flags);
    const room = this.#room(bufferOf(buffer).length, bits);
    return this.#lend(room, (area) => {
      const got = this.#receive(area, room, bits);
      if (got === WOULD_BLOCK) return null;
      buffer.set(area.u8.subarray(AT_BYTES, AT_BYTES + Math.min(got, room)));
      return got;
    });
  }

  /**
   * Receives at most `length` bytes, with the address of the sender.
   *
   * @returns null if no bytes have arrived.
   * @throws RangeError `ERR_INVALID_LENGTH`
   * @source recvfrom(2)
   */
  recvFrom(length: number, flags: number = 0): ReceivedFrom | null {
    const bits = flagsOf(flags);
    const room = this.#room(lengthOf(length), bits);
    return this.#lend(room, (area) => {
      const got = this.#receiveFrom(area, room, bits);
      if (got === WOULD_BLOCK) return null;
      const bytes = area.u8.slice(AT_BYTES, AT_BYTES + Math.min(got, room));
      return { bytes, address: this.#sender() };
    });
  }

  /**
   * Receives into `buffer`, with the address of the sender.
   *
   * @returns null if nothing has arrived.
   * @source recvfrom(2)
   */
  recvFromInto(buffer: Uint8Array, flags: number = 0): ReceivedInto | null {
    const bits = flagsOf(flags);
    const room = this.#room(bufferOf(buffer).length, bits);
    return this.#lend(room, (area) => {
      const length = this.#receiveFrom(area, room, bits);
      if (length === WOULD_BLOCK) return null;
      buffer.set(area.u8.subarray(AT_BYTES, AT_BYTES + Math.min(length, room)));
      return { length, address: this.#sender() };
    });
  }

  /**
   * Receives a message with its ancillary data.
   *
   * @remarks
   * Received descriptors are close-on-exec, and the caller must close them. MSG_CTRUNC means that there were more; the
   * kernel has closed those that did not fit.
   *
   * @param ancillaryLength - The size of the buffer for ancillary data in bytes: see the function of this name.
   * @returns null if nothing has arrived.
   * @throws RangeError `ERR_INVALID_LENGTH`
   * @source recvmsg(2), cmsg(3)
   */
  recvMsg(length: number, ancillaryLength: number = 0, flags: number = 0): ReceivedMessage | null {
    const bits = flagsOf(flags);
    const room = this.#room(lengthOf(length), bits);
    const controlAt = controlOffset(room);
    const controlRoom = lengthOf(ancillaryLength);
    const layout: MessageLayout = {
      length: room,
      nameLength: SOCKADDR_SIZE,
      controlAt,
      controlLength: controlRoom,
    };
    const { libc, scratch } = this.kernel;
    return this.#lend(controlAt - AT_BYTES + controlRoom, (area) => {
      const got = this.attempt("recvmsg", POLLIN, bits, (fd) => {
        prepareMessage(this.kernel, area, layout);
        return libc.recvmsg(fd, scratch.address + AT_MESSAGE, bits | MSG_CMSG_CLOEXEC);
      });
      if (got === WOULD_BLOCK) return null;
      const { controlLength, flags: received } = readMessage(this.kernel);
      const ancillary = decodeAncillary(area, controlAt, Math.min(controlLength, controlRoom));
      return {
        bytes: area.u8.slice(AT_BYTES, AT_BYTES + Math.min(got, room)),
        ancillary,
        // The kernel returns the requested flags together with its own.
        flags: received & ~MSG_CMSG_CLOEXEC,
        address: this.#sender(),
      };
    });
  }

  /**
   * Sends `data`, a string as UTF-8.
   *
   * @returns The number of bytes that the kernel took, which may be fewer than given; null if it takes none now.
   * @source send(2)
   */
  send(data: Uint8Array | string, flags: number = 0): number | null {
    const bits = flagsOf(flags);
    const bytes = bytesOf(data);
    const length = this.#room(bytes.length, 0);
    const { libc } = this.kernel;
    return this.#lend(length, (area) => {
      area.u8.set(bytes.subarray(0, length), AT_BYTES);
      const sent = this.attempt("send", POLLOUT, bits, (fd) =>
        libc.send(fd, area.address + AT_BYTES, length, bits | MSG_NOSIGNAL),
      );
      return sent === WOULD_BLOCK ? null : sent;
    });
  }

  /**
   * Sends all of `data`, and waits as often as needed.
   *
   * @remarks
   * The socket's timeout applies to the whole. If it fails, the number of bytes sent is unknown.
   *
   * @throws TypeError `ERR_BLOCKING` on a non-blocking socket: use `send` there, and keep the rest.
   * @source send(2)
   */
  sendAll(data: Uint8Array | string, flags: number = 0): void {
    const bits = flagsOf(flags);
    this.openFd("sendAll");
    if (!this.getBlocking()) {
      throw typeError(
        "ERR_BLOCKING",
        "Cannot sendAll on a non-blocking socket: it would have to wait; use send() and keep what is left",
      );
    }
    const bytes = bytesOf(data);
    const deadline = this.deadline();
    const { libc } = this.kernel;
    let done = 0;
    do {
      const length = this.#room(bytes.length - done, 0);
      this.#lend(length, (area) => {
        area.u8.set(bytes.subarray(done, done + length), AT_BYTES);
        let gone = 0;
        do {
          const at = area.address + AT_BYTES + gone;
          const sent = this.attempt(
            "send",
            POLLOUT,
            bits,
            (fd) => libc.send(fd, at, length - gone, bits | MSG_NOSIGNAL),
            deadline,
          );
          if (sent !== WOULD_BLOCK) gone += sent;
          // A duplicate of the descriptor was set non-blocking, or MSG_DONTWAIT is set.
          else if (!waitFor(this.kernel, this.openFd("sendAll"), POLLOUT, deadline)) {
            throw this.timedOut("send");
          }
        } while (gone < length);
      });
      done += length;
    } while (done < bytes.length);
  }

  /**
   * Sends `data` to `address`. The socket need not be connected.
   *
   * @returns The number of bytes that the kernel took; null if it takes none now.
   * @throws `ERR_INVALID_ADDRESS`, `ERR_INVALID_PORT`
   * @source sendto(2)
   */
  sendTo(data: Uint8Array | string, address: SocketAddress, flags: number = 0): number | null {
    const bits = flagsOf(flags);
    const bytes = bytesOf(data);
    const length = this.#room(bytes.length, 0);
    this.openFd("sendto");
    const { libc, scratch } = this.kernel;
    // First, because looking up the zone of an address uses the memory of the bytes.
    const addressLength = encodeAddress(scratch, AT_ADDRESS, address, this.family, this.kernel);
    return this.#lend(length, (area) => {
      area.u8.set(bytes.subarray(0, length), AT_BYTES);
      const sent = this.attempt(
        "sendto",
        POLLOUT,
        bits,
        (fd) =>
          libc.sendto(
            fd,
            area.address + AT_BYTES,
            length,
            bits | MSG_NOSIGNAL,
            scratch.address + AT_ADDRESS,
            addressLength,
          ),
        undefined,
        address,
      );
      return sent === WOULD_BLOCK ? null : sent;
    });
  }

  /**
   * Sends `buffers` as one message, with `ancillary` data.
   *
   * @remarks
   * On a stream, ancillary data needs at least one byte, and is sent with the first one.
   *
   * @param address - The destination, if the socket is not connected.
   * @returns The number of bytes that the kernel took; null if it takes none now.
   * @throws `ERR_INVALID_ADDRESS`, `ERR_INVALID_PORT`, `ERR_INVALID_LENGTH`, `ERR_INVALID_OPTION`
   * @source sendmsg(2), cmsg(3)
   */
  sendMsg(
    buffers: readonly (Uint8Array | string)[],
    ancillary: readonly AncillaryMessage[] = [],
    flags: number = 0,
    address?: SocketAddress,
  ): number | null {
    const bits = flagsOf(flags);
    const parts = listOf(buffers, "buffers", "ERR_INVALID_DATA").map(bytesOf);
    const length = this.#room(
      parts.reduce((sum, { length }) => sum + length, 0),
      0,
    );
    this.openFd("sendmsg");
    const { libc, scratch } = this.kernel;
    const nameLength =
      address === undefined
        ? 0
        : encodeAddress(scratch, AT_ADDRESS, address, this.family, this.kernel);
    const controlAt = controlOffset(length);
    const controlLength = encodedLength(ancillary);
    return this.#lend(controlAt - AT_BYTES + controlLength, (area) => {
      gather(area, parts, length);
      encodeAncillary(area, controlAt, ancillary);
      prepareMessage(this.kernel, area, { length, nameLength, controlAt, controlLength });
      const sent = this.attempt(
        "sendmsg",
        POLLOUT,
        bits,
        (fd) => libc.sendmsg(fd, scratch.address + AT_MESSAGE, bits | MSG_NOSIGNAL),
        undefined,
        address,
      );
      return sent === WOULD_BLOCK ? null : sent;
    });
  }

  /** The number of bytes, up to `length`, that one call transfers. */
  #room(length: number, flags: number): number {
    if (this.type !== SOCK_STREAM || (flags & MSG_WAITALL) !== 0) return length;
    return Math.min(length, MAX_STREAM_TRANSFER);
  }

  #lend<T>(length: number, use: (area: Arena) => T): T {
    const area = borrow(this.kernel, length);
    try {
      return use(area);
    } finally {
      giveBack(this.kernel, area);
    }
  }

  #receive(area: Arena, room: number, flags: number): number {
    const { libc } = this.kernel;
    return this.attempt("recv", POLLIN, flags, (fd) =>
      libc.recv(fd, area.address + AT_BYTES, room, flags),
    );
  }

  #receiveFrom(area: Arena, room: number, flags: number): number {
    const { libc, scratch } = this.kernel;
    return this.attempt("recvfrom", POLLIN, flags, (fd) => {
      prepareAddress(this.kernel);
      return libc.recvfrom(
        fd,
        area.address + AT_BYTES,
        room,
        flags,
        scratch.address + AT_ADDRESS,
        scratch.address + AT_LENGTH,
      );
    });
  }

  /** The address of the sender. An unnamed unix socket has none. */
  #sender(): SocketAddress | null {
    const address = readAddress(this.kernel);
    if (address !== null || this.family !== AF_UNIX || this.type === SOCK_STREAM) return address;
    return { path: "" };
  }
}

/** The bytes of `data`, a string as UTF-8. @throws TypeError `ERR_INVALID_DATA` */
export function bytesOf(data: Uint8Array | string): Uint8Array {
  return typeof data === "string" ? encoder.encode(data) : bufferOf(data);
}

function bufferOf(data: Uint8Array): Uint8Array {
  if (data instanceof Uint8Array) return data;
  throw typeError(
    "ERR_INVALID_DATA",
    `Cannot use ${show(data)} as bytes: give a Uint8Array, or a string to send`,
  );
}

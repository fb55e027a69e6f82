import { filenoOf } from "../base/descriptor.ts";
import { ERRNO } from "../base/errno.ts";
import { rangeError, show } from "../base/misuse.ts";
import { check } from "../base/sys-error.ts";
import { F_DUPFD_CLOEXEC } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";
import { kernelOf } from "../sys/open.ts";
import { encodeAddress, type SocketAddress } from "./address.ts";
import {
  AF_INET,
  AF_UNIX,
  SHUT_RD,
  SHUT_RDWR,
  SHUT_WR,
  SO_DOMAIN,
  SO_PROTOCOL,
  SO_TYPE,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from "./constants.ts";
import { backlogOf } from "./listener.ts";
import {
  bindRaw,
  prepareAddress,
  readAddress,
  readIntOption,
  readLocalAddress,
  takeSocketError,
  WOULD_BLOCK,
} from "./raw.ts";
import { AT_ADDRESS, AT_LENGTH } from "./scratch.ts";
import { checkSocket, socketError } from "./socket-error.ts";
import { type OWN_FILE, OWNED, type OwnSocketInit, type SocketInit } from "./socket-handle.ts";
import { SocketTransfer } from "./socket-transfer.ts";
import { Deadline, POLLIN, POLLOUT, waitFor } from "./wait.ts";

/** What `accept` gives: the connection and who made it. */
export interface Accepted {
  readonly socket: Socket;
  readonly address: SocketAddress;
}

/** How long to sleep before a full backlog is asked again. */
const BACKLOG_RETRY_MS = 1;

/**
 * A BSD socket: Python's `socket.socket`, with would-block as a value.
 *
 * @example
 * ```ts
 * using socket = new Socket(AF_INET, SOCK_STREAM);
 * socket.connect({ address: "127.0.0.1", port: 7788 });
 * socket.sendAll("hello");
 * const answer = socket.recv(1024);
 * ```
 * @source socket(2), socket(7)
 */
export class Socket extends SocketTransfer {
  /**
   * Makes a socket, blocking and close-on-exec.
   *
   * @param family - AF_INET, AF_INET6, AF_UNIX, or any other that the kernel has.
   * @param type - SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, ...; with SOCK_NONBLOCK it is non-blocking.
   * @param protocol - IPPROTO_*; 0 is the usual one of family and type.
   * @param init - `fd` adopts a socket that is open already, whose family, type and protocol these are.
   * @throws SysError `EAFNOSUPPORT`, `EPROTONOSUPPORT`, `EMFILE`, `ENFILE`, `EACCES`; `EBADF` for `fd`.
   */
  constructor(
    family: number = AF_INET,
    type: number = SOCK_STREAM,
    protocol: number = 0,
    init: SocketInit = {},
  ) {
    super(family, type, protocol, init);
  }

  /**
   * Adopts a descriptor that is a socket: closing the result closes it.
   *
   * @remarks
   * Family, type and protocol are asked of the kernel, and the mode is the descriptor's. Unlike a socket that
   * polloi opened, it is not closed when it is garbage-collected: its descriptor may also be someone else's. It
   * becomes close-on-exec, as every descriptor here; `setInheritable(true)` changes that.
   *
   * @throws SysError `EBADF`, `ENOTSOCK`; TypeError or RangeError `ERR_INVALID_FD`
   */
  static fromFd(
    fd: number,
    options: { readonly kernel?: Kernel } & Pick<
      OwnSocketInit,
      typeof OWNED | typeof OWN_FILE
    > = {},
  ): Socket {
    const kernel = kernelOf(options, "Socket.fromFd()");
    filenoOf(fd);
    const ask = (option: number): number =>
      check(readIntOption(kernel, fd, SOL_SOCKET, option), "getsockopt", { fd });
    const init: OwnSocketInit = { ...options, fd, kernel };
    return new Socket(ask(SO_DOMAIN), ask(SO_TYPE), ask(SO_PROTOCOL), init);
  }

  /**
   * Gives the socket its address.
   *
   * @throws SysError `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`, `EINVAL` (bound already);
   * `ERR_INVALID_ADDRESS`, `ERR_INVALID_PORT`
   * @source bind(2)
   */
  bind(address: SocketAddress): void {
    const fd = this.openFd("bind");
    checkSocket(bindRaw(this.kernel, fd, address, this.family), "bind", address);
  }

  /**
   * Lets others connect.
   *
   * @param backlog - How many may wait to be accepted; the kernel cuts it to net.core.somaxconn.
   * @throws SysError `EADDRINUSE`, `EOPNOTSUPP`; `ERR_INVALID_OPTION`
   * @source listen(2)
   */
  listen(backlog?: number): void {
    const fd = this.openFd("listen");
    const result = this.kernel.libc.listen(fd, backlogOf(backlog));
    if (result < 0) throw socketError("listen", result, readLocalAddress(this.kernel, fd), fd);
  }

  /**
   * Takes a connection that waits.
   *
   * @remarks
   * The new socket has the mode of this one. A connection that was gone before it could be taken is
   * passed over.
   *
   * @returns Null when none waits.
   * @throws SysError `EMFILE`, `ENFILE`: the connection goes on waiting. `EINVAL`: not listening.
   * `ETIMEDOUT`
   * @source accept4(2)
   */
  accept(): Accepted | null {
    const { libc, scratch } = this.kernel;
    const timeoutMs = this.getTimeout();
    const flags = SOCK_CLOEXEC | (timeoutMs === undefined ? 0 : SOCK_NONBLOCK);
    const at = scratch.address;
    const fd = this.attempt("accept", POLLIN, 0, (listener) => {
      let result: number;
      do {
        prepareAddress(this.kernel);
        result = libc.accept4(listener, at + AT_ADDRESS, at + AT_LENGTH, flags);
      } while (result === -ERRNO.ECONNABORTED);
      return result;
    });
    if (fd === WOULD_BLOCK) return null;
    const address = readAddress(this.kernel) ?? { path: "" };
    const init: OwnSocketInit = { fd, kernel: this.kernel, [OWNED]: true };
    const socket = new Socket(this.family, this.type, this.protocol, init);
    if (timeoutMs !== undefined && timeoutMs > 0) socket.setTimeout(timeoutMs);
    return { socket, address };
  }

  /**
   * Connects to `address`.
   *
   * @returns True once connected; false when a non-blocking connect has begun and goes on by itself: it
   * is over when the socket is writable, and `options.error` says how.
   * @throws SysError `ECONNREFUSED`, `ETIMEDOUT`, `EHOSTUNREACH`, `ENOENT` (no such path), `EISCONN`, ...;
   * `EAGAIN` when a unix listener's backlog is full; `ERR_INVALID_ADDRESS`, `ERR_INVALID_PORT`
   * @source connect(2)
   */
  connect(address: SocketAddress): boolean {
    const errno = this.connectEx(address);
    if (errno === 0) return true;
    if (errno === ERRNO.EINPROGRESS || errno === ERRNO.EALREADY) return false;
    throw socketError("connect", errno, address);
  }

  /**
   * Connects to `address`, with the outcome as a number: Python's `connect_ex`.
   *
   * @returns 0 once connected, else a positive error number: `EINPROGRESS` when a non-blocking connect
   * has begun, `ETIMEDOUT` when the socket's timeout is up.
   * @throws `ERR_INVALID_ADDRESS`, `ERR_INVALID_PORT`, `ERR_CLOSED`: what never reaches the kernel.
   * @source connect(2)
   */
  connectEx(address: SocketAddress): number {
    const fd = this.openFd("connect");
    const { libc, scratch } = this.kernel;
    const length = encodeAddress(scratch, AT_ADDRESS, address, this.family, this.kernel);
    const deadline = this.deadline();
    let result = libc.connect(fd, scratch.address + AT_ADDRESS, length);
    while (this.#mustRepeat(result, deadline)) {
      result = libc.connect(fd, scratch.address + AT_ADDRESS, length);
    }
    if (result === WOULD_BLOCK && this.#hasTimeout()) return ERRNO.ETIMEDOUT;
    const inProgress = result === -ERRNO.EINPROGRESS || result === -ERRNO.EINTR;
    // Not -result, which would be -0 for success.
    if (!inProgress || !this.getBlocking()) return Math.abs(result);
    // The kernel goes on by itself, also after a signal; asking again would be answered EALREADY.
    if (!waitFor(this.kernel, fd, POLLOUT, deadline)) return ERRNO.ETIMEDOUT;
    return takeSocketError(this.kernel, fd);
  }

  /**
   * Whether a connect has to be asked again. That is for unix sockets, where nothing goes on by itself:
   * a signal ends the call, and a full backlog cannot be waited for by polling.
   */
  #mustRepeat(result: number, deadline: Deadline): boolean {
    if (this.family !== AF_UNIX) return false;
    if (result === -ERRNO.EINTR) return true;
    if (result !== WOULD_BLOCK || !this.#hasTimeout()) return false;
    const leftMs = deadline.leftMs();
    if (leftMs === 0) return false;
    waitFor(this.kernel, -1, 0, new Deadline(Math.min(BACKLOG_RETRY_MS, leftMs)));
    return true;
  }

  #hasTimeout(): boolean {
    const timeoutMs = this.getTimeout();
    return timeoutMs !== undefined && timeoutMs > 0;
  }

  /**
   * Ends one direction of a connection, or both, while the descriptor stays open.
   *
   * @param how - SHUT_RD, SHUT_WR (the peer reads the end of the stream) or SHUT_RDWR.
   * @throws SysError `ENOTCONN`; RangeError `ERR_INVALID_OPTION`
   * @source shutdown(2)
   */
  shutdown(how: number = SHUT_RDWR): void {
    const fd = this.openFd("shutdown");
    if (how !== SHUT_RD && how !== SHUT_WR && how !== SHUT_RDWR) {
      throw rangeError(
        "ERR_INVALID_OPTION",
        `Cannot shut ${show(how)} down: give SHUT_RD, SHUT_WR or SHUT_RDWR`,
      );
    }
    // -0 becomes 0.
    checkSocket(this.kernel.libc.shutdown(fd, how + 0), "shutdown", null, fd);
  }

  /**
   * A second descriptor of the same socket, close-on-exec, in the same mode.
   *
   * @remarks
   * The two share everything in the kernel, O_NONBLOCK too: `setBlocking` on one is felt by both.
   *
   * @throws SysError `EMFILE`
   * @source fcntl(2), F_DUPFD_CLOEXEC
   */
  dup(): Socket {
    const fd = this.openFd("dup");
    const copy = checkSocket(this.kernel.libc.fcntl(fd, F_DUPFD_CLOEXEC, 0), "fcntl", null, fd);
    const init: OwnSocketInit = { fd: copy, kernel: this.kernel, [OWNED]: true };
    const socket = new Socket(this.family, this.type, this.protocol, init);
    if (this.#hasTimeout()) socket.setTimeout(this.getTimeout());
    return socket;
  }
}

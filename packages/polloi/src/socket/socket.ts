import { filenoOf } from "../base/descriptor.ts";
import { ERRNO } from "../base/errno.ts";
import { numberError, show } from "../base/misuse.ts";
import { check } from "../base/sys-error.ts";
import { F_DUPFD_CLOEXEC } from "../sys/abi.ts";
import { kernelOf, type WithKernel } from "../sys/open.ts";
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

/** The result of `accept`: the connection and the address of its peer. */
export interface Accepted {
  readonly socket: Socket;
  readonly address: SocketAddress;
}

/** The delay before a connect to a full backlog is retried, in milliseconds. */
const BACKLOG_RETRY_MS = 1;

/**
 * A BSD socket, like Python's `socket.socket`. An operation that would block returns null instead of throwing.
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
   * Creates a socket in blocking mode, close-on-exec.
   *
   * @param family - AF_INET, AF_INET6, AF_UNIX, or any other family of the kernel.
   * @param type - SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET and others. SOCK_NONBLOCK may be added.
   * @param protocol - IPPROTO_*. 0 is the default protocol of the family and type.
   * @param init - `fd` adopts an open socket with this family, type and protocol.
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
   * Adopts a descriptor of a socket, which is closed with the result.
   *
   * @remarks
   * Family, type and protocol are read from the kernel, and the mode from the descriptor. Unlike a socket that polloi
   * opened, it is not closed when it is garbage-collected, because other code may use the descriptor. It is set
   * close-on-exec; `setInheritable(true)` changes that.
   *
   * @throws SysError `EBADF`, `ENOTSOCK`; TypeError or RangeError `ERR_INVALID_FD`
   */
  static fromFd(
    fd: number,
    options: WithKernel & Pick<OwnSocketInit, typeof OWNED | typeof OWN_FILE> = {},
  ): Socket {
    const kernel = kernelOf(options, "Socket.fromFd()");
    filenoOf(fd);
    const ask = (option: number): number =>
      check(readIntOption(kernel, fd, SOL_SOCKET, option), "getsockopt", { fd });
    const init: OwnSocketInit = { ...options, fd, kernel };
    return new Socket(ask(SO_DOMAIN), ask(SO_TYPE), ask(SO_PROTOCOL), init);
  }

  /**
   * Binds the socket to an address.
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
   * Starts listening for connections.
   *
   * @param backlog - The most connections that wait to be accepted. The kernel limits it to net.core.somaxconn.
   * @throws SysError `EADDRINUSE`, `EOPNOTSUPP`; `ERR_INVALID_OPTION`
   * @source listen(2)
   */
  listen(backlog?: number): void {
    const fd = this.openFd("listen");
    const result = this.kernel.libc.listen(fd, backlogOf(backlog));
    if (result < 0) throw socketError("listen", result, readLocalAddress(this.kernel, fd), fd);
  }

  /**
   * Accepts a connection.
   *
   * @remarks
   * The new socket has the mode of this one. A connection that was reset before it was accepted is skipped.
   *
   * @returns null if no connection waits.
   * @throws SysError `EMFILE`, `ENFILE`: the connection stays in the backlog. `EINVAL`: the socket does not listen.
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
   * @returns true if the socket is connected; false if a non-blocking connect is in progress. It is finished when the
   * socket is writable; `options.error` has the result.
   * @throws SysError `ECONNREFUSED`, `ETIMEDOUT`, `EHOSTUNREACH`, `ENOENT` (no such path), `EISCONN` and others; `EAGAIN`
   * if the backlog of a unix listener is full; TypeError or RangeError `ERR_INVALID_ADDRESS`, `ERR_INVALID_PORT`
   * @source connect(2)
   */
  connect(address: SocketAddress): boolean {
    const errno = this.connectEx(address);
    if (errno === 0) return true;
    if (errno === ERRNO.EINPROGRESS || errno === ERRNO.EALREADY) return false;
    throw socketError("connect", errno, address);
  }

  /**
   * Connects to `address` and returns the result as an error number, like Python's `connect_ex`.
   *
   * @returns 0 if the socket is connected, or a positive error number: `EINPROGRESS` if a non-blocking connect is in
   * progress, `ETIMEDOUT` if the timeout of the socket has expired.
   * @throws TypeError or RangeError `ERR_INVALID_ADDRESS`, `ERR_INVALID_PORT`, `ERR_CLOSED`
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
    // The connect continues in the kernel, also after a signal; another call would fail with EALREADY.
    if (!waitFor(this.kernel, fd, POLLOUT, deadline)) return ERRNO.ETIMEDOUT;
    return takeSocketError(this.kernel, fd);
  }

  /**
   * Whether a connect must be repeated. Only for unix sockets, whose connect does not continue in the kernel: a signal ends
   * the call, and poll(2) does not report that a full backlog has room.
   */
  #mustRepeat(result: number, deadline: Deadline): boolean {
    if (this.family !== AF_UNIX) return false;
    if (result === -ERRNO.EINTR) return true;
    if (result !== WOULD_BLOCK || !this.#hasTimeout()) return false;
    const leftMs = deadline.leftMs();
    if (leftMs === 0) return false;
    waitFor(this.kernel, -1, 0, new Deadline(this.kernel, Math.min(BACKLOG_RETRY_MS, leftMs)));
    return true;
  }

  #hasTimeout(): boolean {
    const timeoutMs = this.getTimeout();
    return timeoutMs !== undefined && timeoutMs > 0;
  }

  /**
   * Ends one direction of a connection or both. The descriptor stays open.
   *
   * @param how - SHUT_RD, SHUT_WR (the peer sees the end of the stream) or SHUT_RDWR.
   * @throws SysError `ENOTCONN`; TypeError or RangeError `ERR_INVALID_OPTION`
   * @source shutdown(2)
   */
  shutdown(how: number = SHUT_RDWR): void {
    const fd = this.openFd("shutdown");
    if (how !== SHUT_RD && how !== SHUT_WR && how !== SHUT_RDWR) {
      throw numberError(
        "ERR_INVALID_OPTION",
        how,
        `Cannot shut ${show(how)} down: give SHUT_RD, SHUT_WR or SHUT_RDWR`,
      );
    }
    // -0 becomes 0.
    checkSocket(this.kernel.libc.shutdown(fd, how + 0), "shutdown", null, fd);
  }

  /**
   * Duplicates the descriptor. The new one is close-on-exec and has the same mode.
   *
   * @remarks
   * Both share the socket in the kernel and O_NONBLOCK: `setBlocking` on one affects the other.
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

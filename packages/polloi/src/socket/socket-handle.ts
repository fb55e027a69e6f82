import { booleanOf, flagsOf, integerOf, intOf, type NamesOf } from "../base/argument.ts";
import { filenoOf } from "../base/descriptor.ts";
import { ERRNO } from "../base/errno.ts";
import { type Fields, printAs } from "../base/inspect.ts";
import { show, typeError } from "../base/misuse.ts";
import { check, SysError } from "../base/sys-error.ts";
import { FOREVER, naturalTimeoutOf } from "../base/timeout.ts";
import { guard, unguard } from "../sys/abandoned.ts";
import {
  F_GETFD,
  F_GETFL,
  F_SETFD,
  F_SETFL,
  FD_CLOEXEC,
  O_NONBLOCK,
  SIOCATMARK,
} from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";
import { kernelOf } from "../sys/open.ts";
import { familyName, formatAddress, type SocketAddress } from "./address.ts";
import {
  MSG_DONTWAIT,
  SO_ACCEPTCONN,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOL_SOCKET,
} from "./constants.ts";
import { SocketOptions } from "./options.ts";
import {
  closeOnExec,
  readIntOption,
  readLocalAddress,
  readPeerAddress,
  WOULD_BLOCK,
} from "./raw.ts";
import { AT_BYTES, AT_LENGTH } from "./scratch.ts";
import { checkSocket, socketError } from "./socket-error.ts";
import type { SocketFile } from "./socket-file.ts";
import { Deadline, waitFor } from "./wait.ts";

/** The descriptor and the kernel of a new {@link Socket}. */
export interface SocketInit {
  /** An open socket, which is closed with the new one. Default: a new socket is created. */
  readonly fd?: number | undefined;
  /** @internal The kernel to call. Default: the one of this thread. */
  readonly kernel?: Kernel | undefined;
}

const SOCKET_INIT: NamesOf<SocketInit> = { fd: true, kernel: true };

/**
 * Set in a {@link SocketInit} with a descriptor that polloi opened itself. No other code can use it, so it may be closed
 * when the socket is garbage-collected.
 */
export const OWNED: unique symbol = Symbol("owned");

/** The file that bind(2) has created for a unix socket. */
export const OWN_FILE: unique symbol = Symbol("own file");

/** The options with which polloi itself creates sockets. */
export interface OwnSocketInit extends SocketInit {
  readonly [OWNED]?: true;
  readonly [OWN_FILE]?: SocketFile | undefined;
}

/** The longest value of an option, in bytes. */
const MAX_OPTION_LENGTH = 4096;

/**
 * A descriptor, its mode, its options and its addresses: the part of a socket that does not transfer data.
 *
 * @remarks
 * A socket has one of three modes, as in Python. *Blocking*, the default: a call returns when it is complete, and blocks
 * the thread until then. *Non-blocking*: a call that cannot complete returns null. *With a timeout*: a call blocks at
 * most that long and then throws `ETIMEDOUT`; the descriptor itself is non-blocking.
 *
 * Close a socket, or declare it with `using`. If a socket that polloi opened is garbage-collected before it is closed or
 * detached, it is closed then, and the process emits a warning. When that happens, and whether it does, is not defined.
 * A socket that was adopted stays open.
 */
export class SocketHandle {
  static {
    printAs(SocketHandle, (it) => it.#fields());
  }

  /** The address family: AF_INET, AF_INET6, AF_UNIX or another. */
  readonly family: number;
  /** The type: SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET or another. */
  readonly type: number;
  /** The protocol: IPPROTO_*, or 0 for the default of family and type. */
  readonly protocol: number;
  /** The socket options by name. */
  readonly options: SocketOptions;
  protected readonly kernel: Kernel;
  #fd: number;
  /** Removed when the socket is closed. If the descriptor is detached, the file stays. */
  #file: SocketFile | undefined;
  /** The result of {@link guard}; undefined for a descriptor that was adopted. */
  readonly #guarded: object | undefined;
  /** {@link FOREVER} is blocking, 0 non-blocking. */
  #timeoutMs: number;

  constructor(family: number, type: number, protocol: number, init: OwnSocketInit) {
    this.kernel = kernelOf(init, "new Socket()", SOCKET_INIT);
    const { libc } = this.kernel;
    this.family = intOf(family, "a family");
    this.type = intOf(type, "a type") & ~(SOCK_CLOEXEC | SOCK_NONBLOCK);
    this.protocol = intOf(protocol, "a protocol");
    if (init.fd === undefined) {
      const made = libc.socket(this.family, type | SOCK_CLOEXEC, this.protocol);
      this.#fd = checkSocket(made, "socket");
      this.#timeoutMs = (type & SOCK_NONBLOCK) !== 0 ? 0 : FOREVER;
    } else {
      this.#fd = filenoOf(init.fd);
      const flags = check(libc.fcntl(this.#fd, F_GETFL, 0), "fcntl", { fd: this.#fd });
      this.#timeoutMs = (flags & O_NONBLOCK) !== 0 ? 0 : FOREVER;
    }
    this.#file = init[OWN_FILE];
    this.options = new SocketOptions(this);
    if (init.fd !== undefined && init[OWNED] !== true) {
      closeOnExec(this.kernel, this.#fd);
      return;
    }
    const fd = this.#fd;
    this.#guarded = guard(this, fd, () => void libc.close(fd));
  }

  /** The descriptor, or -1 once the socket is closed or detached. */
  fileno(): number {
    return this.#fd;
  }

  /** Whether the socket has been closed or detached. */
  get closed(): boolean {
    return this.#fd < 0;
  }

  /**
   * Closes the socket. Calling it twice is safe.
   *
   * @remarks
   * Data that was sent is still delivered, unless `lingerSeconds` is 0. Unregister the socket from selectors first.
   *
   * @throws SysError `EBADF` if other code has closed the descriptor. Its number may be in use again.
   * @source close(2)
   */
  close(): void {
    const fd = this.#fd;
    if (fd < 0) return;
    this.#file?.remove();
    this.#letGo();
    const result = this.kernel.libc.close(fd);
    // On any other error, Linux has closed the descriptor.
    if (result === -ERRNO.EBADF) throw new SysError("close", result, { fd });
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Releases the descriptor without closing it. This object counts as closed.
   *
   * @returns The descriptor, which the caller must close.
   * @throws TypeError `ERR_CLOSED`
   */
  detach(): number {
    const fd = this.openFd("detach");
    this.#letGo();
    return fd;
  }

  #letGo(): void {
    this.#fd = -1;
    this.#file = undefined;
    if (this.#guarded !== undefined) unguard(this.#guarded);
  }

  /** The fields that `console.log` prints. */
  #fields(): Fields {
    const { kernel } = this;
    const fd = this.#fd;
    const shown = (address: SocketAddress | null) =>
      address === null ? null : formatAddress(address);
    const family = familyName(this.family);
    if (fd < 0) return { fd, family, state: "closed" };
    const remote = readPeerAddress(kernel, fd);
    const listens = readIntOption(kernel, fd, SOL_SOCKET, SO_ACCEPTCONN) === 1;
    return {
      fd,
      family,
      localAddress: shown(readLocalAddress(kernel, fd)),
      remoteAddress: shown(remote),
      state: remote !== null ? "connected" : listens ? "listening" : "unconnected",
      timeoutMs: this.getTimeout(),
    };
  }

  /**
   * The address that the socket is bound to; `{ path: "" }` for an unbound unix socket.
   *
   * @throws SysError `ENOTSOCK`; TypeError `ERR_CLOSED`, `ERR_UNSUPPORTED` for families other than AF_INET, AF_INET6
   * and AF_UNIX.
   * @source getsockname(2)
   */
  localAddress(): SocketAddress {
    const fd = this.openFd("getsockname");
    const address = readLocalAddress(this.kernel, fd);
    if (address !== null) return address;
    const { libc, scratch } = this.kernel;
    const at = scratch.address;
    checkSocket(libc.getsockname(fd, at + AT_BYTES, at + AT_LENGTH), "getsockname", null, fd);
    throw typeError(
      "ERR_UNSUPPORTED",
      `Cannot read an address of family ${this.family}: AF_INET, AF_INET6 and AF_UNIX are known`,
    );
  }

  /**
   * The address that the socket is connected to; null if it is not connected.
   *
   * @throws TypeError `ERR_CLOSED`
   * @source getpeername(2)
   */
  remoteAddress(): SocketAddress | null {
    return readPeerAddress(this.kernel, this.openFd("getpeername"));
  }

  /** Sets the mode: true is blocking without a timeout, false is non-blocking. @throws TypeError `ERR_INVALID_OPTION`, `ERR_CLOSED` */
  setBlocking(blocking: boolean): void {
    this.setTimeout(booleanOf(blocking, "blocking") ? undefined : 0);
  }

  /** Whether calls may block: true in blocking mode and with a timeout. */
  getBlocking(): boolean {
    return this.#timeoutMs !== 0;
  }

  /**
   * Sets the timeout, and so the mode.
   *
   * @remarks
   * This sets O_NONBLOCK, which duplicates of the descriptor share.
   *
   * @param timeoutMs - The longest time that a call blocks, in milliseconds. 0 is non-blocking, undefined blocking.
   * @throws RangeError `ERR_INVALID_TIMEOUT`, also for a negative timeout; TypeError `ERR_INVALID_TIMEOUT`,
   * `ERR_CLOSED`
   */
  setTimeout(timeoutMs: number | undefined): void {
    const timeout = naturalTimeoutOf(timeoutMs);
    const fd = this.openFd("setTimeout");
    const { libc } = this.kernel;
    const flags = check(libc.fcntl(fd, F_GETFL, 0), "fcntl", { fd });
    const wanted = timeout === FOREVER ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
    if (wanted !== flags) check(libc.fcntl(fd, F_SETFL, wanted), "fcntl", { fd });
    this.#timeoutMs = timeout;
  }

  /** The longest time that a call blocks, in milliseconds. 0 is non-blocking, undefined blocking. */
  getTimeout(): number | undefined {
    return this.#timeoutMs === FOREVER ? undefined : this.#timeoutMs;
  }

  /** Whether programs that this process starts inherit the descriptor. Default false. @throws TypeError `ERR_CLOSED` */
  isInheritable(): boolean {
    const fd = this.openFd("isInheritable");
    return (check(this.kernel.libc.fcntl(fd, F_GETFD, 0), "fcntl", { fd }) & FD_CLOEXEC) === 0;
  }

  /** Sets whether programs that this process starts inherit the descriptor. @throws TypeError `ERR_INVALID_OPTION`, `ERR_CLOSED` */
  setInheritable(inheritable: boolean): void {
    const fd = this.openFd("setInheritable");
    const flag = booleanOf(inheritable, "inheritable") ? 0 : FD_CLOEXEC;
    check(this.kernel.libc.fcntl(fd, F_SETFD, flag), "fcntl", { fd });
  }

  /**
   * Whether the next byte to receive is the urgent one, or follows it if it was received separately: see MSG_OOB.
   *
   * @remarks
   * A receive stops before the urgent byte, so the data before it is received first. With `oobInline` the urgent byte is
   * received next: receive exactly one byte.
   *
   * @throws SysError `EOPNOTSUPP`, `EINVAL` or `ENOTTY` if the socket cannot have urgent data; TypeError `ERR_CLOSED`
   * @source sockatmark(3)
   */
  atMark(): boolean {
    const fd = this.openFd("atMark");
    const { libc, scratch } = this.kernel;
    checkSocket(libc.ioctl(fd, SIOCATMARK, scratch.address + AT_BYTES), "ioctl", null, fd);
    return scratch.i32[AT_BYTES >> 2] !== 0;
  }

  /** Returns the value of an option that is an int. */
  getsockopt(level: number, option: number): number;
  /** Returns the value of any option, as at most `length` bytes. */
  getsockopt(level: number, option: number, length: number): Uint8Array;
  /**
   * Reads an option.
   *
   * @param level - SOL_SOCKET, or the protocol of the option.
   * @throws SysError `ENOPROTOOPT`, `EOPNOTSUPP`; TypeError or RangeError `ERR_INVALID_OPTION`, `ERR_INVALID_LENGTH`, `ERR_CLOSED`
   * @source getsockopt(2)
   */
  getsockopt(level: number, option: number, length?: number): number | Uint8Array {
    const fd = this.openFd("getsockopt");
    const { libc, scratch } = this.kernel;
    const [atLevel, number] = [intOf(level, "a level"), intOf(option, "an option")];
    const room = length === undefined ? 4 : lengthOf(length, MAX_OPTION_LENGTH);
    scratch.u8.fill(0, AT_BYTES, AT_BYTES + room);
    scratch.u32[AT_LENGTH >> 2] = room;
    const at = scratch.address;
    const result = libc.getsockopt(fd, atLevel, number, at + AT_BYTES, at + AT_LENGTH);
    checkSocket(result, "getsockopt", null, fd);
    if (length === undefined) return scratch.i32[AT_BYTES >> 2] as number;
    return scratch.u8.slice(AT_BYTES, AT_BYTES + (scratch.u32[AT_LENGTH >> 2] as number));
  }

  /**
   * Sets an option.
   *
   * @param level - SOL_SOCKET, or the protocol of the option.
   * @param value - An int, or the bytes of a struct.
   * @throws SysError `ENOPROTOOPT`, `EOPNOTSUPP`, `EINVAL`, `EPERM`; TypeError or RangeError `ERR_INVALID_OPTION`, `ERR_CLOSED`
   * @source setsockopt(2)
   */
  setsockopt(level: number, option: number, value: number | Uint8Array): void {
    const fd = this.openFd("setsockopt");
    const { libc, scratch } = this.kernel;
    const [atLevel, number] = [intOf(level, "a level"), intOf(option, "an option")];
    let length = 4;
    if (typeof value === "number") scratch.i32[AT_BYTES >> 2] = flagsOf(value, "the option");
    else if (value instanceof Uint8Array) {
      length = lengthOf(value.length, MAX_OPTION_LENGTH);
      scratch.u8.set(value, AT_BYTES);
    } else {
      throw typeError(
        "ERR_INVALID_OPTION",
        `Cannot set an option to ${show(value)}: give an integer or bytes`,
      );
    }
    const result = libc.setsockopt(fd, atLevel, number, scratch.address + AT_BYTES, length);
    checkSocket(result, "setsockopt", null, fd);
  }

  /** The descriptor, for the call named `operation`. @throws TypeError `ERR_CLOSED` */
  protected openFd(operation: string): number {
    if (this.#fd >= 0) return this.#fd;
    throw typeError(
      "ERR_CLOSED",
      `Cannot ${operation} on a socket that has been closed or detached`,
    );
  }

  /** The deadline of a call that starts now. */
  protected deadline(): Deadline {
    return new Deadline(this.kernel, this.#timeoutMs);
  }

  /**
   * Makes a call in the mode of the socket: repeats it after a signal, and when the socket is ready before the deadline.
   *
   * @param events - The event that the call waits for: POLLIN or POLLOUT.
   * @param call - Makes the call. Returns a number `>= 0`, or `-errno`.
   * @param deadline - A deadline that several calls share.
   * @param address - The address for an error.
   * @returns The result of the call, or WOULD_BLOCK.
   * @throws SysError; `ETIMEDOUT` when the timeout has expired.
   */
  protected attempt(
    syscall: string,
    events: number,
    flags: number,
    call: (fd: number) => number,
    deadline?: Deadline,
    address?: SocketAddress,
  ): number {
    const fd = this.openFd(syscall);
    let end = deadline;
    for (;;) {
      const result = call(fd);
      if (result >= 0) return result;
      if (result === -ERRNO.EINTR) continue;
      if (result !== WOULD_BLOCK) throw socketError(syscall, result, address, fd);
      if (this.#timeoutMs <= 0 || (flags & MSG_DONTWAIT) !== 0) return WOULD_BLOCK;
      end ??= this.deadline();
      if (!waitFor(this.kernel, fd, events, end)) throw this.timedOut(syscall, address);
    }
  }

  /** The error of a call whose timeout has expired. */
  protected timedOut(syscall: string, address?: SocketAddress): SysError {
    return socketError(syscall, ERRNO.ETIMEDOUT, address, this.#fd);
  }
}

/**
 * Checks a length in bytes.
 *
 * @throws TypeError, RangeError `ERR_INVALID_LENGTH`
 */
export function lengthOf(length: number, max: number = 0x7fffffff): number {
  return integerOf(length, "a length in bytes", [0, max], "ERR_INVALID_LENGTH");
}

import { intOf, type NamesOf } from "../base/argument.ts";
import { ERRNO } from "../base/errno.ts";
import { fromCaller, typeError } from "../base/misuse.ts";
import { SysError } from "../base/sys-error.ts";
import { naturalTimeoutOf } from "../base/timeout.ts";
import type { Kernel } from "../sys/kernel.ts";
import { kernelOf, type WithKernel } from "../sys/open.ts";
import { checkIpFamily, familyOf, portOf, type SocketAddress } from "./address.ts";
import { ATTEMPT_DELAY_MS, connectError, interleaved } from "./attempts.ts";
import {
  type AF_INET,
  type AF_INET6,
  AF_UNIX,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
} from "./constants.ts";
import { LISTEN_ADDRESS, type ListenOptions, openListener } from "./listener.ts";
import { readLocalAddress } from "./raw.ts";
import { resolve } from "./resolve.ts";
import { AT_BYTES } from "./scratch.ts";
import { Socket } from "./socket.ts";
import { checkSocket, socketError } from "./socket-error.ts";
import { SocketFile } from "./socket-file.ts";
import { OWN_FILE, OWNED, type OwnSocketInit } from "./socket-handle.ts";
import { Deadline, POLLOUT, waitFor } from "./wait.ts";

/** The longest interval between two checks of a connect, in milliseconds. */
const MAX_PAUSE_MS = 16;

/** Options of {@link createServer}. */
export interface CreateServerOptions extends ListenOptions {
  /** @internal The kernel to call. Default: the one of this thread. */
  readonly kernel?: Kernel | undefined;
}

const CREATE_SERVER_OPTIONS: NamesOf<CreateServerOptions> = {
  ...LISTEN_ADDRESS,
  nonBlocking: true,
  type: true,
  kernel: true,
};

/** Options of {@link createConnection}. */
export interface CreateConnectionOptions {
  /** A name or an IP address. Default "localhost". */
  readonly host?: string | undefined;
  /** The port, from 1 to 65,535. Required unless `path` is set. */
  readonly port?: number | undefined;
  /** Instead of `host` and `port`: the path of a unix socket, or an abstract name with a leading NUL. */
  readonly path?: string | Uint8Array | undefined;
  /** AF_INET or AF_INET6: tries only the addresses of this family. Default: both. */
  readonly family?: typeof AF_INET | typeof AF_INET6 | undefined;
  /**
   * Milliseconds for all addresses together, and then the timeout of the socket. Default: the kernel's timeout, and none.
   */
  readonly timeoutMs?: number | undefined;
  /** The local address to bind the socket to. Default: the kernel chooses. */
  readonly localAddress?: SocketAddress | undefined;
  /** @internal The kernel to call. Default: the one of this thread. */
  readonly kernel?: Kernel | undefined;
}

const CREATE_CONNECTION_OPTIONS: NamesOf<CreateConnectionOptions> = {
  host: true,
  port: true,
  path: true,
  family: true,
  timeoutMs: true,
  localAddress: true,
  kernel: true,
};

/**
 * Creates a listening socket.
 *
 * @param options - `host` and `port`, or `path`, or `address`; see {@link ListenOptions}.
 * @returns A socket in blocking mode, unless `nonBlocking` is set.
 * @throws SysError `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES` and others, with the address and a hint; TypeError or
 * RangeError `ERR_INVALID_ADDRESS`, `ERR_INVALID_PORT`, `ERR_INVALID_OPTION`
 * @example
 * ```ts
 * using server = createServer({ host: "127.0.0.1", port: 0 });
 * const { port } = server.localAddress();
 * ```
 */
export function createServer(options: CreateServerOptions): Socket {
  const { kernel, fd } = fromCaller(createServer, () => {
    const kernel = kernelOf(options, "createServer()", CREATE_SERVER_OPTIONS);
    return { kernel, fd: openListener(kernel, options) };
  });
  const file = SocketFile.of(kernel, readLocalAddress(kernel, fd));
  return Socket.fromFd(fd, { kernel, [OWNED]: true, [OWN_FILE]: file });
}

/**
 * Connects to a host by name, and tries its addresses, IPv6 and IPv4 in alternation, until one accepts: the next one when
 * one has failed, or has not answered for 250 ms.
 *
 * @remarks
 * The thread is not blocked: the connect is checked every few milliseconds, and timers and promises run in between.
 *
 * @returns A connected socket with the given timeout, or in blocking mode without one.
 * @throws SysError `ECONNREFUSED`, `ETIMEDOUT` and others if there was one address; an AggregateError with the `errors`
 * of all addresses, the `code` of the first (or `ETIMEDOUT`), and every failure in its message, if there were several;
 * ResolveError if
 * the name has no address; TypeError or RangeError `ERR_INVALID_PORT`, `ERR_INVALID_ADDRESS`, `ERR_INVALID_TIMEOUT`,
 * `ERR_INVALID_OPTION`. All as a rejection.
 * @example
 * ```ts
 * using socket = await createConnection({ host: "localhost", port: 7788, timeoutMs: 1000 });
 * ```
 */
export async function createConnection(options: CreateConnectionOptions): Promise<Socket> {
  const kernel = kernelOf(options, "createConnection()", CREATE_CONNECTION_OPTIONS);
  const timeoutMs = naturalTimeoutOf(options.timeoutMs);
  const targets = await targetsOf(options);
  return connectToAny(kernel, targets, timeoutMs, options);
}

/**
 * Two unix sockets that are connected to each other.
 *
 * @param family - AF_UNIX is the one that Linux has.
 * @param type - SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET; with SOCK_NONBLOCK they are non-blocking.
 * @throws SysError `EMFILE`, `EOPNOTSUPP`; TypeError or RangeError `ERR_INVALID_OPTION`
 * @source socketpair(2)
 */
export function socketpair(
  family: number = AF_UNIX,
  type: number = SOCK_STREAM,
  options: WithKernel = {},
): [Socket, Socket] {
  const kernel = kernelOf(options, "socketpair()");
  const { libc, scratch } = kernel;
  const flags = intOf(type, "a type") | SOCK_CLOEXEC;
  const result = libc.socketpair(intOf(family, "a family"), flags, 0, scratch.address + AT_BYTES);
  checkSocket(result, "socketpair");
  const at = AT_BYTES >> 2;
  const ownInit = (fd: number): OwnSocketInit => ({ fd, kernel, [OWNED]: true });
  const fds = [scratch.i32[at] as number, scratch.i32[at + 1] as number] as const;
  return [
    new Socket(family, type, 0, ownInit(fds[0])),
    new Socket(family, type, 0, ownInit(fds[1])),
  ];
}

async function targetsOf(options: CreateConnectionOptions): Promise<readonly SocketAddress[]> {
  const { host, port, path, localAddress } = options;
  checkIpFamily(options.family);
  if (path === undefined) {
    if (port === undefined) {
      throw typeError("ERR_INVALID_PORT", "Cannot connect without an address: give port or path");
    }
    // Only an address of the family that it connects from can be reached.
    const local = localAddress === undefined ? undefined : familyOf(localAddress);
    const family = options.family ?? (local === AF_UNIX ? undefined : local);
    const name = host === undefined ? "localhost" : host;
    return resolve(name, { family, port: portOf(port) });
  }
  if (host !== undefined || port !== undefined) {
    throw typeError("ERR_INVALID_OPTION", "Cannot connect to a path and a port at once: give one");
  }
  if (options.family !== undefined) {
    throw typeError(
      "ERR_INVALID_OPTION",
      "Cannot connect to a path with an IP family: leave it out",
    );
  }
  return [{ path }];
}

/** A socket that connects to one address. */
class Attempt {
  readonly address: SocketAddress;
  readonly socket: Socket;
  readonly #kernel: Kernel;
  readonly #localAddress: SocketAddress | undefined;
  #isBound = false;
  #inProgress = false;

  /** @throws SysError as `new Socket` does. */
  constructor(kernel: Kernel, address: SocketAddress, localAddress: SocketAddress | undefined) {
    this.address = address;
    this.socket = new Socket(familyOf(address), SOCK_STREAM | SOCK_NONBLOCK, 0, { kernel });
    this.#kernel = kernel;
    this.#localAddress = localAddress;
  }

  /** Whether the socket is connected. @throws SysError when the connect has failed. */
  check(): boolean {
    const { socket, address } = this;
    if (!this.#isBound && this.#localAddress !== undefined) socket.bind(this.#localAddress);
    this.#isBound = true;
    if (!this.#inProgress) {
      const errno = socket.connectEx(address);
      if (errno === 0) return true;
      // A full backlog, which only unix sockets report: it is asked again.
      if (errno === ERRNO.EAGAIN) return false;
      if (errno !== ERRNO.EINPROGRESS) throw socketError("connect", errno, address);
      this.#inProgress = true;
    }
    const now = new Deadline(this.#kernel, 0);
    if (!waitFor(this.#kernel, socket.fileno(), POLLOUT, now)) return false;
    const { error } = socket.options;
    if (error !== 0) throw socketError("connect", error, address);
    return true;
  }
}

/**
 * Connects to the first of several addresses that accepts. The next address is tried when one has failed, or has not
 * answered for {@link ATTEMPT_DELAY_MS}.
 *
 * @remarks
 * The connects are checked periodically, without blocking, because a selector is in a layer that this one may not import.
 * A connect within this machine is over at the first check.
 *
 * @param timeoutMs - For all addresses together. A negative timeout is infinite.
 */
export async function connectToAny(
  kernel: Kernel,
  targets: readonly SocketAddress[],
  timeoutMs: number,
  { host = "localhost", port, localAddress }: CreateConnectionOptions,
): Promise<Socket> {
  const deadline = new Deadline(kernel, timeoutMs);
  const waiting = interleaved(targets);
  const attempts = new Set<Attempt>();
  const errors: Error[] = [];
  let nextAt = 0;
  let turn = 0;
  const failed = (error: unknown): void => {
    // Misuse is no failure of one address: it would be the same for all.
    if (!(error instanceof SysError)) throw error;
    errors.push(error);
    nextAt = 0;
  };
  const start = (address: SocketAddress): void => {
    nextAt = kernel.now() + ATTEMPT_DELAY_MS;
    turn = 0;
    try {
      attempts.add(new Attempt(kernel, address, localAddress));
    } catch (error) {
      failed(error);
    }
  };
  const isConnected = (attempt: Attempt): boolean => {
    try {
      return attempt.check();
    } catch (error) {
      attempt.socket.close();
      attempts.delete(attempt);
      failed(error);
      return false;
    }
  };
  try {
    for (;;) {
      if (waiting.length > 0 && (attempts.size === 0 || kernel.now() >= nextAt)) {
        start(waiting.shift() as SocketAddress);
      }
      for (const attempt of attempts) {
        if (!isConnected(attempt)) continue;
        attempts.delete(attempt);
        attempt.socket.setTimeout(timeoutMs < 0 ? undefined : timeoutMs);
        return attempt.socket;
      }
      const what = `${host} port ${port}`;
      const leftMs = deadline.leftMs();
      if (leftMs === 0 && attempts.size > 0) {
        for (const { address } of attempts) {
          errors.push(socketError("connect", ERRNO.ETIMEDOUT, address));
        }
        throw connectError(errors, what, "ETIMEDOUT");
      }
      if (attempts.size === 0 && waiting.length === 0) throw connectError(errors, what);
      if (attempts.size === 0 || (nextAt === 0 && waiting.length > 0)) continue;
      const delayMs = Math.min(2 ** turn++, MAX_PAUSE_MS, leftMs);
      await new Promise<void>((resolve) => kernel.after(delayMs, resolve));
    }
  } finally {
    for (const { socket } of attempts) socket.close();
  }
}

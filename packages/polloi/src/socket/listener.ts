import { booleanOf, intOf, type NamesOf, objectOf } from "../base/argument.ts";
import { filenoOf } from "../base/descriptor.ts";
import { ERRNO, type ErrnoCode } from "../base/errno.ts";
import { numberError, show, typeError } from "../base/misuse.ts";
import { check, SysError } from "../base/sys-error.ts";
import { F_GETFL, F_SETFL, O_NONBLOCK } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";
import {
  type AddressFamily,
  checkIpFamily,
  encodeAddress,
  familyName,
  familyOf,
  formatAddress,
  formatPath,
  namesNoFamily,
  type SocketAddress,
} from "./address.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  IPPROTO_IPV6,
  IPV6_V6ONLY,
  SHUT_RD,
  SO_ACCEPTCONN,
  SO_ATTACH_FILTER,
  SO_DOMAIN,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  SOMAXCONN,
} from "./constants.ts";
import {
  bindRaw,
  closeOnExec,
  connectRaw,
  readIntOption,
  readLocalAddress,
  setIntOption,
} from "./raw.ts";
import { AT_ADDRESS, AT_BYTES } from "./scratch.ts";
import { checkSocket } from "./socket-error.ts";
import { isSocketFile } from "./socket-file.ts";

/** The address of a listening socket, and its options. */
export interface ListenOptions {
  /**
   * An IP address or `"localhost"`. Default, also for `""`: every address of the machine, IPv6 and IPv4, as in Node; only
   * those of one family with `family`, and only IPv4 with `dualStack: false`. `createServer` listens on IPv4 by default, as
   * Python's `create_server` does.
   */
  readonly host?: string | undefined;
  /** The same as `host`, by the name that other libraries have for it. */
  readonly hostname?: string | undefined;
  /** The port, from 0 to 65,535. 0 chooses a free one. Required unless `path` is set. */
  readonly port?: number | undefined;
  /**
   * Instead of `host` and `port`: the path of a unix socket, or an abstract name with a leading NUL. The file is removed
   * when the listener is closed, unless it has been replaced.
   */
  readonly path?: string | Uint8Array | undefined;
  /** Instead of `host`, `port` and `path`: an address object. */
  readonly address?: SocketAddress | undefined;
  /** AF_INET or AF_INET6, for the wildcard address and `"localhost"`. An IP address has its own family. */
  readonly family?: AddressFamily | undefined;
  /** The most connections that wait to be accepted. The kernel limits it to net.core.somaxconn. Default SOMAXCONN (4,096). */
  readonly backlog?: number | undefined;
  /** Allows several sockets to listen on one port; the kernel distributes connections among them. Default false. */
  readonly reusePort?: boolean | undefined;
  /** Allows a port whose former connections are still in TIME_WAIT. Default true. */
  readonly reuseAddr?: boolean | undefined;
  /**
   * Accepts IPv4 connections on an IPv6 listener as well. Not with AF_INET, an IPv4 address or a path. Default: true
   * without a host and a family, otherwise false.
   */
  readonly dualStack?: boolean | undefined;
  /** Sets the descriptor non-blocking. Default false. */
  readonly nonBlocking?: boolean | undefined;
  /** SOCK_STREAM (the default), or SOCK_SEQPACKET for a unix socket. */
  readonly type?: number | undefined;
}

/** The names of the options for an address. */
export const LISTEN_ADDRESS: NamesOf<Omit<ListenOptions, "nonBlocking" | "type">> = {
  host: true,
  hostname: true,
  port: true,
  path: true,
  address: true,
  family: true,
  backlog: true,
  reusePort: true,
  reuseAddr: true,
  dualStack: true,
};

/**
 * Opens a listening socket: socket, options, bind, listen.
 *
 * @returns Its descriptor, close-on-exec, which is the caller's to close.
 * @throws SysError `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`, `EMFILE`, `EAFNOSUPPORT`, with the address;
 * `ERR_INVALID_ADDRESS`, `ERR_INVALID_PORT`, `ERR_INVALID_OPTION`. Nothing stays open.
 * @source socket(2), bind(2), listen(2)
 */
export function openListener(kernel: Kernel, options: ListenOptions): number {
  const { libc } = kernel;
  const { address, family } = listenAddress(objectOf(options, "options"));
  const backlog = backlogOf(options.backlog);
  const reuseAddr = booleanOf(options.reuseAddr, "reuseAddr", true);
  const reusePort = booleanOf(options.reusePort, "reusePort", false);
  const dualStack = booleanOf(options.dualStack, "dualStack", false);
  // Encoded once before there is a descriptor: what is wrong with the address is found here.
  encodeAddress(kernel.scratch, AT_ADDRESS, address, family, kernel);
  const nonBlocking = booleanOf(options.nonBlocking, "nonBlocking", false);
  const flags = SOCK_CLOEXEC | (nonBlocking ? SOCK_NONBLOCK : 0);
  const type = options.type === undefined ? SOCK_STREAM : intOf(options.type, "a type");
  const fd = checkSocket(libc.socket(family, type | flags, 0), "socket", address);
  try {
    const set = (level: number, option: number, on: boolean): number =>
      checkSocket(setIntOption(kernel, fd, level, option, on ? 1 : 0), "setsockopt", address);
    if (family !== AF_UNIX) {
      if (reuseAddr) set(SOL_SOCKET, SO_REUSEADDR, true);
      if (reusePort) set(SOL_SOCKET, SO_REUSEPORT, true);
    }
    // Set either way: what it is by default is a sysctl.
    if (family === AF_INET6) set(IPPROTO_IPV6, IPV6_V6ONLY, !dualStack);
    const bound = bindRaw(kernel, fd, address, family);
    if (bound === -ERRNO.EADDRINUSE && address.path !== undefined) {
      throw new SysError("bind", bound, {
        address: formatPath(address.path),
        hint: inTheWay(kernel, address.path, type),
      });
    }
    checkSocket(bound, "bind", address);
    const listening = libc.listen(fd, backlog);
    checkSocket(listening, "listen", listening < 0 ? readLocalAddress(kernel, fd) : address);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** Errors of a machine without IPv6. */
const NO_IPV6: ReadonlySet<string> = new Set<ErrnoCode>([
  "EAFNOSUPPORT",
  "EADDRNOTAVAIL",
  "EPROTONOSUPPORT",
]);

/**
 * Opens a listening socket as {@link openListener} does. Without a host or a family, it accepts IPv6 and IPv4; on a
 * machine without IPv6, IPv4.
 *
 * @param open - Opens the socket.
 */
export function openServer<Options extends ListenOptions>(
  kernel: Kernel,
  options: Options,
  open: (kernel: Kernel, options: Options) => number = openListener,
): number {
  const { hostname = "", path, address, family, dualStack } = objectOf(options, "options");
  const { host = hostname } = options;
  const others = [path, address, family, dualStack];
  const isEverywhere = host === "" && others.every((other) => other === undefined);
  if (!isEverywhere) return open(kernel, options);
  try {
    return open(kernel, { ...options, dualStack: true });
  } catch (error) {
    if (!(error instanceof SysError && NO_IPV6.has(error.code))) throw error;
    return open(kernel, options);
  }
}

/** Whether a listening socket of IPv6 accepts IPv4 as well. */
export function isDualStack(kernel: Kernel, fd: number): boolean {
  return readIntOption(kernel, fd, IPPROTO_IPV6, IPV6_V6ONLY) === 0;
}

/**
 * Takes over a socket that listens already, one that another thread or process opened: makes it non-blocking and
 * close-on-exec.
 *
 * @param where - What else was said about where to listen, which must be nothing.
 * @returns `fd`; the caller's still when this throws.
 * @throws SysError `EINVAL` when it does not listen, `ENOTSOCK`, `EBADF`; `ERR_INVALID_FD`,
 * `ERR_INVALID_OPTION`.
 */
export function takeListener(kernel: Kernel, fd: number, where: ListenOptions): number {
  const { libc } = kernel;
  filenoOf(fd);
  if ((where.host ?? where.hostname ?? where.port ?? where.path ?? where.address) !== undefined) {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot listen on fd ${fd} and on what host, port, path or address say: give one`,
    );
  }
  const listens = readIntOption(kernel, fd, SOL_SOCKET, SO_ACCEPTCONN);
  check(listens, "getsockopt", { fd });
  if (listens === 0) {
    const hint = "that socket does not listen; call listen() on it first";
    throw new SysError("listen", ERRNO.EINVAL, { fd, hint });
  }
  const flags = check(libc.fcntl(fd, F_GETFL, 0), "fcntl", { fd });
  check(libc.fcntl(fd, F_SETFL, flags | O_NONBLOCK), "fcntl", { fd });
  check(closeOnExec(kernel, fd), "fcntl", { fd });
  return fd;
}

/**
 * Has a listening socket take no new connections, while those that the kernel has already accepted for it can
 * still be accepted here.
 *
 * @remarks
 * Connections that arrive between the last accept and the close would be reset. For TCP a filter drops the
 * packets that ask for a connection, so the client asks again after a second, and finds the next server or is
 * refused. A unix socket refuses from now on. Both hold for every process that shares the socket.
 *
 * @source socket(7), SO_ATTACH_FILTER; shutdown(2)
 */
export function refuseConnections(kernel: Kernel, fd: number): void {
  const { libc, scratch } = kernel;
  if (readIntOption(kernel, fd, SOL_SOCKET, SO_DOMAIN) === AF_UNIX) {
    libc.shutdown(fd, SHUT_RD);
    return;
  }
  scratch.u32.set(DROP_SYN, FILTER_AT >> 2);
  scratch.u32[AT_BYTES >> 2] = DROP_SYN.length / 2;
  scratch.setWord(AT_BYTES + 8, scratch.address + FILTER_AT);
  libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, scratch.address + AT_BYTES, 16);
}

/** Where the instructions of a filter go, behind its `sock_fprog`. */
const FILTER_AT = AT_BYTES + 16;
/** A classic BPF program: drops segments with SYN and without ACK. Two words for each instruction. */
const DROP_SYN: readonly number[] = [
  0x30,
  13, // A = byte 13 of the TCP header: its flags
  0x54,
  0x12, // A &= SYN | ACK
  0x15 | (1 << 24),
  0x02, // unless A == SYN, skip the next instruction
  0x06,
  0, // drop
  0x06,
  0xffff_ffff, // keep all of it
];

/** Returns the reason why a unix socket cannot be bound to `path`, and a remedy. */
function inTheWay(kernel: Kernel, path: string | Uint8Array, type: number): string {
  if (path[0] !== "\0" && path[0] !== 0 && isSocketFile(kernel, path) === false) {
    return "a file that is not a socket is at that path: use another path";
  }
  const { libc } = kernel;
  const fd = libc.socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return "something is at that path already";
  const connected = connectRaw(kernel, fd, { path }, AF_UNIX);
  libc.close(fd);
  return connected === -ERRNO.ECONNREFUSED
    ? "nothing listens there: the file is left from a server that ended without closing it; remove it"
    : "a server listens there: stop it, or use another path";
}

/** Whether several sockets may listen where `fd` does. */
export function sharesPort(kernel: Kernel, fd: number): boolean {
  return readIntOption(kernel, fd, SOL_SOCKET, SO_REUSEPORT) === 1;
}

/** A backlog that listen(2) takes as it is meant: negative ones mean "as many as allowed" there. */
export function backlogOf(backlog: number = SOMAXCONN): number {
  if (Number.isInteger(backlog) && backlog >= 0 && backlog <= 0x7fffffff) return backlog + 0;
  throw numberError(
    "ERR_INVALID_OPTION",
    backlog,
    `Cannot use ${show(backlog)} as a backlog: give an integer from 0 up`,
  );
}

/**
 * Rejects options that name no address: no server wants a random port by mistake.
 *
 * @param allowed - The options to choose from, for the message.
 * @throws TypeError `ERR_INVALID_PORT`
 */
export function checkAddressGiven(
  { port, path, address }: Pick<ListenOptions, "port" | "path" | "address">,
  allowed: string,
): void {
  if ((port ?? path ?? address) !== undefined) return;
  // A null is rejected as an address or a port.
  if (port === null || path === null || address === null) return;
  throw typeError("ERR_INVALID_PORT", `Cannot listen without an address: give ${allowed}`);
}

/**
 * Where `options` say to listen, and the family of the socket to make for it.
 *
 * @throws TypeError `ERR_INVALID_OPTION` when they contradict each other.
 */
export function listenAddress(options: ListenOptions): {
  address: SocketAddress;
  family: AddressFamily;
} {
  const { hostname, port, path, dualStack, reusePort } = options;
  if (options.host !== undefined && hostname !== undefined) {
    throw typeError("ERR_INVALID_OPTION", "Cannot listen on a host and a hostname: give one");
  }
  const { host = hostname } = options;
  if (options.family !== AF_UNIX) checkIpFamily(options.family);
  if (host !== undefined && typeof host !== "string") {
    throw typeError(
      "ERR_INVALID_ADDRESS",
      `Cannot listen on the host ${show(host)}: give a string`,
    );
  }
  if (path !== undefined && (host !== undefined || port !== undefined)) {
    throw typeError("ERR_INVALID_OPTION", "Cannot listen on a path and a port at once: give one");
  }
  if (options.address !== undefined && (path ?? host ?? port) !== undefined) {
    throw typeError(
      "ERR_INVALID_OPTION",
      "Cannot listen on an address and on what host, port or path say: give one",
    );
  }
  checkAddressGiven(options, "port or path");
  if (dualStack === true && options.family === AF_INET) {
    throw typeError(
      "ERR_INVALID_OPTION",
      "Cannot listen dual-stack with AF_INET: leave the family out or give AF_INET6",
    );
  }
  const wanted = options.family ?? (dualStack === true ? AF_INET6 : undefined);
  const given: SocketAddress =
    options.address ??
    (path === undefined ? { address: host ?? "", port: port as number } : { path });
  const literal = familyOf(given);
  if (literal === AF_UNIX && reusePort === true) {
    throw typeError(
      "ERR_INVALID_OPTION",
      "Cannot share a path by reusePort: only ports can be shared; leave it out",
    );
  }
  // The wildcard and "localhost" have the family that is wanted, a literal its own.
  const address: SocketAddress =
    given.path === undefined && wanted !== AF_UNIX && namesNoFamily(given)
      ? { ...given, family: given.family ?? wanted }
      : given;
  const family = familyOf(address);
  if (wanted !== undefined && wanted !== family) {
    const asked = options.family === undefined ? "dual-stack" : `with ${familyName(wanted)}`;
    const todo = options.family === undefined ? 'leave the host out or give "::"' : "leave it out";
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot listen on ${formatAddress(address)} ${asked}: it is of ${familyName(family)}; ${todo}`,
    );
  }
  return { address, family };
}

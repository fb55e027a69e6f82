import { ERRNO } from "../base/errno.ts";
import { SysError, type SysErrorDetails } from "../base/sys-error.ts";
import { formatPath, hostOf, type SocketAddress } from "./address.ts";

/** Ports below this are privileged unless net.ipv4.ip_unprivileged_port_start says otherwise. */
const UNPRIVILEGED_PORT_START = 1024;

/**
 * The error of a socket call, with its address and a hint.
 *
 * @param errno - The error number, positive or negative.
 */
export function socketError(
  syscall: string,
  errno: number,
  address?: SocketAddress | null,
  fd?: number,
): SysError {
  return new SysError(syscall, errno, {
    ...detailsOf(address),
    fd,
    hint: hintFor(syscall, Math.abs(errno), address),
  });
}

/**
 * Returns the result of a call, or throws a {@link socketError} if it failed.
 *
 * @param result - A number `>= 0`, or `-errno`.
 */
export function checkSocket(
  result: number,
  syscall: string,
  address?: SocketAddress | null,
  fd?: number,
): number {
  if (result < 0) throw socketError(syscall, result, address, fd);
  return result;
}

function detailsOf(address: SocketAddress | null | undefined): SysErrorDetails {
  if (address === null || address === undefined) return {};
  if (address.path !== undefined) return { address: formatPath(address.path) };
  return { address: hostOf(address), port: address.port };
}

function hintFor(
  syscall: string,
  errno: number,
  address: SocketAddress | null | undefined,
): string | undefined {
  const port = address?.port;
  const unix = address?.path !== undefined;
  switch (errno) {
    case ERRNO.EADDRINUSE:
      if (unix) {
        return "a file is at that path already: remove it if nothing listens there, or use another path";
      }
      return "something uses that address already: stop it (ss -ltnp shows it), use another port (0 picks a free one), or set reusePort on both";
    case ERRNO.EADDRNOTAVAIL:
      if (syscall === "bind") return "no interface of this machine has that address";
      return "no local port is left for that destination (net.ipv4.ip_local_port_range), or the local address is not of this machine";
    case ERRNO.EACCES:
      if (syscall === "bind" && port !== undefined && port > 0) {
        return `the port is privileged: use port >= ${UNPRIVILEGED_PORT_START}, give the program CAP_NET_BIND_SERVICE, or lower net.ipv4.ip_unprivileged_port_start`;
      }
      if (unix) return "the permissions of the socket or of a directory on its path forbid it";
      return "to send to a broadcast address, set options.broadcast first";
    case ERRNO.EMFILE:
      return "this process is at its limit of open descriptors: close some, or raise it (ulimit -n)";
    case ERRNO.ENFILE:
      return "the machine is at its limit of open files (fs.file-max)";
    case ERRNO.ECONNREFUSED:
      return "nothing listens at that address";
    case ERRNO.EAFNOSUPPORT:
      return "this machine has no sockets of that family; IPv6 may be disabled";
    case ERRNO.EAGAIN:
      return syscall === "connect"
        ? "the backlog of the listener is full: try again in a moment"
        : undefined;
    case ERRNO.EMSGSIZE:
      return "the message is larger than the socket can send in one piece";
    case ERRNO.ENOENT:
      if (!unix) return undefined;
      return syscall === "bind"
        ? "the directory of that path does not exist"
        : "no socket is there";
    default:
      return undefined;
  }
}

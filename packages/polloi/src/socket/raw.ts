/**
 * Socket calls on a bare descriptor, for whoever keeps descriptors rather than Sockets: an engine that
 * holds thousands of them. Arguments go through the scratch arena, so that nothing else is allocated.
 */
import { ERRNO } from "../base/errno.ts";
import { F_GETFD, F_SETFD, FD_CLOEXEC, FIONREAD, SIOCOUTQ } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";
import { decodeAddress, encodeAddress, type SocketAddress } from "./address.ts";
import { SO_ERROR, SO_LINGER, SOL_SOCKET } from "./constants.ts";
import {
  AT_ADDRESS,
  AT_BYTES,
  AT_LENGTH,
  AT_POLLFD,
  AT_TIMEOUT,
  SOCKADDR_SIZE,
} from "./scratch.ts";
import { POLLERR, POLLHUP, POLLRDHUP } from "./wait.ts";

/** Where the socket `fd` is; null when `fd` is no socket or its family has no address known here. */
export function readLocalAddress(kernel: Kernel, fd: number): SocketAddress | null {
  prepareAddress(kernel);
  const { address } = kernel.scratch;
  return readAddress(
    kernel,
    kernel.libc.getsockname(fd, address + AT_ADDRESS, address + AT_LENGTH),
  );
}

/** What the socket `fd` is connected to; null when it is to nothing. */
export function readPeerAddress(kernel: Kernel, fd: number): SocketAddress | null {
  prepareAddress(kernel);
  const { address } = kernel.scratch;
  return readAddress(
    kernel,
    kernel.libc.getpeername(fd, address + AT_ADDRESS, address + AT_LENGTH),
  );
}

/** Makes room for the address that a call will write at {@link AT_ADDRESS}. */
export function prepareAddress(kernel: Kernel): void {
  kernel.scratch.u32[AT_LENGTH >> 2] = SOCKADDR_SIZE;
}

/** The address that a call wrote, after {@link prepareAddress}; null when it failed or wrote none. */
export function readAddress(kernel: Kernel, result = 0): SocketAddress | null {
  if (result < 0) return null;
  const { scratch } = kernel;
  return decodeAddress(scratch, AT_ADDRESS, scratch.u32[AT_LENGTH >> 2] as number);
}

/**
 * Binds `fd` to `address`.
 *
 * @returns 0 or `-errno`.
 * @throws `ERR_INVALID_ADDRESS`, `ERR_INVALID_PORT`
 */
export function bindRaw(
  kernel: Kernel,
  fd: number,
  address: SocketAddress,
  family?: number,
): number {
  const { libc, scratch } = kernel;
  const length = encodeAddress(scratch, AT_ADDRESS, address, family, kernel);
  return libc.bind(fd, scratch.address + AT_ADDRESS, length);
}

/**
 * Connects `fd` to `address`; a non-blocking one answers `-EINPROGRESS` and becomes writable.
 *
 * @returns 0 or `-errno`.
 * @throws `ERR_INVALID_ADDRESS`, `ERR_INVALID_PORT`
 */
export function connectRaw(
  kernel: Kernel,
  fd: number,
  address: SocketAddress,
  family?: number,
): number {
  const { libc, scratch } = kernel;
  const length = encodeAddress(scratch, AT_ADDRESS, address, family, kernel);
  return libc.connect(fd, scratch.address + AT_ADDRESS, length);
}

/**
 * An option that is an int. One that may be negative cannot be told from an error here:
 * `Socket.getsockopt` can.
 *
 * @returns The value, or `-errno`.
 */
export function readIntOption(kernel: Kernel, fd: number, level: number, option: number): number {
  const { libc, scratch } = kernel;
  scratch.u32[AT_LENGTH >> 2] = 4;
  // An option of one byte (IP_MULTICAST_TTL) leaves the rest as it was.
  scratch.i32[AT_BYTES >> 2] = 0;
  const { address } = scratch;
  const result = libc.getsockopt(fd, level, option, address + AT_BYTES, address + AT_LENGTH);
  return result < 0 ? result : (scratch.i32[AT_BYTES >> 2] as number);
}

/**
 * Sets an option that is an int.
 *
 * @returns 0 or `-errno`.
 */
export function setIntOption(
  kernel: Kernel,
  fd: number,
  level: number,
  option: number,
  value: number,
): number {
  const { libc, scratch } = kernel;
  scratch.i32[AT_BYTES >> 2] = value;
  return libc.setsockopt(fd, level, option, scratch.address + AT_BYTES, 4);
}

/**
 * Takes the error that waits on `fd` (SO_ERROR): how a connect in progress has ended.
 *
 * @returns A positive error number, 0 when there is none. It is given once, then cleared.
 */
export function takeSocketError(kernel: Kernel, fd: number): number {
  return Math.abs(readIntOption(kernel, fd, SOL_SOCKET, SO_ERROR));
}

/** What a call that would block returns. */
export const WOULD_BLOCK: number = -ERRNO.EAGAIN;

/**
 * Has a descriptor that was made elsewhere closed in programs that this process starts.
 *
 * @returns 0 or `-errno`.
 */
export function closeOnExec({ libc }: Kernel, fd: number): number {
  const flags = libc.fcntl(fd, F_GETFD, 0);
  if (flags < 0 || (flags & FD_CLOEXEC) !== 0) return Math.min(flags, 0);
  return libc.fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
}

/** How many bytes have arrived that nobody has received: FIONREAD. 0 for what has no such number. */
export function readUnread({ libc, scratch }: Kernel, fd: number): number {
  return libc.ioctl(fd, FIONREAD, scratch.address) < 0 ? 0 : (scratch.i32[0] as number);
}

/** What the peer of a connected stream socket has done. */
export type PeerState = "open" | "ended" | "gone";

/**
 * What the peer of a connected stream socket has done, whether that has been received or not: it has ended its half,
 * or nothing can be sent to it any more.
 */
export function readPeerState({ libc, scratch }: Kernel, fd: number): PeerState {
  scratch.i32[AT_POLLFD >> 2] = fd;
  scratch.u32[(AT_POLLFD + 4) >> 2] = POLLRDHUP;
  scratch.setTimespec(AT_TIMEOUT, 0);
  const { address } = scratch;
  if (libc.ppoll(address + AT_POLLFD, 1, address + AT_TIMEOUT, 0) <= 0) return "open";
  const events = (scratch.u32[(AT_POLLFD + 4) >> 2] as number) >>> 16;
  return (events & (POLLERR | POLLHUP)) !== 0 ? "gone" : "ended";
}

/** How many bytes the kernel has that the peer has not taken: SIOCOUTQ. 0 for what has no such number. */
export function readUntaken({ libc, scratch }: Kernel, fd: number): number {
  return libc.ioctl(fd, SIOCOUTQ, scratch.address) < 0 ? 0 : (scratch.i32[0] as number);
}

/** Makes the next close of `fd` send a reset instead of a FIN, and leave no TIME_WAIT. Source: socket(7), SO_LINGER. */
export function resetOnClose({ libc, scratch }: Kernel, fd: number): void {
  scratch.i32[0] = 1;
  scratch.i32[1] = 0;
  libc.setsockopt(fd, SOL_SOCKET, SO_LINGER, scratch.address, 8);
}

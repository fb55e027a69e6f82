/**
 * Socket calls on bare descriptors, for modules that hold thousands of them. Arguments are passed in the scratch arena,
 * so nothing is allocated.
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

/** The local address of a socket; null if `fd` is no socket, or its family is not supported here. */
export function readLocalAddress(kernel: Kernel, fd: number): SocketAddress | null {
  prepareAddress(kernel);
  const { address } = kernel.scratch;
  return readAddress(
    kernel,
    kernel.libc.getsockname(fd, address + AT_ADDRESS, address + AT_LENGTH),
  );
}

/** The address of a socket's peer; null if it is not connected. */
export function readPeerAddress(kernel: Kernel, fd: number): SocketAddress | null {
  prepareAddress(kernel);
  const { address } = kernel.scratch;
  return readAddress(
    kernel,
    kernel.libc.getpeername(fd, address + AT_ADDRESS, address + AT_LENGTH),
  );
}

/** Prepares the memory for an address that a call writes at {@link AT_ADDRESS}. */
export function prepareAddress(kernel: Kernel): void {
  kernel.scratch.u32[AT_LENGTH >> 2] = SOCKADDR_SIZE;
}

/** The address that a call wrote after {@link prepareAddress}; null if it failed or wrote none. */
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
 * Connects `fd` to `address`. A non-blocking connect returns `-EINPROGRESS`; its socket becomes writable at the end.
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
 * Reads an option that is an int. A negative value cannot be distinguished from an error here; use `Socket.getsockopt`
 * for such options.
 *
 * @returns The value, or `-errno`.
 */
export function readIntOption(kernel: Kernel, fd: number, level: number, option: number): number {
  const { libc, scratch } = kernel;
  scratch.u32[AT_LENGTH >> 2] = 4;
  // An option of one byte (IP_MULTICAST_TTL) does not change the other bytes.
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
 * Reads and clears the pending error of `fd` (SO_ERROR), the result of a non-blocking connect.
 *
 * @returns A positive error number; 0 if there is none.
 */
export function takeSocketError(kernel: Kernel, fd: number): number {
  return Math.abs(readIntOption(kernel, fd, SOL_SOCKET, SO_ERROR));
}

/** The result of a call that would block. */
export const WOULD_BLOCK: number = -ERRNO.EAGAIN;

/**
 * Sets close-on-exec on a descriptor that other code opened.
 *
 * @returns 0 or `-errno`.
 */
export function closeOnExec({ libc }: Kernel, fd: number): number {
  const flags = libc.fcntl(fd, F_GETFD, 0);
  if (flags < 0 || (flags & FD_CLOEXEC) !== 0) return Math.min(flags, 0);
  return libc.fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
}

/** The number of bytes that have arrived and are not received: FIONREAD. 0 if the descriptor does not support it. */
export function readUnread({ libc, scratch }: Kernel, fd: number): number {
  return libc.ioctl(fd, FIONREAD, scratch.address) < 0 ? 0 : (scratch.i32[0] as number);
}

/** The state of the peer of a connected stream socket. */
export type PeerState = "open" | "ended" | "gone";

/**
 * Reads what the peer of a connected stream socket has done, whether it was received or not: it has ended its half, or
 * nothing can be sent to it any more.
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

/** The number of unacknowledged bytes in the send queue: SIOCOUTQ. 0 if the descriptor does not support it. */
export function readUntaken({ libc, scratch }: Kernel, fd: number): number {
  return libc.ioctl(fd, SIOCOUTQ, scratch.address) < 0 ? 0 : (scratch.i32[0] as number);
}

/** Makes the next close of `fd` send a reset instead of a FIN, and leave no TIME_WAIT. Source: socket(7), SO_LINGER. */
export function resetOnClose({ libc, scratch }: Kernel, fd: number): void {
  scratch.i32[0] = 1;
  scratch.i32[1] = 0;
  libc.setsockopt(fd, SOL_SOCKET, SO_LINGER, scratch.address, 8);
}

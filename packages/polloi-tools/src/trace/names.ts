import {
  abi,
  epollConstants as epoll,
  socketConstants as sockets,
  uringConstants as uring,
} from "polloi/internal";
/** The kernel's names for numbers, without the prefix that all names of a kind share. */

/** Names of bits, or of numbers. */
export type Names = ReadonlyMap<number, string>;

/** Returns the names of the constants with a prefix, by number, in ascending order. The first name of a number counts. */
function named(constants: Readonly<Record<string, unknown>>, prefix: RegExp): Names {
  const names = new Map<number, string>();
  for (const [name, number] of Object.entries(constants)) {
    if (typeof number !== "number" || !prefix.test(name) || names.has(number)) continue;
    names.set(number, name.replace(prefix, ""));
  }
  return new Map([...names].sort(([a], [b]) => a - b));
}

export const POLL_BITS: Names = named(epoll, /^POLL(?=[A-Z])/);
export const EPOLL_BITS: Names = named(epoll, /^EPOLL(?=[A-Z])/);
export const EPOLL_OPERATIONS: Names = named(epoll, /^EPOLL_CTL_/);
export const MESSAGE_BITS: Names = named(sockets, /^MSG_/);
export const FAMILIES: Names = named(sockets, /^AF_/);
export const SOCKET_TYPES: Names = new Map([
  [sockets.SOCK_STREAM, "STREAM"],
  [sockets.SOCK_DGRAM, "DGRAM"],
  [sockets.SOCK_SEQPACKET, "SEQPACKET"],
]);
export const SOCKET_TYPE_BITS: Names = new Map([
  [sockets.SOCK_NONBLOCK, "NONBLOCK"],
  [sockets.SOCK_CLOEXEC, "CLOEXEC"],
]);
export const SHUTDOWNS: Names = named(sockets, /^SHUT_/);
export const FCNTL_COMMANDS: Names = named(abi, /^(?=F_)/);
export const IOCTLS: Names = named(abi, /^(?=FIONREAD|SIOCOUTQ|TIOCGPGRP)/);
export const SYSCALLS: Names = new Map(Object.entries(abi.SYS).map(([name, n]) => [n, name]));

const SOCKET_OPTIONS: Names = named(sockets, /^(?=SO_)/);
const TCP_OPTIONS: Names = named(sockets, /^(?=TCP_)/);
const IPV6_OPTIONS: Names = named(sockets, /^(?=IPV6_)/);

/** Returns the name of a socket option, or level and number if it is unknown. */
export function optionName(level: number, option: number): string {
  const names: Readonly<Record<number, Names>> = {
    [sockets.SOL_SOCKET]: SOCKET_OPTIONS,
    [sockets.IPPROTO_TCP]: TCP_OPTIONS,
    [sockets.IPPROTO_IPV6]: IPV6_OPTIONS,
  };
  return names[level]?.get(option) ?? `${level}:${option}`;
}

export const OPERATIONS: Names = new Map(
  Object.entries(uring.IORING_OP).map(([name, number]) => [number, name]),
);
export const REGISTER_OPERATIONS: Names = named(uring, /^IORING_(?=(UN)?REGISTER_)/);
export const SUBMISSION_BITS: Names = new Map([
  [uring.IOSQE_IO_LINK, "LINK"],
  [uring.IOSQE_IO_HARDLINK, "HARDLINK"],
  [uring.IOSQE_ASYNC, "ASYNC"],
  [uring.IOSQE_BUFFER_SELECT, "BUFFER_SELECT"],
  [uring.IOSQE_CQE_SKIP_SUCCESS, "CQE_SKIP_SUCCESS"],
]);
export const COMPLETION_BITS: Names = new Map([
  [uring.IORING_CQE_F_BUFFER, "BUFFER"],
  [uring.IORING_CQE_F_MORE, "MORE"],
  [uring.IORING_CQE_F_SOCK_NONEMPTY, "SOCK_NONEMPTY"],
  [uring.IORING_CQE_F_BUF_MORE, "BUF_MORE"],
]);

/** Returns the names of the bits of `mask`. Bits without a name are the last element, as a number. */
export function bitNames(names: Names, mask: number): string[] {
  let left = mask >>> 0;
  const found: string[] = [];
  for (const [bit, name] of names) {
    if (bit === 0 || (left & bit) >>> 0 !== bit >>> 0) continue;
    found.push(name);
    left = (left & ~bit) >>> 0;
  }
  return left === 0 ? found : [...found, hex(left)];
}

/** Formats the bits of `mask` as in C: `A|B`, or `0`. */
export function bitsText(names: Names, mask: number): string {
  return bitNames(names, mask).join("|") || "0";
}

/** Returns the name of a number, or the number if it has none. */
export function nameOf(names: Names, number: number): string | number {
  return names.get(number) ?? number;
}

export function hex(number: number): string {
  return `0x${number.toString(16)}`;
}

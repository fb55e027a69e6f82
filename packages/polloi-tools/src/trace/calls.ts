/** Formats the arguments of each call. Addresses of buffers are omitted. */
import {
  decodeAddress,
  FD_SET_BYTES,
  type Libc,
  type MemoryMap,
  O_CLOEXEC,
  O_NONBLOCK,
} from "polloi/internal";
import { formatAddress, SOL_SOCKET } from "polloi/socket";
import type { Shown } from "./event.ts";
import {
  bitsText,
  EPOLL_BITS,
  EPOLL_OPERATIONS,
  FAMILIES,
  FCNTL_COMMANDS,
  hex,
  IOCTLS,
  MESSAGE_BITS,
  type Names,
  nameOf,
  optionName,
  REGISTER_OPERATIONS,
  SHUTDOWNS,
  SOCKET_TYPE_BITS,
  SOCKET_TYPES,
} from "./names.ts";

/** The arguments of a call. */
type Args = readonly number[];
type Show = (args: Args, memory: MemoryMap) => Shown;

const FILE_BITS: Names = new Map([
  [O_NONBLOCK, "NONBLOCK"],
  [O_CLOEXEC, "CLOEXEC"],
]);
const NO_FLAGS = 0;
const TYPE_MASK = 0xf;

const withFlags = (shown: Shown, flags: number): Shown =>
  flags === NO_FLAGS ? shown : [...shown, bitsText(MESSAGE_BITS, flags)];

const SHOWS: Partial<Record<keyof Libc, Show>> = {
  read: ([fd = 0, , length = 0]) => [fd, length],
  write: ([fd = 0, , length = 0]) => [fd, length],
  fcntl: ([fd = 0, command = 0, argument = 0]) => [fd, nameOf(FCNTL_COMMANDS, command), argument],
  ioctl: ([fd = 0, request = 0]) => [fd, IOCTLS.get(request) ?? hex(request)],
  open: ([path = 0, flags = 0], memory) => [pathAt(memory, path), hex(flags)],
  unlink: ([path = 0], memory) => [pathAt(memory, path)],
  socket: ([family = 0, type = 0, protocol = 0]) => [
    nameOf(FAMILIES, family),
    typeText(type),
    protocol,
  ],
  socketpair: ([family = 0, type = 0]) => [nameOf(FAMILIES, family), typeText(type)],
  bind: ([fd = 0, at = 0, length = 0], memory) => [fd, addressAt(memory, at, length)],
  connect: ([fd = 0, at = 0, length = 0], memory) => [fd, addressAt(memory, at, length)],
  accept4: ([fd = 0, , , flags = 0]) => [fd, bitsText(SOCKET_TYPE_BITS, flags)],
  getsockname: ([fd = 0]) => [fd],
  getpeername: ([fd = 0]) => [fd],
  getsockopt: ([fd = 0, level = SOL_SOCKET, option = 0]) => [fd, optionName(level, option)],
  setsockopt: ([fd = 0, level = SOL_SOCKET, option = 0, value = 0, length = 0], memory) => [
    fd,
    optionName(level, option),
    length === 4 ? intAt(memory, value) : `${length} bytes`,
  ],
  recv: ([fd = 0, , length = 0, flags = 0]) => withFlags([fd, length], flags),
  send: ([fd = 0, , length = 0, flags = 0]) => withFlags([fd, length], flags),
  recvfrom: ([fd = 0, , length = 0, flags = 0]) => withFlags([fd, length], flags),
  sendto: ([fd = 0, , length = 0, flags = 0]) => withFlags([fd, length], flags),
  recvmsg: ([fd = 0, , flags = 0]) => withFlags([fd], flags),
  sendmsg: ([fd = 0, , flags = 0]) => withFlags([fd], flags),
  shutdown: ([fd = 0, how = 0]) => [fd, nameOf(SHUTDOWNS, how)],
  sendfile: ([socket = 0, file = 0, , length = 0]) => [socket, file, length],
  epoll_create1: ([flags = 0]) => [bitsText(FILE_BITS, flags)],
  epoll_ctl: ([epoll = 0, operation = 0, fd = 0, event = 0], memory) => {
    const shown = [epoll, nameOf(EPOLL_OPERATIONS, operation), fd];
    const mask = nameOf(EPOLL_OPERATIONS, operation) === "DEL" ? undefined : wordAt(memory, event);
    return mask === undefined ? shown : [...shown, bitsText(EPOLL_BITS, mask)];
  },
  eventfd: ([value = 0, flags = 0]) => [value, bitsText(FILE_BITS, flags)],
};

/** Calls that have no descriptor to report. */
const WITHOUT_FD: ReadonlySet<string> = new Set<keyof Libc>([
  ...(["socket", "socketpair", "pipe2", "open", "unlink", "epoll_create1", "eventfd"] as const),
  ...([
    "timerfd_create",
    "mmap",
    "madvise",
    "getrlimit",
    "setrlimit",
    "getpgrp",
    "sigaction",
  ] as const),
  ...(["ppoll", "pselect", "syscall"] as const),
]);

/** Returns the descriptor that a call is about, or -1. */
export function fdOf(call: keyof Libc, args: Args): number {
  if (WITHOUT_FD.has(call)) return -1;
  return (call === "epoll_ctl" ? args[2] : args[0]) as number;
}

/** Formats the arguments of a call. */
export function shownArgs(call: keyof Libc, args: Args, memory: MemoryMap): Shown {
  const show = SHOWS[call];
  return show === undefined ? args.map(plain) : show(args, memory);
}

/** Formats the arguments of a call that was made by its number. */
export function shownNumbered(call: string, args: Args, memory: MemoryMap): Shown {
  const [first = 0, second = 0] = args;
  switch (call) {
    case "io_uring_setup":
      return [first];
    case "io_uring_register":
      return [first, nameOf(REGISTER_OPERATIONS, second)];
    case "openat":
    case "openat2":
    case "statx":
      return [first, pathAt(memory, second)];
    case "getdents64":
      return [first];
    default:
      return args.map(plain);
  }
}

/** Formats an argument of unknown type. Large numbers may be addresses, and are shown in hexadecimal. */
function plain(argument: number): string | number {
  return Math.abs(argument) > 0xffff ? hex(argument) : argument;
}

/** Returns the milliseconds of a `timespec`, or null if the address is 0. */
export function timeAt(memory: MemoryMap, address: number): number | null {
  const location = address === 0 ? undefined : memory.find(address);
  if (location === undefined) return null;
  const { arena, offset } = location;
  return arena.getWord(offset) * 1000 + arena.getWord(offset + 8) / 1e6;
}

/** Returns the descriptors in an `fd_set`. */
export function fdsIn(memory: MemoryMap, address: number, nfds: number): number[] {
  const location = address === 0 ? undefined : memory.find(address);
  if (location === undefined) return [];
  const { u8 } = location.arena;
  const fds: number[] = [];
  for (let fd = 0; fd < Math.min(nfds, FD_SET_BYTES * 8); fd++) {
    if (((u8[location.offset + (fd >> 3)] as number) & (1 << (fd & 7))) !== 0) fds.push(fd);
  }
  return fds;
}

function wordAt(memory: MemoryMap, address: number): number | undefined {
  const location = memory.find(address);
  return location?.arena.u32[location.offset >> 2];
}

function intAt(memory: MemoryMap, address: number): number {
  return (wordAt(memory, address) ?? 0) | 0;
}

function typeText(type: number): string {
  const kind = nameOf(SOCKET_TYPES, type & TYPE_MASK);
  const bits = type & ~TYPE_MASK;
  return bits === 0 ? `${kind}` : `${kind}|${bitsText(SOCKET_TYPE_BITS, bits)}`;
}

function addressAt(memory: MemoryMap, at: number, length: number): string {
  const location = memory.find(at);
  const address =
    location === undefined ? null : decodeAddress(location.arena, location.offset, length);
  return address === null ? `${length} bytes` : formatAddress(address);
}

function pathAt(memory: MemoryMap, at: number): string {
  const location = memory.find(at);
  if (location === undefined) return hex(at);
  const { u8 } = location.arena;
  const end = u8.indexOf(0, location.offset);
  return JSON.stringify(new TextDecoder().decode(u8.subarray(location.offset, end)));
}

/** As many bytes as strace shows. */
const MAX_EXCERPT_BYTES = 32;

/** Returns the first of `length` bytes at `address`, each as a character; undefined for unknown memory. */
export function excerptAt(memory: MemoryMap, address: number, length: number): string | undefined {
  const location = length > 0 ? memory.find(address) : undefined;
  if (location === undefined) return undefined;
  const { arena, offset } = location;
  return String.fromCharCode(
    ...arena.u8.subarray(offset, offset + Math.min(length, MAX_EXCERPT_BYTES)),
  );
}

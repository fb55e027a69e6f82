/** The system calls of sockets. Source: net/socket.c */
import {
  ERRNO,
  IPPROTO_IP,
  type Libc,
  O_NONBLOCK,
  SO_ATTACH_FILTER,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOL_SOCKET,
  SOMAXCONN,
  SYS,
} from "polloi/internal/pure";
import type { NumberedCalls, SocketCall } from "../process/calls.ts";
import type { Process } from "../process/process.ts";
import { SO_ATTACH_REUSEPORT_CBPF, SOCK_TYPE_MASK } from "./constants.ts";
import { createPair, createSocket, DEFAULT_CREDENTIALS } from "./create.ts";
import type { Network } from "./network.ts";
import { getOption, setOption } from "./options.ts";
import { type Credentials, SocketFile } from "./socket-file.ts";
import {
  readName,
  receive,
  receiveMessage,
  receiveMessages,
  send,
  sendMessage,
  sendMessages,
  writeName,
} from "./transfers.ts";

const TYPE_FLAGS: number = SOCK_NONBLOCK | SOCK_CLOEXEC;
const NO_NAME = { address: 0, length: 0 } as const;

/** @returns The socket of a descriptor; `-EBADF`, `-ENOTSOCK`. */
export function socketOf({ descriptors }: Process, fd: number): SocketFile | number {
  const file = descriptors.get(fd);
  if (file === undefined) return -ERRNO.EBADF;
  return file instanceof SocketFile ? file : -ERRNO.ENOTSOCK;
}

/**
 * The calls of a process that are about sockets.
 *
 * @param credentials - What the other ends of its unix sockets see.
 */
export function socketCalls(
  process: Process,
  network: Network,
  credentials: Credentials = { ...DEFAULT_CREDENTIALS, pid: process.pid },
): Pick<Libc, SocketCall> {
  const { world } = process;
  /** Calls `use` with the socket of a descriptor. */
  const on = (fd: number, use: (socket: SocketFile) => number): number => {
    const socket = socketOf(process, fd);
    return typeof socket === "number" ? socket : use(socket);
  };
  return {
    socket: (family, type, protocol) => {
      if ((type & ~SOCK_TYPE_MASK & ~TYPE_FLAGS) !== 0) {
        return family < 0 ? -ERRNO.EAFNOSUPPORT : -ERRNO.EINVAL;
      }
      const kind = type & SOCK_TYPE_MASK;
      if (world.faults.happens("noBuffers")) return -ERRNO.ENOBUFS;
      const socket = createSocket(network, family, kind, protocol, credentials);
      if (typeof socket === "number") return socket;
      return open(process, socket, type);
    },
    socketpair: (family, type, protocol, fds) =>
      pair(process, network, { family, type, protocol, credentials }, fds),
    bind: (fd, address, length) =>
      on(fd, (socket) => {
        const name = readName(process, { address, length });
        return typeof name === "number" ? name : socket.bind(name);
      }),
    listen: (fd, backlog) =>
      // A negative backlog is a large one without a sign.
      on(fd, (socket) => socket.listen(Math.min(backlog >>> 0, SOMAXCONN))),
    accept4: (fd, address, length, flags) => accept(process, fd, { address, length }, flags),
    connect: (fd, address, length) =>
      on(fd, (socket) => {
        const name = readName(process, { address, length });
        return typeof name === "number" ? name : connect(process, socket, name);
      }),
    getsockname: (fd, address, length) =>
      on(fd, (socket) => writeName(process, socket.localName(), { address, length })),
    getpeername: (fd, address, length) =>
      on(fd, (socket) => {
        const name = socket.peerName();
        return typeof name === "number" ? name : writeName(process, name, { address, length });
      }),
    getsockopt: (fd, level, option, value, length) =>
      on(fd, (socket) => readOption(process, socket, { level, option }, value, length)),
    setsockopt: (fd, level, option, address, length) =>
      on(fd, (socket) => {
        const value = optionValue(process, { level, option }, address, length);
        return typeof value === "number" ? value : setOption(socket, level, option, value);
      }),
    recv: (fd, address, length, flags) =>
      on(fd, (socket) => receive(process, socket, { address, length }, flags, NO_NAME)),
    send: (fd, address, length, flags) =>
      on(fd, (socket) => send(process, socket, { address, length }, flags, NO_NAME)),
    recvfrom: (fd, address, length, flags, name, nameLength) =>
      on(fd, (socket) =>
        receive(process, socket, { address, length }, flags, {
          address: name,
          length: nameLength,
        }),
      ),
    sendto: (fd, address, length, flags, name, nameLength) =>
      on(fd, (socket) =>
        send(process, socket, { address, length }, flags, { address: name, length: nameLength }),
      ),
    recvmsg: (fd, message, flags) =>
      on(fd, (socket) => receiveMessage(process, socket, message, flags)),
    sendmsg: (fd, message, flags) =>
      on(fd, (socket) => sendMessage(process, socket, message, flags)),
    shutdown: (fd, how) => on(fd, (socket) => socket.shutdown(how)),
  };
}

/** The calls for many messages. */
export function messageCalls(process: Process): ReturnType<NumberedCalls> {
  return {
    [SYS.recvmmsg](fd = 0, address = 0, count = 0, flags = 0, timeout = 0) {
      if (timeout !== 0) throw new Error("The simulated kernel has no timeout of recvmmsg");
      const socket = socketOf(process, fd);
      return typeof socket === "number"
        ? socket
        : receiveMessages(process, socket, { address, count }, flags);
    },
    [SYS.sendmmsg](fd = 0, address = 0, count = 0, flags = 0) {
      const socket = socketOf(process, fd);
      return typeof socket === "number"
        ? socket
        : sendMessages(process, socket, { address, count }, flags);
    },
  };
}

/** Makes a descriptor of a new socket. @param type - SOCK_NONBLOCK and SOCK_CLOEXEC. */
function open(process: Process, socket: SocketFile, type: number): number {
  if ((type & SOCK_NONBLOCK) !== 0) socket.statusFlags |= O_NONBLOCK;
  return process.open(socket, (type & SOCK_CLOEXEC) !== 0);
}

/** Source: net/socket.c, __sys_socketpair */
function pair(
  process: Process,
  network: Network,
  kind: {
    readonly family: number;
    readonly type: number;
    readonly protocol: number;
    readonly credentials: Credentials;
  },
  address: number,
): number {
  const { family, type, protocol, credentials } = kind;
  if ((type & ~SOCK_TYPE_MASK & ~TYPE_FLAGS) !== 0) return -ERRNO.EINVAL;
  const fds = process.memory.view(address, 8);
  if (fds === undefined) return -ERRNO.EFAULT;
  const made = createPair(network, family, type & SOCK_TYPE_MASK, protocol, credentials);
  if (typeof made === "number") return made;
  const [left, right] = made;
  const first = open(process, left, type);
  if (first < 0) {
    right.close();
    return first;
  }
  const second = open(process, right, type);
  if (second < 0) {
    process.descriptors.close(first);
    return second;
  }
  fds.setInt32(0, first, true);
  fds.setInt32(4, second, true);
  return 0;
}

/** Source: net/socket.c, __sys_accept4_file and do_accept */
function accept(
  process: Process,
  fd: number,
  name: { readonly address: number; readonly length: number },
  flags: number,
): number {
  const { descriptors, world } = process;
  if (descriptors.get(fd) === undefined) return -ERRNO.EBADF;
  if ((flags & ~TYPE_FLAGS) !== 0) return -ERRNO.EINVAL;
  // The descriptor comes first, so a connection stays in the backlog when there is none.
  if (descriptors.isFull || world.faults.happens("noDescriptors")) return -ERRNO.EMFILE;
  if (world.faults.happens("noMemory")) return -ERRNO.ENOMEM;
  const listener = socketOf(process, fd);
  if (typeof listener === "number") return listener;
  // By a security module. Source: security_socket_accept
  if (world.faults.happens("forbidden")) return -ERRNO.EACCES;
  let accepted: SocketFile | undefined;
  const attempt = (): number => {
    const result = listener.accept();
    if (typeof result === "number") return result;
    accepted = result;
    return 0;
  };
  const timeoutMs = listener.isNonBlocking ? 0 : listener.settings.receiveTimeoutMs;
  const result = process.blocking(attempt, timeoutMs);
  if (result < 0 || accepted === undefined) return result;
  if (name.address !== 0) {
    const peer = accepted.peerName();
    const written = writeName(process, peerAtAccept(accepted, peer), name);
    if (written < 0) {
      accepted.close();
      return written;
    }
  }
  if ((flags & SOCK_NONBLOCK) !== 0) accepted.statusFlags |= O_NONBLOCK;
  const made = descriptors.add(accepted, (flags & SOCK_CLOEXEC) !== 0);
  // Another thread cannot take the descriptor meanwhile, but an action of the world can.
  if (made < 0) accepted.close();
  return made;
}

/** A connection that was reset in the backlog still has the address of its peer. Source: net/ipv4/af_inet.c, inet_getname */
function peerAtAccept(accepted: SocketFile, peer: Uint8Array | number): Uint8Array | undefined {
  return typeof peer === "number" ? accepted.formerPeerName() : peer;
}

/** Source: net/ipv4/af_inet.c, inet_stream_connect; net/unix/af_unix.c, unix_stream_connect */
function connect(process: Process, socket: SocketFile, address: Uint8Array): number {
  const result = socket.connect(address);
  if (socket.isNonBlocking) return result;
  const { sendTimeoutMs } = socket.settings;
  if (result === -ERRNO.EINPROGRESS || result === -ERRNO.EALREADY) {
    const waited = process.blocking(() => socket.connectResult(), sendTimeoutMs);
    return waited === -ERRNO.EAGAIN ? result : waited;
  }
  // A full backlog of a unix socket. The address may change in memory meanwhile.
  const copy = address.slice();
  return result === -ERRNO.EAGAIN
    ? process.blocking(() => socket.connect(copy), sendTimeoutMs)
    : result;
}

interface OptionName {
  readonly level: number;
  readonly option: number;
}

/** Source: net/socket.c, do_sock_getsockopt; net/core/sock.c, sk_getsockopt */
function readOption(
  { memory }: Process,
  socket: SocketFile,
  { level, option }: OptionName,
  value: number,
  length: number,
): number {
  const size = memory.view(length, 4);
  if (size === undefined) return -ERRNO.EFAULT;
  const room = size.getInt32(0, true);
  if (room < 0) return -ERRNO.EINVAL;
  const result = getOption(socket, level, option);
  if (typeof result === "number") return result;
  const bytes = result.subarray(0, isShortByte(level, room, result) ? 1 : room);
  const target = memory.bytes(value, bytes.length);
  if (target === undefined) return -ERRNO.EFAULT;
  target.set(bytes);
  size.setInt32(0, bytes.length, true);
  return 0;
}

/** Whether an option of IPv4 is returned as one byte. Source: net/ipv4/ip_sockglue.c, do_ip_getsockopt */
function isShortByte(level: number, room: number, value: Uint8Array): boolean {
  if (level !== IPPROTO_IP || room === 0 || room >= value.length) return false;
  return value.subarray(1).every((byte) => byte === 0);
}

/** The bytes of a value; for a filter the instructions that a `sock_fprog` points to. */
function optionValue(
  { memory }: Process,
  { level, option }: OptionName,
  address: number,
  length: number,
): Uint8Array | number {
  if (length < 0) return -ERRNO.EINVAL;
  const value = memory.bytes(address, length);
  if (value === undefined) return -ERRNO.EFAULT;
  const isFilter = option === SO_ATTACH_FILTER || option === SO_ATTACH_REUSEPORT_CBPF;
  if (level !== SOL_SOCKET || !isFilter) return value;
  if (length !== 16) return -ERRNO.EINVAL;
  const program = new DataView(value.buffer, value.byteOffset, 16);
  const at = Number(program.getBigUint64(8, true));
  return memory.bytes(at, program.getUint16(0, true) * 8) ?? -ERRNO.EFAULT;
}

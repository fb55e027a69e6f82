/** The calls that send and receive, with the waits of blocking ones. Source: net/socket.c */
import {
  AF_UNIX,
  ERRNO,
  MSG_CMSG_CLOEXEC,
  MSG_DONTWAIT,
  MSG_ERRQUEUE,
  MSG_OOB,
  MSG_PEEK,
  MSG_WAITALL,
  MSG_WAITFORONE,
  SOCK_STREAM,
} from "polloi/internal/pure";
import type { Process } from "../process/process.ts";
import { readControl, writeControl } from "./ancillary.ts";
import { Message, type SocketFile } from "./socket-file.ts";
import { TcpSocket } from "./tcp-socket.ts";

/** The longest `sockaddr`: sizeof(struct sockaddr_storage). */
const MAX_ADDRESS = 128;
/** The most parts of a message, and the most messages that one call sends: UIO_MAXIOV. */
const MAX_PARTS = 1024;

/**
 * `struct msghdr`: the offsets of its fields, in bytes. sendmsg(2)
 *
 * The struct has padding behind its two 32-bit fields.
 */
const MSGHDR = {
  name: 0,
  nameLength: 8,
  vector: 16,
  count: 24,
  control: 32,
  controlLength: 40,
  flags: 48,
  size: 56,
} as const;
const IOVEC_BYTES = 16;
/** `struct mmsghdr`: a `msghdr`, and the number of bytes that were received or sent. recvmmsg(2) */
const MMSGHDR = { header: 0, length: 56, size: 64 } as const;

function waits(socket: SocketFile, flags: number): boolean {
  return !socket.isNonBlocking && (flags & MSG_DONTWAIT) === 0;
}

/** Receives, and waits if the socket does. */
function receiveWaiting(
  process: Process,
  socket: SocketFile,
  target: Uint8Array,
  flags: number,
  message?: Message,
): number {
  const result = socket.receive(target, flags, message);
  const isStream = socket.type === SOCK_STREAM;
  const { settings } = socket;
  const wanted =
    (flags & MSG_WAITALL) === 0 ? Math.min(settings.receiveLowAt, target.length) : target.length;
  const isEnough = result !== -ERRNO.EAGAIN && (!isStream || result <= 0 || result >= wanted);
  if (isEnough || !waits(socket, flags)) return result;
  const isPeek = (flags & MSG_PEEK) !== 0;
  let done = Math.max(result, 0);
  const attempt = (): number => {
    for (;;) {
      // Urgent data ends a receive, and so do descriptors.
      if (done > 0 && (isAtMark(socket) || message?.files !== undefined)) return done;
      const next = socket.receive(isPeek ? target : target.subarray(done), flags, message);
      if (next === -ERRNO.EAGAIN) return next;
      if (next <= 0) return isPeek ? next : done === 0 ? next : done;
      done = isPeek ? next : done + next;
      if (!isStream || done >= wanted) return done;
      if (isPeek) return -ERRNO.EAGAIN;
    }
  };
  const waited = process.blocking(attempt, settings.receiveTimeoutMs);
  return waited < 0 && done > 0 ? done : waited;
}

function isAtMark(socket: SocketFile): boolean {
  return socket instanceof TcpSocket && socket.receiving.isAtMark;
}

/** Sends, and waits until everything is sent if the socket waits. */
function sendWaiting(
  process: Process,
  socket: SocketFile,
  source: Uint8Array,
  flags: number,
  message?: Message,
): number {
  const result = socket.send(source, flags, message);
  const isDone = result < 0 ? result !== -ERRNO.EAGAIN : result >= source.length;
  if (isDone || !waits(socket, flags)) return result;
  let done = Math.max(result, 0);
  if (done > 0 && message !== undefined) message.files = undefined;
  const attempt = (): number => {
    for (;;) {
      const next = socket.send(source.subarray(done), flags, message);
      if (next < 0) return next === -ERRNO.EAGAIN || done === 0 ? next : done;
      done += next;
      if (done >= source.length) return done;
      if (message !== undefined) message.files = undefined;
    }
  };
  const waited = process.blocking(attempt, socket.settings.sendTimeoutMs);
  return waited < 0 && done > 0 ? done : waited;
}

/** The result of a receive into memory that is not mapped. */
function faultOfReceive(socket: SocketFile, length: number, flags: number): number {
  const result = socket.receive(new Uint8Array(Math.min(length, 1)), flags | MSG_PEEK);
  return result > 0 ? -ERRNO.EFAULT : result;
}

/** recv(2) and recvfrom(2). @param name - Where the address goes, and its length; 0 for none. */
export function receive(
  process: Process,
  socket: SocketFile,
  buffer: { readonly address: number; readonly length: number },
  flags: number,
  name: { readonly address: number; readonly length: number },
): number {
  const { memory } = process;
  const target = memory.room(buffer.address, buffer.length);
  if (target === undefined) return faultOfReceive(socket, buffer.length, flags);
  const message = name.address === 0 ? undefined : new Message();
  const result = receiveWaiting(process, socket, target, flags, message);
  memory.filled(buffer.address, Math.min(result, buffer.length));
  if (message === undefined) return result;
  dropFiles(message);
  if (result < 0) return result;
  const written = writeName(process, message.name, name);
  return written < 0 ? written : result;
}

/** send(2) and sendto(2). */
export function send(
  process: Process,
  socket: SocketFile,
  buffer: { readonly address: number; readonly length: number },
  flags: number,
  name: { readonly address: number; readonly length: number },
): number {
  let message: Message | undefined;
  if (name.address !== 0) {
    const address = readName(process, name);
    if (typeof address === "number") return address;
    message = new Message();
    message.name = address;
  }
  const source = process.memory.bytes(buffer.address, buffer.length);
  if (source === undefined) {
    const result = socket.type === SOCK_STREAM ? socket.send(new Uint8Array(0), flags) : 0;
    return result < 0 ? result : -ERRNO.EFAULT;
  }
  return sendWaiting(process, socket, source, flags, message);
}

/** Reads a `sockaddr` of a call. Source: net/socket.c, move_addr_to_kernel */
export function readName(
  { memory }: Process,
  { address, length }: { readonly address: number; readonly length: number },
): Uint8Array | number {
  if (length < 0 || length > MAX_ADDRESS) return -ERRNO.EINVAL;
  return memory.bytes(address, length) ?? -ERRNO.EFAULT;
}

/**
 * Writes a `sockaddr`, as far as there is room, and its length.
 *
 * @param where - The address of the struct, and the address of its length.
 * @returns 0 or `-errno`. Source: net/socket.c, move_addr_to_user
 */
export function writeName(
  { memory }: Process,
  name: Uint8Array | undefined,
  where: { readonly address: number; readonly length: number },
): number {
  const length = memory.view(where.length, 4);
  if (length === undefined) return -ERRNO.EFAULT;
  const room = length.getInt32(0, true);
  if (room < 0) return -ERRNO.EINVAL;
  if (name !== undefined) {
    const written = name.subarray(0, room);
    const target = memory.bytes(where.address, written.length);
    if (target === undefined) return -ERRNO.EFAULT;
    target.set(written);
  }
  length.setInt32(0, name?.length ?? 0, true);
  return 0;
}

/** A `msghdr` in memory. */
class Header {
  readonly #process: Process;
  readonly #view: DataView;

  constructor(process: Process, view: DataView) {
    this.#process = process;
    this.#view = view;
  }

  static at(process: Process, address: number): Header | number {
    const view = process.memory.view(address, MSGHDR.size);
    return view === undefined ? -ERRNO.EFAULT : new Header(process, view);
  }

  #word(offset: number): number {
    return Number(this.#view.getBigUint64(offset, true));
  }

  get name(): { address: number; length: number } {
    return {
      address: this.#word(MSGHDR.name),
      length: this.#view.getInt32(MSGHDR.nameLength, true),
    };
  }

  setNameLength(length: number): void {
    this.#view.setInt32(MSGHDR.nameLength, length, true);
  }

  /** The ancillary data, empty when there is none; or `-EFAULT`. */
  control(): Uint8Array | number {
    const address = this.#word(MSGHDR.control);
    const length = address === 0 ? 0 : this.#word(MSGHDR.controlLength);
    return this.#process.memory.bytes(address, length) ?? -ERRNO.EFAULT;
  }

  finish(controlLength: number, flags: number): void {
    this.#view.setBigUint64(MSGHDR.controlLength, BigInt(controlLength), true);
    this.#view.setInt32(MSGHDR.flags, flags, true);
  }

  /** The buffers of the message, or `-errno`. */
  parts(): Uint8Array[] | number {
    const { memory } = this.#process;
    const count = this.#word(MSGHDR.count);
    if (count > MAX_PARTS) return -ERRNO.EMSGSIZE;
    const parts: Uint8Array[] = [];
    const at = this.#word(MSGHDR.vector);
    for (let i = 0; i < count; i++) {
      const vector = memory.view(at + i * IOVEC_BYTES, IOVEC_BYTES);
      if (vector === undefined) return -ERRNO.EFAULT;
      const [address, length] = [vector.getBigUint64(0, true), vector.getBigUint64(8, true)];
      const part = memory.bytes(Number(address), Number(length));
      if (part === undefined) return -ERRNO.EFAULT;
      parts.push(part);
    }
    return parts;
  }
}

/** recvmsg(2). Source: net/socket.c, ____sys_recvmsg */
export function receiveMessage(
  process: Process,
  socket: SocketFile,
  address: number,
  flags: number,
): number {
  const header = Header.at(process, address);
  if (typeof header === "number") return header;
  const parts = header.parts();
  if (typeof parts === "number") return parts;
  const control = header.control();
  if (typeof control === "number") return control;
  const [only] = parts;
  const total = parts.reduce((sum, { length }) => sum + length, 0);
  const target = parts.length === 1 && only !== undefined ? only : new Uint8Array(total);
  const message = new Message();
  const result = receiveWaiting(process, socket, target, flags, message);
  if (result < 0) {
    dropFiles(message);
    return result;
  }
  if (target !== only) scatter(target.subarray(0, Math.min(result, total)), parts);
  const controlLength = writeControl(process, control, message, flags);
  const { name } = header;
  if (name.address !== 0) {
    const written = (message.name ?? new Uint8Array(0)).subarray(0, Math.max(name.length, 0));
    const place = process.memory.bytes(name.address, written.length);
    if (place === undefined) return -ERRNO.EFAULT;
    place.set(written);
    header.setNameLength(message.name?.length ?? 0);
  }
  // The kernel keeps one flag of the call.
  header.finish(controlLength, message.flags | (flags & MSG_CMSG_CLOEXEC));
  return result;
}

function scatter(bytes: Uint8Array, parts: readonly Uint8Array[]): void {
  let at = 0;
  for (const part of parts) {
    part.set(bytes.subarray(at, at + part.length));
    at += part.length;
    if (at >= bytes.length) return;
  }
}

/** sendmsg(2). Source: net/socket.c, ____sys_sendmsg */
export function sendMessage(
  process: Process,
  socket: SocketFile,
  address: number,
  flags: number,
): number {
  const header = Header.at(process, address);
  if (typeof header === "number") return header;
  const message = new Message();
  const { name } = header;
  if (name.address !== 0 && name.length > 0) {
    const given = readName(process, name);
    if (typeof given === "number") return given;
    message.name = given;
  }
  const parts = header.parts();
  if (typeof parts === "number") return parts;
  const control = header.control();
  if (typeof control === "number") return control;
  const error = control.length > 0 ? socket.sendError() : 0;
  if (error !== 0) return error;
  const read = readControl(process, control, message, socket.family === AF_UNIX);
  if (read < 0) return read;
  const [only] = parts;
  const source = parts.length === 1 && only !== undefined ? only : gather(parts);
  return sendWaiting(process, socket, source, flags, message);
}

function gather(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The messages of a call for many. */
interface Messages {
  /** The address of the first `mmsghdr`. */
  readonly address: number;
  readonly count: number;
}

/** recvmmsg(2) without a timeout. Source: net/socket.c, do_recvmmsg */
export function receiveMessages(
  process: Process,
  socket: SocketFile,
  { address, count }: Messages,
  flags: number,
): number {
  const error = (flags & MSG_ERRQUEUE) === 0 ? socket.takeError() : 0;
  if (error !== 0) return error;
  let each = flags & ~MSG_WAITFORONE;
  for (let i = 0; i < count; i++) {
    const at = address + i * MMSGHDR.size;
    const result = withLength(process, at, receiveMessage(process, socket, at, each));
    if (result < 0) {
      // An error after the first message is reported by the next call.
      if (i > 0 && result !== -ERRNO.EAGAIN) socket.error = -result;
      return i === 0 ? result : i;
    }
    if ((flags & MSG_WAITFORONE) !== 0) each |= MSG_DONTWAIT;
    const received = process.memory.view(at + MSGHDR.flags, 4)?.getInt32(0, true) ?? 0;
    if ((received & MSG_OOB) !== 0) return i + 1;
  }
  return Math.max(count, 0);
}

/** sendmmsg(2). Source: net/socket.c, __sys_sendmmsg */
export function sendMessages(
  process: Process,
  socket: SocketFile,
  { address, count }: Messages,
  flags: number,
): number {
  const most = Math.min(count, MAX_PARTS);
  for (let i = 0; i < most; i++) {
    const at = address + i * MMSGHDR.size;
    const sent = sendMessage(process, socket, at, flags);
    const result = withLength(process, at, sent);
    // The error of a later message is lost.
    if (result < 0) return i === 0 ? result : i;
    if (sent < lengthOf(process, at)) return i + 1;
  }
  return Math.max(most, 0);
}

/** Writes the number of bytes of a message behind its header. @returns It, or `-errno`. */
function withLength({ memory }: Process, address: number, result: number): number {
  if (result < 0) return result;
  const view = memory.view(address + MMSGHDR.length, 4);
  view?.setUint32(0, result, true);
  return view === undefined ? -ERRNO.EFAULT : result;
}

/** The bytes that a message had to send. */
function lengthOf(process: Process, address: number): number {
  const header = Header.at(process, address);
  const parts = typeof header === "number" ? header : header.parts();
  return typeof parts === "number" ? 0 : parts.reduce((sum, { length }) => sum + length, 0);
}

function dropFiles(message: Message): void {
  for (const file of message.files ?? []) file.drop();
  message.files = undefined;
}

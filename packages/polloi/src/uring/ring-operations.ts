import { booleanOf, flagsOf, integerOf, optionsOf } from "../base/argument.ts";
import { type FileObject, filenoOf } from "../base/descriptor.ts";
import { rangeError, show, typeError } from "../base/misuse.ts";
import { FOREVER, timeoutOf } from "../base/timeout.ts";
import { encodeAddress, type SocketAddress } from "../socket/address.ts";
import { MSG_NOSIGNAL, SOCK_CLOEXEC } from "../socket/constants.ts";
import { O_CLOEXEC } from "../sys/abi.ts";
import type { Arena } from "../sys/arena.ts";
import {
  IORING_ACCEPT_MULTISHOT,
  IORING_FSYNC_DATASYNC,
  IORING_OP,
  IORING_POLL_ADD_MULTI,
  IORING_RECV_MULTISHOT,
  IORING_TIMEOUT_MULTISHOT,
  IOSQE_ASYNC,
  IOSQE_BUFFER_SELECT,
  IOSQE_CQE_SKIP_SUCCESS,
  IOSQE_IO_HARDLINK,
  IOSQE_IO_LINK,
} from "./constants.ts";
import { Mapped } from "./mapped.ts";
import { BufferRing } from "./shared-buffers.ts";
import type { SubmissionQueue } from "./submissions.ts";

/** What every submission can be given. */
export interface SubmitOptions {
  /** What its completions will be known by: an integer from 0 to 2^53 - 1. Default 0. */
  readonly tag?: number | undefined;
  /**
   * Whether the next submission waits for this one: `true`, and it is cancelled when this one fails or
   * comes short; `"hard"`, and it is not.
   */
  readonly link?: boolean | "hard" | undefined;
  /** Given to a thread of the kernel at once, without trying first whether it would wait. */
  readonly async?: boolean | undefined;
  /** No completion when it succeeds. */
  readonly quiet?: boolean | undefined;
}

/** Where in a file. */
export interface FileOptions extends SubmitOptions {
  /** Bytes from the start; by default the file's own position, which moves: for pipes and sockets too. */
  readonly position?: number | undefined;
}

/** The queue of an open ring, and memory for what submissions point to until they are taken. @internal */
export interface Submissions {
  readonly queue: SubmissionQueue;
  /** Room for an argument, which stays as it is until the submission was taken. */
  argument(byteLength: number): { readonly arena: Arena; readonly offset: number };
}

const MULTISHOT_SHIFT = 16;
const AT_FDCWD = -100;
const TIMESPEC_BYTES = 16;
const SOCKADDR_BYTES = 128;
const { MAX_SAFE_INTEGER } = Number;

/**
 * What can be asked of a ring: each method pushes one submission, and returns before anything happens.
 *
 * @remarks
 * All throw TypeError `ERR_CLOSED` once the ring is closed, TypeError or RangeError `ERR_INVALID_FD`,
 * `ERR_INVALID_LENGTH`, `ERR_INVALID_DATA`, `ERR_INVALID_OPTION` for what they cannot take, and SysError
 * `EBUSY` when the queue is full and the kernel takes nothing. What the kernel has against it is in the
 * completion.
 *
 * Memory that is named belongs to the kernel until the completion is there. Paths, addresses and times
 * are copied.
 *
 * Source: io_uring_enter(2), which lists the operations.
 */
export abstract class RingOperations {
  /** The queue of the ring, when it is open. @internal */
  protected abstract queue(verb: string): Submissions;

  /** Does nothing, and completes: to wake a wait, or to measure. */
  nop(options: SubmitOptions = {}): void {
    this.#push("do nothing", IORING_OP.NOP, options, {});
  }

  /** read(2), pread(2): into the whole of `memory` at most. @returns In the completion: bytes; 0 is the end. */
  read(file: FileObject, memory: Mapped, options: FileOptions = {}): void {
    this.#transfer("read", IORING_OP.READ, file, memory, options);
  }

  /** write(2), pwrite(2): of the whole of `memory` at most. */
  write(file: FileObject, memory: Mapped, options: FileOptions = {}): void {
    this.#transfer("write", IORING_OP.WRITE, file, memory, options);
  }

  /**
   * open(2).
   *
   * @param path - Relative to the working directory, or absolute.
   * @param flags - O_* bits of open(2); O_CLOEXEC is always added. Default: to read.
   * @param options - With `mode`, the permissions of a file that is made. Default 0o666, less the umask.
   * @returns In the completion: the descriptor.
   */
  open(path: string, flags = 0, options: SubmitOptions & { readonly mode?: number } = {}): void {
    const verb = "open";
    if (typeof path !== "string" || path === "" || path.includes("\0")) {
      throw typeError("ERR_INVALID_DATA", `Cannot open ${show(path)}: give a path without NUL`);
    }
    const bits = flagsOf(flags);
    const { mode = 0o666 } = optionsOf(options);
    natural("a mode", mode, 0o7777);
    const text = new TextEncoder().encode(path);
    const { arena, offset } = this.queue(verb).argument(text.length + 1);
    arena.u8.set(text, offset);
    arena.u8[offset + text.length] = 0;
    this.#push(verb, IORING_OP.OPENAT, options, {
      fd: AT_FDCWD,
      address: arena.address + offset,
      length: mode,
      flags: bits | O_CLOEXEC,
    });
  }

  /** close(2). */
  closeFd(file: FileObject, options: SubmitOptions = {}): void {
    this.#push("close a descriptor", IORING_OP.CLOSE, options, { fd: filenoOf(file) });
  }

  /** fsync(2); with `dataOnly` fdatasync(2). */
  fsync(file: FileObject, options: SubmitOptions & { readonly dataOnly?: boolean } = {}): void {
    const dataOnly = booleanOf(optionsOf(options).dataOnly, "dataOnly", false);
    const flags = dataOnly ? IORING_FSYNC_DATASYNC : 0;
    this.#push("sync", IORING_OP.FSYNC, options, { fd: filenoOf(file), flags });
  }

  /**
   * Completes when a time has passed, with `-ETIME`.
   *
   * @param timeoutMs - Milliseconds, fractions count.
   * @param options - With `repeat`: again and again, until removed (Linux 6.4). With `count`: earlier,
   * with 0, when so many other submissions have completed.
   */
  timeout(
    timeoutMs: number,
    options: SubmitOptions & { readonly repeat?: boolean; readonly count?: number } = {},
  ): void {
    const repeat = isRepeated(options);
    const { count = 0 } = options;
    const flags = repeat ? IORING_TIMEOUT_MULTISHOT : 0;
    const position = repeat ? 0 : natural("a count", count, 0xffff_ffff);
    checkOptions(options);
    const address = this.#time("wait", timeoutMs);
    this.#push("wait", IORING_OP.TIMEOUT, options, { address, length: 1, position, flags });
  }

  /** Ends the timeout with this tag: it completes with `-ECANCELED`. Here 0, or `-ENOENT`. */
  removeTimeout(tag: number, options: SubmitOptions = {}): void {
    this.#push("remove a timeout", IORING_OP.TIMEOUT_REMOVE, options, { address: tagOf(tag) });
  }

  /** Cancels the submission before it, which must be linked, when the time has passed. */
  linkTimeout(timeoutMs: number, options: SubmitOptions = {}): void {
    checkOptions(options);
    const address = this.#time("limit", timeoutMs);
    this.#push("limit", IORING_OP.LINK_TIMEOUT, options, { address, length: 1 });
  }

  /**
   * accept4(2).
   *
   * @param options - With `repeat`: one completion for each connection, until one lacks `more`. With
   * `flags`: SOCK_NONBLOCK; SOCK_CLOEXEC is always added.
   * @returns In the completion: the descriptor.
   */
  accept(
    listener: FileObject,
    options: SubmitOptions & { readonly repeat?: boolean; readonly flags?: number } = {},
  ): void {
    const priority = isRepeated(options) ? IORING_ACCEPT_MULTISHOT : 0;
    const flags = callFlagsOf(options) | SOCK_CLOEXEC;
    this.#push("accept", IORING_OP.ACCEPT, options, { fd: filenoOf(listener), priority, flags });
  }

  /** connect(2). The address names no host: a literal, or a path. */
  connect(socket: FileObject, address: SocketAddress, options: SubmitOptions = {}): void {
    const fd = filenoOf(socket);
    checkOptions(options);
    const { arena, offset } = this.queue("connect").argument(SOCKADDR_BYTES);
    const length = encodeAddress(arena, offset, address);
    // The length of the address stands where others have their offset.
    const at = { fd, address: arena.address + offset, position: length };
    this.#push("connect", IORING_OP.CONNECT, options, at);
  }

  /** recv(2): into the whole of `memory` at most. @returns In the completion: bytes; 0 is the end. */
  recv(
    socket: FileObject,
    memory: Mapped,
    options: SubmitOptions & { readonly flags?: number } = {},
  ): void {
    const at = this.#memory("receive", socket, memory);
    const flags = callFlagsOf(options);
    this.#push("receive", IORING_OP.RECV, options, { ...at, flags });
  }

  /**
   * recv(2) into buffers that the kernel takes when bytes are there.
   *
   * @param options - With `repeat: false` once; else until a completion lacks `more`: at the end of the
   * stream, at an error, or with `-ENOBUFS` when no buffer is left.
   */
  recvBuffers(
    socket: FileObject,
    buffers: BufferRing,
    options: SubmitOptions & { readonly repeat?: boolean } = {},
  ): void {
    if (!(buffers instanceof BufferRing)) {
      throw typeError(
        "ERR_INVALID_DATA",
        `Cannot receive with ${show(buffers)}: give buffers of the ring's addBuffers()`,
      );
    }
    this.#push("receive", IORING_OP.RECV | (IOSQE_BUFFER_SELECT << 8), options, {
      fd: filenoOf(socket),
      priority: isRepeated(options, true) ? IORING_RECV_MULTISHOT : 0,
      group: buffers.group,
    });
  }

  /**
   * send(2). MSG_NOSIGNAL is always added.
   *
   * @param options - With `flags`: MSG_* bits; MSG_WAITALL sends all of it or fails.
   * @returns In the completion: bytes, which may be fewer.
   */
  send(
    socket: FileObject,
    memory: Mapped,
    options: SubmitOptions & { readonly flags?: number } = {},
  ): void {
    const at = this.#memory("send", socket, memory);
    const flags = callFlagsOf(options) | MSG_NOSIGNAL;
    this.#push("send", IORING_OP.SEND, options, { ...at, flags });
  }

  /** shutdown(2). @param how - SHUT_RD, SHUT_WR or SHUT_RDWR. */
  shutdown(socket: FileObject, how: number, options: SubmitOptions = {}): void {
    const length = natural("a half to shut down", how, 2);
    this.#push("shut down", IORING_OP.SHUTDOWN, options, { fd: filenoOf(socket), length });
  }

  /**
   * Completes when a descriptor is ready, with POLL* bits.
   *
   * @param mask - POLL* bits; POLLERR and POLLHUP are always told.
   * @param options - With `repeat`: each time that something happens, until a completion lacks `more`.
   */
  poll(
    file: FileObject,
    mask: number,
    options: SubmitOptions & { readonly repeat?: boolean } = {},
  ): void {
    const length = isRepeated(options) ? IORING_POLL_ADD_MULTI : 0;
    const at = { fd: filenoOf(file), length, flags: natural("a mask", mask, 0xffff_ffff) };
    this.#push("poll", IORING_OP.POLL_ADD, options, at);
  }

  /** Ends the poll with this tag: it completes with `-ECANCELED`. Here 0, or `-ENOENT`. */
  removePoll(tag: number, options: SubmitOptions = {}): void {
    this.#push("remove a poll", IORING_OP.POLL_REMOVE, options, { address: tagOf(tag) });
  }

  /**
   * Ends the submission with this tag, whatever it is: it completes with `-ECANCELED`, or as it would
   * have when it was too late. Here 0, `-ENOENT` when there is none, `-EALREADY` when it cannot be stopped.
   */
  cancel(tag: number, options: SubmitOptions = {}): void {
    this.#push("cancel", IORING_OP.ASYNC_CANCEL, options, { fd: -1, address: tagOf(tag) });
  }

  #transfer(
    verb: string,
    operation: number,
    file: FileObject,
    memory: Mapped,
    options: FileOptions,
  ): void {
    const at = this.#memory(verb, file, memory);
    const { position } = optionsOf(options);
    if (position !== undefined) natural("a position", position, MAX_SAFE_INTEGER);
    this.#push(verb, operation, options, { ...at, position: position ?? -1 });
  }

  #memory(verb: string, file: FileObject, memory: Mapped): Partial<Words> {
    if (!(memory instanceof Mapped)) {
      throw typeError(
        "ERR_INVALID_DATA",
        `Cannot ${verb} with ${show(memory)}: give memory of the ring's map()`,
      );
    }
    return { fd: filenoOf(file), address: memory.address, length: memory.bytes.length };
  }

  /** @returns The address of a timespec. */
  #time(verb: string, timeoutMs: number): number {
    const ms = timeoutOf(timeoutMs);
    if (ms === FOREVER) {
      const message = `Cannot ${verb} for ${show(timeoutMs)} ms: give 0 or more`;
      throw rangeError("ERR_INVALID_TIMEOUT", message);
    }
    const { arena, offset } = this.queue(verb).argument(TIMESPEC_BYTES);
    arena.setTimespec(offset, ms);
    return arena.address + offset;
  }

  #push(verb: string, operation: number, options: SubmitOptions, words: Partial<Words>): void {
    const { queue } = this.queue(verb);
    const { link, tag } = checkOptions(options);
    const { fd = 0, position = 0, address = 0, length = 0, flags = 0, priority = 0, group } = words;
    const { async, quiet } = options;
    const bits =
      (link === true ? IOSQE_IO_LINK : 0) |
      (link === "hard" ? IOSQE_IO_HARDLINK : 0) |
      (async === true ? IOSQE_ASYNC : 0) |
      (quiet === true ? IOSQE_CQE_SKIP_SUCCESS : 0);
    const first = operation | (bits << 8) | (priority << MULTISHOT_SHIFT);
    const [low, high] = [tag >>> 0, Math.floor(tag / 0x1_0000_0000)];
    queue.push(first, fd, position, address, length, flags, low, high, group ?? 0);
    if (position < 0) queue.usePosition();
  }
}

/** The words of a submission, see `SubmissionQueue`. */
interface Words {
  readonly fd: number;
  readonly position: number;
  readonly address: number;
  readonly length: number;
  readonly flags: number;
  readonly priority: number;
  readonly group: number;
}

/**
 * Options as a submission takes them, checked before anything is written for it.
 *
 * @throws TypeError or RangeError `ERR_INVALID_OPTION`.
 */
function checkOptions(options: SubmitOptions): {
  readonly link: boolean | "hard" | undefined;
  readonly tag: number;
} {
  const { link, tag = 0, async, quiet } = optionsOf(options);
  if (link !== undefined && typeof link !== "boolean" && link !== "hard") {
    throw typeError("ERR_INVALID_OPTION", `Cannot link by ${show(link)}: give true or "hard"`);
  }
  booleanOf(async, "async", false);
  booleanOf(quiet, "quiet", false);
  return { link, tag: tagOf(tag) };
}

function callFlagsOf(options: { readonly flags?: number }): number {
  const { flags = 0 } = optionsOf(options);
  return flagsOf(flags);
}

function isRepeated(options: { readonly repeat?: boolean }, usual = false): boolean {
  return booleanOf(optionsOf(options).repeat, "repeat", usual);
}

/** @throws TypeError or RangeError `ERR_INVALID_OPTION`. */
function natural(what: string, value: number, most: number): number {
  return integerOf(value, what, [0, most]);
}

function tagOf(tag: number): number {
  return natural("a tag", tag, MAX_SAFE_INTEGER);
}

import {
  booleanOf,
  flagsOf,
  integerOf,
  type NamesOf,
  objectOf,
  optionsOf,
} from "../base/argument.ts";
import { type FileObject, filenoOf } from "../base/descriptor.ts";
import { ERRNO } from "../base/errno.ts";
import { printAs } from "../base/inspect.ts";
import { numberError, rangeError, show, typeError } from "../base/misuse.ts";
import { check } from "../base/sys-error.ts";
import { FOREVER, naturalTimeoutOf, timeoutOf } from "../base/timeout.ts";
import { encodeAddress, type SocketAddress } from "../socket/address.ts";
import { MSG_NOSIGNAL, SOCK_CLOEXEC } from "../socket/constants.ts";
import { guard, unguard } from "../sys/abandoned.ts";
import { O_CLOEXEC } from "../sys/abi.ts";
import type { Arena } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";
import { kernelOf } from "../sys/open.ts";
import {
  BUFFER_RING_OPTIONS,
  BufferRing,
  type BufferRingOptions,
  powerOfTwo,
} from "./buffer-ring.ts";
import { Completion } from "./completion.ts";
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
import { ProvidedBuffers } from "./provided-buffers.ts";
import { RawRing, RING_OPTIONS, type RingOptions } from "./raw-ring.ts";

/** Options of every submission. */
export interface SubmitOptions {
  /** Identifies the completions of this submission: an integer from 0 to 2^53 - 1. Default 0. */
  readonly tag?: number | undefined;
  /**
   * Whether the next submission waits for this one. With `true` it is cancelled if this one fails or
   * transfers less than was requested; with `"hard"` it is not.
   */
  readonly link?: boolean | "hard" | undefined;
  /** Passes the operation to a worker thread of the kernel without trying it first. */
  readonly async?: boolean | undefined;
  /** Suppresses the completion of an operation that succeeds. */
  readonly quiet?: boolean | undefined;
}

/** Options of operations on files. */
export interface FileOptions extends SubmitOptions {
  /**
   * Offset in bytes from the start of the file. By default the file's own position is used and advanced,
   * as pipes and sockets require.
   */
  readonly position?: number | undefined;
}

const SUBMIT_OPTIONS: NamesOf<SubmitOptions> = { tag: true, link: true, async: true, quiet: true };
const FILE_OPTIONS: NamesOf<FileOptions> = { ...SUBMIT_OPTIONS, position: true };
const OPEN_OPTIONS: NamesOf<SubmitOptions & { mode: number }> = { ...SUBMIT_OPTIONS, mode: true };
const FSYNC_OPTIONS: NamesOf<SubmitOptions & { dataOnly: boolean }> = {
  ...SUBMIT_OPTIONS,
  dataOnly: true,
};
const REPEAT_OPTIONS: NamesOf<SubmitOptions & { repeat: boolean }> = {
  ...SUBMIT_OPTIONS,
  repeat: true,
};
const TIMEOUT_OPTIONS: NamesOf<SubmitOptions & { repeat: boolean; count: number }> = {
  ...REPEAT_OPTIONS,
  count: true,
};
const CALL_OPTIONS: NamesOf<SubmitOptions & { flags: number }> = { ...SUBMIT_OPTIONS, flags: true };
const ACCEPT_OPTIONS: NamesOf<SubmitOptions & { flags: number; repeat: boolean }> = {
  ...CALL_OPTIONS,
  repeat: true,
};

/** Memory for the arguments that submissions point to, until the kernel has taken the submissions. */
const ARGUMENTS_BYTES = 65_536;
const MAX_MAPPED_BYTES = 2 ** 31;
const FLAGS_SHIFT = 8;
const MULTISHOT_SHIFT = 16;
const AT_FDCWD = -100;
const TIMESPEC_BYTES = 16;
const SOCKADDR_BYTES = 128;
const { MAX_SAFE_INTEGER } = Number;

/**
 * An io_uring: submits any number of operations to the kernel in one call, and receives their completions.
 *
 * @remarks
 * A method that names an operation pushes one submission into memory that is shared with the kernel, and
 * returns before the operation starts. Pushing makes no system call. {@link Ring.submit} passes the
 * submissions to the kernel, {@link Ring.wait} passes them and waits for completions.
 *
 * The methods that push throw TypeError `ERR_CLOSED` once the ring is closed, TypeError or RangeError
 * `ERR_INVALID_FD`, `ERR_INVALID_LENGTH`, `ERR_INVALID_DATA`, `ERR_INVALID_OPTION` for invalid arguments,
 * and SysError `EBUSY` when the queue is full and the kernel takes nothing. An operation that fails in the
 * kernel reports its error in its completion.
 *
 * Memory that is passed to an operation belongs to the kernel until the completion is there. Paths,
 * addresses and times are copied.
 *
 * A ring belongs to the thread that made it, and nothing completes while that thread does something else
 * (IORING_SETUP_DEFER_TASKRUN, Linux 6.1). Waiting blocks the thread; `Reactor` with the engine
 * `"io_uring"` does not block the runtime's event loop.
 *
 * Close it: a ring that is garbage-collected first is closed then, with a warning of the process.
 *
 * @example
 * ```ts
 * using ring = new Ring();
 * ring.timeout(20, { tag: 1 });
 * for (const { tag } of ring.wait()) console.log(`${tag} is over`);
 * ```
 *
 * Source: io_uring(7), io_uring_setup(2), io_uring_enter(2).
 */
export class Ring implements Disposable {
  static {
    printAs(Ring, (it) => {
      const fd = it.fileno();
      return { fd, pending: it.pending, state: fd < 0 ? "closed" : "open" };
    });
  }

  readonly #kernel: Kernel;
  readonly #ring: RawRing;
  readonly #arguments: Arena;
  readonly #mapped: Arena[] = [];
  readonly #buffers: ProvidedBuffers[] = [];
  readonly #guarded: object;
  /** How much of `#arguments` is in use. */
  #used = 0;

  /**
   * @param options - The sizes of the queues.
   * @throws TypeError or RangeError `ERR_INVALID_LENGTH` for sizes out of range; SysError of io_uring_setup: `EPERM`
   * where io_uring is forbidden, `ENOSYS` where the kernel has none, `EINVAL` before Linux 6.1, `ENOMEM`,
   * `EMFILE`.
   */
  constructor(options: RingOptions = {}) {
    const kernel = kernelOf(options, "new Ring()", RING_OPTIONS);
    const { entries = 256 } = options;
    assertSize("entries", entries, 32_768);
    const { completionEntries = entries * 8 } = options;
    assertSize("completion entries", completionEntries, 65_536 * 8);
    this.#kernel = kernel;
    this.#ring = new RawRing({ entries, completionEntries, kernel });
    try {
      this.#arguments = kernel.arenas.map(ARGUMENTS_BYTES);
    } catch (error) {
      this.#ring.close();
      throw error;
    }
    this.#guarded = guardRing(this, this.#ring);
  }

  /**
   * The ring's descriptor, -1 once it is closed.
   *
   * @remarks
   * Do not wait for it with another selector or event loop: work that is deferred to this thread, which is
   * most of it, does not make it readable. `Reactor` has a descriptor for that.
   */
  fileno(): number {
    return this.#ring.fileno();
  }

  /** The number of submissions that were pushed and that the kernel has not taken yet. */
  get pending(): number {
    return this.#ring.submissions.pending;
  }

  /**
   * Maps memory for reads, writes, receives and sends. The ring owns it and releases it when it is closed.
   *
   * @param byteLength - 1 to 2^31.
   * @throws TypeError or RangeError `ERR_INVALID_LENGTH`; TypeError `ERR_CLOSED`; SysError `ENOMEM`.
   */
  map(byteLength: number): Mapped {
    this.#assertOpen("map memory");
    if (!Number.isInteger(byteLength) || byteLength < 1 || byteLength > MAX_MAPPED_BYTES) {
      throw numberError(
        "ERR_INVALID_LENGTH",
        byteLength,
        `Cannot map ${show(byteLength)} bytes: give an integer from 1 to ${MAX_MAPPED_BYTES}`,
      );
    }
    const arena = this.#kernel.arenas.map(byteLength);
    this.#mapped.push(arena);
    return new Mapped(arena.address, arena.u8.subarray(0, byteLength));
  }

  /**
   * Provides buffers from which the kernel chooses when it receives. The ring owns them and releases them
   * when it is closed.
   *
   * @throws TypeError or RangeError `ERR_INVALID_LENGTH`, `ERR_INVALID_OPTION`; TypeError `ERR_CLOSED`; SysError
   * `EEXIST` when the group exists already, `EINVAL` where the kernel has no buffer rings, `ENOMEM`.
   */
  addBuffers(options: BufferRingOptions = {}): BufferRing {
    this.#assertOpen("add buffers");
    const {
      group = 0,
      count = 64,
      bufferBytes = 4096,
    } = optionsOf(options, "addBuffers()", BUFFER_RING_OPTIONS);
    powerOfTwo("a number of buffers", count, 1, 32_768);
    powerOfTwo("the bytes of a buffer", bufferBytes, 64, 2 ** 20);
    if (!Number.isInteger(group) || group < 0 || group > 0xffff) {
      throw numberError(
        "ERR_INVALID_OPTION",
        group,
        `Cannot use ${show(group)} as a group: give an integer from 0 to 65535`,
      );
    }
    const sizes = { group, bufferBytes, maxBuffers: count, firstBuffers: count };
    const buffers = ProvidedBuffers.register(this.#ring, this.#kernel, sizes);
    if (typeof buffers === "number") {
      check(buffers, "io_uring_register");
      throw new Error("unreachable");
    }
    this.#buffers.push(buffers);
    return new BufferRing(buffers);
  }

  /**
   * Passes the pushed submissions to the kernel, without waiting.
   *
   * @returns How many the kernel took.
   * @throws TypeError `ERR_CLOSED`; SysError of io_uring_enter.
   */
  submit(): number {
    this.#assertOpen("submit");
    return this.#checked(this.#ring.submit());
  }

  /**
   * Passes the pushed submissions to the kernel, and waits for completions. It blocks the thread.
   *
   * @param wanted - How many to wait for; 0 does not wait. Default 1.
   * @param timeoutMs - Milliseconds, fractions count; `undefined` means no timeout. A signal does not end
   * the wait.
   * @returns All completions that are there: more than `wanted` where there are more, fewer after a timeout.
   * @throws TypeError or RangeError `ERR_INVALID_LENGTH`, also when more are wanted than the ring has room for, and
   * `ERR_INVALID_TIMEOUT`; TypeError `ERR_CLOSED`; SysError of io_uring_enter.
   */
  wait(wanted = 1, timeoutMs?: number | null): Completion[] {
    this.#assertOpen("wait");
    const timeout = naturalTimeoutOf(timeoutMs);
    const { capacity } = this.#ring.completions;
    if (!Number.isInteger(wanted) || wanted < 0 || wanted > capacity) {
      throw numberError(
        "ERR_INVALID_LENGTH",
        wanted,
        `Cannot wait for ${show(wanted)} completions: give an integer from 0 to ${capacity}`,
      );
    }
    const found: Completion[] = [];
    const deadline = timeout > 0 ? this.#kernel.now() + timeout : timeout;
    let left = timeout;
    this.#collect(found);
    for (;;) {
      const missing = left === 0 ? 0 : Math.max(wanted - found.length, 0);
      const result = this.#ring.enter(missing, left);
      this.#collect(found);
      // Completions that were found are returned in spite of an error, which the next wait meets again.
      if (found.length === 0) this.#checked(result);
      else if (result < 0 && !this.#ring.isWaitOver(result)) return found;
      if (found.length >= wanted || left === 0) return found;
      if (deadline > 0) left = Math.max(deadline - this.#kernel.now(), 0);
    }
  }

  /** Cancels all operations in flight, and releases the ring, its memory and its buffers. Safe to call twice. */
  close(): void {
    if (this.fileno() < 0) return;
    unguard(this.#guarded);
    this.#ring.cancelAll();
    for (const buffers of this.#buffers) buffers.close();
    this.#ring.close();
    const { arenas } = this.#kernel;
    for (const arena of [this.#arguments, ...this.#mapped]) arenas.release(arena);
    this.#mapped.length = 0;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  // Operations

  /** Completes without doing anything: to end a wait, or to measure. */
  nop(options: SubmitOptions = {}): void {
    this.#push("do nothing", IORING_OP.NOP, options, {});
  }

  /**
   * read(2), pread(2): reads at most as many bytes as `memory` has.
   *
   * @returns In the completion: the number of bytes; 0 at the end of the file.
   */
  read(file: FileObject, memory: Mapped, options: FileOptions = {}): void {
    this.#transfer("read", IORING_OP.READ, file, memory, options);
  }

  /** write(2), pwrite(2): writes at most as many bytes as `memory` has. */
  write(file: FileObject, memory: Mapped, options: FileOptions = {}): void {
    this.#transfer("write", IORING_OP.WRITE, file, memory, options);
  }

  /**
   * open(2).
   *
   * @param path - Relative to the working directory, or absolute.
   * @param flags - O_* bits of open(2); O_CLOEXEC is always added. Default: read-only.
   * @param options - With `mode`, the permissions of a file that is created. Default 0o666, less the umask.
   * @returns In the completion: the descriptor.
   */
  open(path: string, flags = 0, options: SubmitOptions & { readonly mode?: number } = {}): void {
    const verb = "open";
    if (typeof path !== "string" || path === "" || path.includes("\0")) {
      throw typeError("ERR_INVALID_DATA", `Cannot open ${show(path)}: give a path without NUL`);
    }
    const bits = flagsOf(flags);
    const { mode = 0o666 } = objectOf(options, "options");
    natural("a mode", mode, 0o7777);
    const text = new TextEncoder().encode(path);
    const offset = this.#argument(verb, text.length + 1);
    const { u8, address } = this.#arguments;
    u8.set(text, offset);
    u8[offset + text.length] = 0;
    this.#push(
      verb,
      IORING_OP.OPENAT,
      options,
      {
        fd: AT_FDCWD,
        address: address + offset,
        length: mode,
        flags: bits | O_CLOEXEC,
      },
      OPEN_OPTIONS,
    );
  }

  /** close(2). */
  closeFd(file: FileObject, options: SubmitOptions = {}): void {
    this.#push("close a descriptor", IORING_OP.CLOSE, options, { fd: filenoOf(file) });
  }

  /** fsync(2); with `dataOnly` fdatasync(2). */
  fsync(file: FileObject, options: SubmitOptions & { readonly dataOnly?: boolean } = {}): void {
    const dataOnly = booleanOf(objectOf(options, "options").dataOnly, "dataOnly", false);
    const flags = dataOnly ? IORING_FSYNC_DATASYNC : 0;
    this.#push("sync", IORING_OP.FSYNC, options, { fd: filenoOf(file), flags }, FSYNC_OPTIONS);
  }

  /**
   * Completes after a time, with `-ETIME`.
   *
   * @param timeoutMs - Milliseconds, fractions count.
   * @param options - With `repeat`, it completes repeatedly until it is removed (Linux 6.4). With `count`,
   * it completes earlier, with 0, when this number of other submissions have completed.
   */
  timeout(
    timeoutMs: number,
    options: SubmitOptions & { readonly repeat?: boolean; readonly count?: number } = {},
  ): void {
    const repeat = isRepeated(options);
    const { count = 0 } = options;
    const flags = repeat ? IORING_TIMEOUT_MULTISHOT : 0;
    const position = repeat ? 0 : natural("a count", count, 0xffff_ffff);
    checkOptions(options, TIMEOUT_OPTIONS);
    const address = this.#time("wait", timeoutMs);
    this.#push(
      "wait",
      IORING_OP.TIMEOUT,
      options,
      { address, length: 1, position, flags },
      TIMEOUT_OPTIONS,
    );
  }

  /**
   * Removes the timeout with this tag, which completes with `-ECANCELED`.
   *
   * @returns In the completion: 0, or `-ENOENT` when there is none.
   */
  removeTimeout(tag: number, options: SubmitOptions = {}): void {
    this.#push("remove a timeout", IORING_OP.TIMEOUT_REMOVE, options, { address: tagOf(tag) });
  }

  /** Cancels the submission before it, which must be linked, after a time. */
  linkTimeout(timeoutMs: number, options: SubmitOptions = {}): void {
    checkOptions(options);
    const address = this.#time("limit", timeoutMs);
    this.#push("limit", IORING_OP.LINK_TIMEOUT, options, { address, length: 1 });
  }

  /**
   * accept4(2).
   *
   * @param options - With `repeat`, one completion for each connection, until a completion lacks `more`.
   * With `flags`: SOCK_NONBLOCK; SOCK_CLOEXEC is always added.
   * @returns In the completion: the descriptor.
   */
  accept(
    listener: FileObject,
    options: SubmitOptions & { readonly repeat?: boolean; readonly flags?: number } = {},
  ): void {
    const priority = isRepeated(options) ? IORING_ACCEPT_MULTISHOT : 0;
    const flags = callFlagsOf(options) | SOCK_CLOEXEC;
    this.#push(
      "accept",
      IORING_OP.ACCEPT,
      options,
      { fd: filenoOf(listener), priority, flags },
      ACCEPT_OPTIONS,
    );
  }

  /** connect(2). The address is a literal or a path, not a host name. */
  connect(socket: FileObject, address: SocketAddress, options: SubmitOptions = {}): void {
    const fd = filenoOf(socket);
    checkOptions(options);
    const offset = this.#argument("connect", SOCKADDR_BYTES);
    const length = encodeAddress(this.#arguments, offset, address);
    // The length of the address is in the field that other operations use for the offset.
    const at = { fd, address: this.#arguments.address + offset, position: length };
    this.#push("connect", IORING_OP.CONNECT, options, at);
  }

  /**
   * recv(2): receives at most as many bytes as `memory` has.
   *
   * @returns In the completion: the number of bytes; 0 at the end of the stream.
   */
  recv(
    socket: FileObject,
    memory: Mapped,
    options: SubmitOptions & { readonly flags?: number } = {},
  ): void {
    const at = this.#memory("receive", socket, memory);
    const flags = callFlagsOf(options);
    this.#push("receive", IORING_OP.RECV, options, { ...at, flags }, CALL_OPTIONS);
  }

  /**
   * recv(2) into provided buffers: the kernel takes one when bytes have arrived.
   *
   * @param options - With `repeat: false`, it receives once. Otherwise it receives until a completion lacks
   * `more`: at the end of the stream, after an error, or with `-ENOBUFS` when no buffer is left.
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
    this.#push(
      "receive",
      IORING_OP.RECV | (IOSQE_BUFFER_SELECT << FLAGS_SHIFT),
      options,
      {
        fd: filenoOf(socket),
        priority: isRepeated(options, true) ? IORING_RECV_MULTISHOT : 0,
        group: buffers.group,
      },
      REPEAT_OPTIONS,
    );
  }

  /**
   * send(2). MSG_NOSIGNAL is always added.
   *
   * @param options - With `flags`: MSG_* bits; MSG_WAITALL sends all bytes or fails.
   * @returns In the completion: the number of bytes, which may be less than requested.
   */
  send(
    socket: FileObject,
    memory: Mapped,
    options: SubmitOptions & { readonly flags?: number } = {},
  ): void {
    const at = this.#memory("send", socket, memory);
    const flags = callFlagsOf(options) | MSG_NOSIGNAL;
    this.#push("send", IORING_OP.SEND, options, { ...at, flags }, CALL_OPTIONS);
  }

  /**
   * shutdown(2).
   *
   * @param how - SHUT_RD, SHUT_WR or SHUT_RDWR.
   */
  shutdown(socket: FileObject, how: number, options: SubmitOptions = {}): void {
    const length = natural("a half to shut down", how, 2);
    this.#push("shut down", IORING_OP.SHUTDOWN, options, { fd: filenoOf(socket), length });
  }

  /**
   * Completes when a descriptor is ready, with POLL* bits.
   *
   * @param mask - POLL* bits; POLLERR, POLLHUP and POLLRDHUP are always reported.
   * @param options - With `repeat`, it completes for each event, until a completion lacks `more`.
   */
  poll(
    file: FileObject,
    mask: number,
    options: SubmitOptions & { readonly repeat?: boolean } = {},
  ): void {
    const length = isRepeated(options) ? IORING_POLL_ADD_MULTI : 0;
    const at = { fd: filenoOf(file), length, flags: natural("a mask", mask, 0xffff_ffff) };
    this.#push("poll", IORING_OP.POLL_ADD, options, at, REPEAT_OPTIONS);
  }

  /**
   * Removes the poll with this tag, which completes with `-ECANCELED`.
   *
   * @returns In the completion: 0, or `-ENOENT` when there is none.
   */
  removePoll(tag: number, options: SubmitOptions = {}): void {
    this.#push("remove a poll", IORING_OP.POLL_REMOVE, options, { address: tagOf(tag) });
  }

  /**
   * Cancels the submission with this tag. It completes with `-ECANCELED`, or with its own result if the
   * cancellation came too late.
   *
   * @returns In the completion: 0, `-ENOENT` when there is none, `-EALREADY` when it cannot be stopped.
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
    const { position } = objectOf(options, "options");
    if (position !== undefined) natural("a position", position, MAX_SAFE_INTEGER);
    this.#push(verb, operation, options, { ...at, position: position ?? -1 }, FILE_OPTIONS);
  }

  #memory(verb: string, file: FileObject, memory: Mapped): Partial<Fields> {
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
      throw numberError("ERR_INVALID_TIMEOUT", timeoutMs, message);
    }
    const offset = this.#argument(verb, TIMESPEC_BYTES);
    this.#arguments.setTimespec(offset, ms);
    return this.#arguments.address + offset;
  }

  /** Reserves bytes of `#arguments`, which stay as they are until the kernel takes the submission. */
  #argument(verb: string, byteLength: number): number {
    this.#assertOpen(verb);
    if (this.pending === 0) this.#used = 0;
    if (this.#used + byteLength > ARGUMENTS_BYTES) {
      if (byteLength > ARGUMENTS_BYTES) {
        throw rangeError("ERR_INVALID_LENGTH", `Cannot use a path of ${byteLength} bytes`);
      }
      this.submit();
      // The kernel copies the arguments of what it takes. Submissions that it did not take still need theirs.
      if (this.pending > 0) check(-ERRNO.EBUSY, "io_uring_enter");
      this.#used = 0;
    }
    const offset = this.#used;
    this.#used += Math.ceil(byteLength / 8) * 8;
    return offset;
  }

  /** @param names - The names of all options of this submission. */
  #push(
    verb: string,
    operation: number,
    options: SubmitOptions,
    fields: Partial<Fields>,
    names: Readonly<Record<string, true>> = SUBMIT_OPTIONS,
  ): void {
    this.#assertOpen(verb);
    const queue = this.#ring.submissions;
    const { link, tag } = checkOptions(options, names);
    const { fd = 0, position = 0, address = 0, length = 0, flags = 0, priority = 0 } = fields;
    const { async, quiet } = options;
    const bits =
      (link === true ? IOSQE_IO_LINK : 0) |
      (link === "hard" ? IOSQE_IO_HARDLINK : 0) |
      (async === true ? IOSQE_ASYNC : 0) |
      (quiet === true ? IOSQE_CQE_SKIP_SUCCESS : 0);
    const first = operation | (bits << FLAGS_SHIFT) | (priority << MULTISHOT_SHIFT);
    const [low, high] = [tag >>> 0, Math.floor(tag / 0x1_0000_0000)];
    queue.push(first, fd, position, address, length, flags, low, high, fields.group ?? 0);
    if (position < 0) queue.usePosition();
  }

  #collect(found: Completion[]): void {
    const { completions } = this.#ring;
    for (let { length } = completions; length > 0; length--) {
      const at = completions.next();
      const tag = completions.tagHigh(at) * 0x1_0000_0000 + completions.tagLow(at);
      found.push(new Completion(tag, completions.result(at), completions.flags(at)));
      completions.skip();
    }
    completions.publish();
  }

  /** @returns The number of submissions: 0 for a result that says only that a wait is over. */
  #checked(result: number): number {
    return result < 0 && this.#ring.isWaitOver(result) ? 0 : check(result, "io_uring_enter");
  }

  #assertOpen(verb: string): void {
    if (this.fileno() < 0) throw typeError("ERR_CLOSED", `Cannot ${verb}: this ring is closed`);
  }
}

/** Fields of a submission, see `SubmissionQueue`. */
interface Fields {
  readonly fd: number;
  readonly position: number;
  readonly address: number;
  readonly length: number;
  readonly flags: number;
  readonly priority: number;
  readonly group: number;
}

/**
 * Closes the ring when its owner is garbage-collected. Mapped memory may still be referenced elsewhere, so
 * it is not released.
 *
 * Outside of the class, because a closure of the constructor would keep the owner alive.
 */
function guardRing(owner: Ring, ring: RawRing): object {
  return guard(owner, ring.fileno(), () => ring.close());
}

function assertSize(what: string, value: number, most: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= most) return;
  throw numberError(
    "ERR_INVALID_LENGTH",
    value,
    `Cannot make a ring of ${show(value)} ${what}: give an integer from 1 to ${most}`,
  );
}

/**
 * Checks options before anything is written to the queue.
 *
 * @throws TypeError or RangeError `ERR_INVALID_OPTION`.
 */
function checkOptions(
  options: SubmitOptions,
  names: Readonly<Record<string, true>> = SUBMIT_OPTIONS,
): { readonly link: boolean | "hard" | undefined; readonly tag: number } {
  const { link, tag = 0, async, quiet } = optionsOf(options, "a submission", names);
  if (link !== undefined && typeof link !== "boolean" && link !== "hard") {
    throw typeError("ERR_INVALID_OPTION", `Cannot link by ${show(link)}: give true or "hard"`);
  }
  booleanOf(async, "async", false);
  booleanOf(quiet, "quiet", false);
  return { link, tag: tagOf(tag) };
}

function callFlagsOf(options: { readonly flags?: number }): number {
  const { flags = 0 } = objectOf(options, "options");
  return flagsOf(flags);
}

function isRepeated(options: { readonly repeat?: boolean }, usual = false): boolean {
  return booleanOf(objectOf(options, "options").repeat, "repeat", usual);
}

/** @throws TypeError or RangeError `ERR_INVALID_OPTION`. */
function natural(what: string, value: number, most: number): number {
  return integerOf(value, what, [0, most]);
}

function tagOf(tag: number): number {
  return natural("a tag", tag, MAX_SAFE_INTEGER);
}

import { booleanOf, type NamesOf, optionsOf } from "../base/argument.ts";
import { ERRNO } from "../base/errno.ts";
import { type Fields, printAs } from "../base/inspect.ts";
import { numberError, rangeError, show, typeError } from "../base/misuse.ts";
import { SysError } from "../base/sys-error.ts";
import { POLLIN, POLLOUT } from "../select/constants.ts";
import { familyOf, formatAddress, type SocketAddress, unmapped } from "../socket/address.ts";
import { AF_UNIX, SO_DOMAIN, SOL_SOCKET } from "../socket/constants.ts";
import {
  BIND_OPTIONS,
  type BindOptions,
  openDatagrams,
  setMembership,
} from "../socket/datagrams.ts";
import {
  readIntOption,
  readLocalAddress,
  readPeerAddress,
  takeSocketError,
} from "../socket/raw.ts";
import { socketError } from "../socket/socket-error.ts";
import { SocketFile } from "../socket/socket-file.ts";
import {
  BATCH,
  type DatagramBuffers,
  isKnown,
  MAX_DATAGRAM_BYTES,
  MAX_UDP_BYTES,
} from "./datagram-buffers.ts";
import { DescriptorOwner } from "./descriptor-owner.ts";
import type { Loop } from "./loop.ts";
import { checkCallbacks, checkData } from "./options.ts";
import type { Timer } from "./timers.ts";

/** Handlers for the events of a datagram socket. A handler that throws is reported to `error`, or fails the process. */
export interface DatagramHandlers {
  /**
   * A datagram was received.
   *
   * @param bytes - The handler's to keep; with `zeroCopy` they are lent, and change after the handler returns.
   * @param from - The sender; a path of `""` for a unix socket that is not bound. It can be passed to `send`.
   */
  message?(socket: DatagramSocket, bytes: Uint8Array, from: SocketAddress): void;
  /** Datagrams can be sent again without being queued, after `send` returned false. */
  drain?(socket: DatagramSocket): void;
  /**
   * A datagram could not be sent or received: `EMSGSIZE`, `ENETUNREACH`, `EPERM`; `ECONNREFUSED` if nothing receives at
   * the address of a socket with `remote`; or a handler threw. The socket stays open. Without this handler, the first error
   * of a call emits a process warning.
   */
  error?(socket: DatagramSocket, error: Error): void;
  /** The socket is closed. @param error - The reason, if the reactor has failed. */
  close?(socket: DatagramSocket, error?: Error): void;
}

/** The address of a datagram socket, its handlers, and its options. */
export interface DatagramOptions extends DatagramHandlers, BindOptions {
  /** Lends the bytes of a datagram to `message` for the duration of the call, instead of copying them. Default false. */
  readonly zeroCopy?: boolean | undefined;
  /** `send` returns false while more bytes than this are queued. Default 65,536 (64 KiB). */
  readonly highWaterBytes?: number | undefined;
  /** A datagram is dropped, and counted in `dropped`, if more bytes than this are queued. Default 1,048,576 (1 MiB). */
  readonly maxPendingBytes?: number | undefined;
}

const DATAGRAM_HANDLERS: NamesOf<DatagramHandlers> = {
  message: true,
  drain: true,
  error: true,
  close: true,
};

export const DATAGRAM_OPTIONS: NamesOf<DatagramOptions> = {
  ...DATAGRAM_HANDLERS,
  ...BIND_OPTIONS,
  zeroCopy: true,
  highWaterBytes: true,
  maxPendingBytes: true,
};

/** A datagram socket of a reactor, of UDP or unix: see `bindDatagrams`. */
export interface DatagramSocket extends Disposable {
  /** The local address; `null` once it is closed. */
  readonly address: SocketAddress | null;
  /** The local port; -1 for a unix socket, or once it is closed. */
  readonly port: number;
  /** The address of `remote`; `null` without it, or once the socket is closed. */
  readonly remoteAddress: SocketAddress | null;
  /** The bytes of datagrams that the kernel has not taken yet. */
  readonly pendingBytes: number;
  /** The number of datagrams that were dropped because more than `maxPendingBytes` were queued. */
  readonly dropped: number;
  /** The descriptor, or -1 once it is closed. It belongs to the reactor: use it to read and set options only. */
  fileno(): number;
  /**
   * Sends a datagram.
   *
   * @remarks
   * Datagrams that are sent in one turn are passed to the kernel in one call (sendmmsg). If the kernel has no room, they
   * are queued. The network may lose, repeat and reorder them. On a closed socket the datagram is dropped.
   *
   * @param bytes - At most 65,507 bytes for UDP, 65,536 for unix sockets. They are copied, and may be changed at once.
   * @param to - The address of the receiver: required without `remote`. Names must be resolved before.
   * @returns Whether to continue. false means that more than `highWaterBytes` are queued, and that `drain` follows; or that
   * the socket is closed.
   * @throws TypeError or RangeError `ERR_INVALID_DATA`, `ERR_INVALID_LENGTH`, `ERR_INVALID_ADDRESS`, `ERR_INVALID_PORT`
   */
  send(bytes: Uint8Array | string, to?: SocketAddress): boolean;
  /** Stops receiving, after the datagrams that were received with the current one. The kernel drops what does not fit. */
  pause(): void;
  /** Continues receiving. */
  resume(): void;
  /**
   * Receives the datagrams of a multicast group, until {@link DatagramSocket.leaveGroup} or the end of the socket.
   *
   * @param group - An IPv4 or IPv6 multicast address.
   * @param networkInterface - The name of a network interface. Default: chosen by the routing table.
   * @throws SysError `ENODEV`, `EADDRINUSE` (joined already); TypeError or RangeError `ERR_INVALID_ADDRESS`,
   * `ERR_INVALID_OPTION`, `ERR_CLOSED`
   */
  joinGroup(group: string, networkInterface?: string): void;
  /** Ends {@link DatagramSocket.joinGroup}. @throws SysError `EADDRNOTAVAIL` (not joined), and as `joinGroup` does. */
  leaveGroup(group: string, networkInterface?: string): void;
  /** Closes the socket, after datagrams of this turn were sent. Queued ones are dropped. Calling it twice is safe. */
  close(): void;
  /** Keeps the process alive again after {@link DatagramSocket.unref}. */
  ref(): void;
  /** Allows the process to end although the socket is open. */
  unref(): void;
}

/** The calls of receiving in a turn, so that other owners have their share. */
const RECEIVE_BUDGET = 4;
/** After this many datagrams that were received alone, the next is received by a call for one datagram. */
const FEW_ALONE = 4;
/** One in this many of these is received by a call for many, which finds out whether there are more. */
const LOOK_EVERY = 8;
/** The delays before a datagram is sent again to a unix socket whose queue is full. */
const RETRY_MS = 1;
const MAX_RETRY_MS = 16;
/** The delay before a watch is set again that the kernel had no memory for. */
const REWATCH_MS = 50;

const encoder = new TextEncoder();

/** A datagram that waits for the kernel. */
interface Queued {
  readonly bytes: Uint8Array;
  readonly to: SocketAddress | undefined;
}

/** A datagram socket: it receives and sends in batches, and queues what the kernel does not take. */
export class Datagrams extends DescriptorOwner implements DatagramSocket {
  static {
    printAs<Datagrams>(Datagrams, (it) => it.#fields(), "DatagramSocket");
  }

  pendingBytes = 0;
  dropped = 0;
  readonly #buffers: DatagramBuffers;
  readonly #options: DatagramOptions;
  readonly #zeroCopy: boolean;
  readonly #highWaterBytes: number;
  readonly #maxPendingBytes: number;
  readonly #slot: number;
  readonly #family: number;
  readonly #file: SocketFile | undefined;
  #fd: number;
  #queue: Queued[] = [];
  #isPaused = false;
  #isDirty = false;
  /** `send` returned false. */
  #isFull = false;
  #hasWarned = false;
  #retry: Timer | undefined;
  #retryMs = RETRY_MS;
  /** Sets the watch again, which has failed. */
  #rewatch: Timer | undefined;
  /** How many datagrams in succession were received alone. */
  #alone = 0;

  /** @throws what `bindDatagrams` throws. */
  constructor(loop: Loop, options: DatagramOptions, names: Readonly<Record<string, true>>) {
    super(loop);
    optionsOf(options, "bindDatagrams()", names);
    checkCallbacks(options, ["message", "drain", "error", "close"]);
    this.#zeroCopy = booleanOf(options.zeroCopy, "zeroCopy", false);
    this.#highWaterBytes = limitOf(options.highWaterBytes, "highWaterBytes", 64 * 1024);
    this.#maxPendingBytes = limitOf(options.maxPendingBytes, "maxPendingBytes", 1024 * 1024);
    this.#options = options;
    const { kernel } = loop;
    // Before the socket is opened, because there may be no memory for them.
    this.#buffers = loop.datagrams;
    this.#fd = openDatagrams(kernel, options);
    this.#family = readIntOption(kernel, this.#fd, SOL_SOCKET, SO_DOMAIN);
    this.#file = SocketFile.of(kernel, readLocalAddress(kernel, this.#fd));
    if (this.#family !== AF_UNIX) this.#buffers.probe(this.#fd);
    this.#slot = loop.take(this);
    const result = loop.engine.watch(this.#slot, this.#fd, POLLIN);
    if (result >= 0) return;
    const fd = this.#fd;
    this.#file?.remove();
    kernel.libc.close(fd);
    loop.giveBack(this.#slot);
    throw loop.descriptorError("bind", result, fd);
  }

  get address(): SocketAddress | null {
    return this.#fd < 0 ? null : readLocalAddress(this.loop.kernel, this.#fd);
  }

  get port(): number {
    return this.address?.port ?? -1;
  }

  get remoteAddress(): SocketAddress | null {
    return this.#fd < 0 ? null : unmapped(readPeerAddress(this.loop.kernel, this.#fd));
  }

  fileno(): number {
    return this.#fd;
  }

  send(bytes: Uint8Array | string, to?: SocketAddress): boolean {
    checkData(bytes);
    const data = typeof bytes === "string" ? encoder.encode(bytes) : bytes;
    this.#checkSend(data.length, to);
    if (this.#fd < 0) return false;
    if (this.#queue.length > 0) return this.#enqueue({ bytes: data.slice(), to });
    const buffers = this.#buffers;
    if (buffers.sender !== this) {
      buffers.sender?.flush();
      buffers.sender = this;
    }
    if (!buffers.add(data, to, this.#family)) {
      this.#sendBatch();
      if (this.#queue.length > 0) return this.#enqueue({ bytes: data.slice(), to });
      buffers.sender = this;
      buffers.add(data, to, this.#family);
    }
    if (!this.#isDirty) {
      this.#isDirty = true;
      this.loop.markDirty(this);
    }
    return !this.#isFull;
  }

  pause(): void {
    if (this.#isPaused || this.#fd < 0) return;
    this.#isPaused = true;
    this.#watch();
  }

  resume(): void {
    if (!this.#isPaused || this.#fd < 0) return;
    this.#isPaused = false;
    this.#watch();
  }

  joinGroup(group: string, networkInterface?: string): void {
    setMembership(this.loop.kernel, this.#open("join a group"), group, networkInterface, true);
  }

  leaveGroup(group: string, networkInterface?: string): void {
    setMembership(this.loop.kernel, this.#open("leave a group"), group, networkInterface, false);
  }

  close(): void {
    this.shut();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  // Called by the rest of the reactor.

  override shut(error?: Error): void {
    if (this.#fd < 0) return;
    this.flush();
    this.abandon();
    try {
      this.#options.close?.(this, error);
    } catch (thrown) {
      this.#threw(thrown);
    }
  }

  override abandon(): void {
    if (this.#fd < 0) return;
    // The loop counts the slot until the engine has released it.
    this.ref();
    this.#retry?.cancel();
    this.#rewatch?.cancel();
    this.#queue = [];
    this.pendingBytes = 0;
    if (this.#buffers.sender === this) this.#buffers.clear();
    this.#fd = -1;
    this.#file?.remove();
    this.loop.engine.close(this.#slot);
  }

  override ready(mask: number): void {
    if ((mask & POLLOUT) !== 0 && this.#queue.length > 0) this.#sendQueue();
    if ((mask & ~POLLOUT) === 0 || this.#fd < 0) return;
    if (!this.#isPaused) {
      this.#receive();
      return;
    }
    // An error is reported in every turn until it is taken.
    const errno = takeSocketError(this.loop.kernel, this.#fd);
    if (errno !== 0) this.#failed(socketError("recvmsg", errno, this.remoteAddress));
  }

  override flush(): void {
    this.#isDirty = false;
    if (this.#buffers.sender === this) this.#sendBatch();
  }

  override drain(): void {
    if (this.#fd < 0 || this.pendingBytes > this.#highWaterBytes / 2) return;
    this.#isFull = false;
    try {
      this.#options.drain?.(this);
    } catch (thrown) {
      this.#threw(thrown);
    }
  }

  #receive(): void {
    const buffers = this.#buffers;
    const { message } = this.#options;
    for (let budget = RECEIVE_BUDGET; budget > 0 && !this.#isPaused; budget--) {
      const isBatch = this.#alone < FEW_ALONE || this.#alone % LOOK_EVERY === 0;
      const count = isBatch ? buffers.receive(this.#fd) : buffers.receiveOne(this.#fd);
      if (count === -ERRNO.EAGAIN) return;
      if (count === -ERRNO.EINTR) continue;
      if (count < 0) {
        this.#failed(socketError("recvmsg", count, this.remoteAddress));
        continue;
      }
      this.#alone = count === 1 ? this.#alone + 1 : 0;
      for (let i = 0; i < count; i++) {
        if (buffers.isCut(i)) {
          this.#failed(new SysError("recvmsg", ERRNO.EMSGSIZE, { fd: this.#fd }));
        } else if (message !== undefined) {
          const bytes = this.#zeroCopy
            ? buffers.bytesOf(i)
            : this.loop.buffers.copy(buffers.arena, buffers.offsetOf(i), buffers.lengthOf(i));
          try {
            message.call(this.#options, this, bytes, buffers.senderOf(i));
          } catch (thrown) {
            this.#threw(thrown);
          }
        }
        if (this.#fd < 0) return;
      }
      if (count < BATCH) return;
    }
  }

  /** Sends the datagrams in the buffers. Those that the kernel has no room for are queued. */
  #sendBatch(): void {
    const buffers = this.#buffers;
    let isRetried = false;
    while (buffers.isWaiting) {
      const result = buffers.send(this.#fd);
      if (result >= 0) {
        isRetried = false;
      } else if (result === -ERRNO.EAGAIN) {
        for (; buffers.isWaiting; buffers.skip()) this.#enqueue(buffers.first());
      } else if (result !== -ERRNO.EINTR) {
        const { to } = buffers.first();
        const error = socketError("sendmsg", result, to ?? this.remoteAddress);
        // The error of an earlier datagram of a connected socket: this one was not sent yet.
        if (result === -ERRNO.ECONNREFUSED && to === undefined && !isRetried) isRetried = true;
        else buffers.skip();
        // A handler may send, which uses the buffers.
        this.loop.soon(() => this.#failed(error));
      }
    }
    buffers.clear();
    if (this.#queue.length > 0) this.#awaitRoom();
  }

  #sendQueue(): void {
    const buffers = this.#buffers;
    const queue = this.#queue;
    if (buffers.sender !== this) buffers.sender?.flush();
    this.#queue = [];
    this.pendingBytes = 0;
    let next = 0;
    while (next < queue.length && this.#queue.length === 0) {
      buffers.sender = this;
      for (let item = queue[next]; item !== undefined; item = queue[next]) {
        if (!buffers.add(item.bytes, item.to, this.#family)) break;
        next++;
      }
      this.#sendBatch();
    }
    for (const item of queue.slice(next)) this.#push(item);
    if (this.#queue.length === 0) {
      this.#retryMs = RETRY_MS;
      this.#watch();
    }
    if (this.#isFull && this.pendingBytes <= this.#highWaterBytes / 2) this.loop.markDrained(this);
  }

  /** Queues a datagram, or drops it if too much is queued. @returns As `send`. */
  #enqueue(item: Queued): boolean {
    if (this.pendingBytes + item.bytes.length > this.#maxPendingBytes) {
      this.dropped++;
      this.#isFull = true;
      return false;
    }
    this.#push(item);
    if (this.pendingBytes > this.#highWaterBytes) this.#isFull = true;
    return !this.#isFull;
  }

  #push(item: Queued): void {
    this.#queue.push(item);
    this.pendingBytes += item.bytes.length;
  }

  /**
   * Sends the queue later. poll(2) does not report when the queue of another unix socket has room, unless the socket is
   * connected to it.
   */
  #awaitRoom(): void {
    if (this.#family !== AF_UNIX || this.#options.remote !== undefined) {
      this.#watch();
      return;
    }
    this.#retry?.cancel();
    this.#retry = this.loop.timers.add(this.#retryMs, () => this.#sendQueue(), false);
    this.#retryMs = Math.min(this.#retryMs * 2, MAX_RETRY_MS);
  }

  #watch(): void {
    const waits =
      this.#queue.length > 0 && (this.#family !== AF_UNIX || this.#options.remote !== undefined);
    const interest = (this.#isPaused ? 0 : POLLIN) | (waits ? POLLOUT : 0);
    const result = this.loop.engine.modify(this.#slot, interest);
    const isAgain = this.#rewatch !== undefined;
    this.#rewatch?.cancel();
    this.#rewatch = undefined;
    if (result >= 0) return;
    // The kernel has no memory. Until it has, the socket would not receive, or not send what is queued.
    this.#rewatch = this.loop.timers.add(REWATCH_MS, () => this.#watch(), false);
    if (!isAgain) this.#failed(this.loop.descriptorError("watch", result, this.#fd));
  }

  #checkSend(length: number, to: SocketAddress | undefined): void {
    const isUnix = this.#family === AF_UNIX;
    const most = isUnix ? MAX_DATAGRAM_BYTES : MAX_UDP_BYTES;
    if (length > most) {
      throw rangeError(
        "ERR_INVALID_LENGTH",
        `Cannot send a datagram of ${length} bytes: it has at most ${most}`,
      );
    }
    if (to !== undefined) {
      if (!isUnix && isKnown(to)) return;
      if ((familyOf(to) === AF_UNIX) === isUnix) return;
      throw typeError(
        "ERR_INVALID_ADDRESS",
        `Cannot send to ${formatAddress(to)}: give ${isUnix ? "a path" : "an IP address and a port"}`,
      );
    }
    if (this.#options.remote !== undefined || this.#fd < 0) return;
    throw typeError("ERR_INVALID_ADDRESS", "Cannot send without an address: give one, or a remote");
  }

  #open(what: string): number {
    if (this.#fd >= 0) return this.#fd;
    throw typeError("ERR_CLOSED", `Cannot ${what}: the socket is closed`);
  }

  /** A datagram could not be sent or received. */
  #failed(error: SysError): void {
    const { error: onError } = this.#options;
    if (onError !== undefined) {
      this.#tellError(error);
    } else if (!this.#hasWarned) {
      this.#hasWarned = true;
      process.emitWarning(`A datagram was lost: ${error.message}`, "PolloiWarning");
    }
  }

  #tellError(error: Error): void {
    try {
      this.#options.error?.(this, error);
    } catch (thrown) {
      this.loop.fail(thrown);
    }
  }

  /** A handler threw: `error` is called, or without one the process fails. */
  #threw(thrown: unknown): void {
    if (this.#options.error === undefined) this.loop.fail(thrown);
    else if (thrown instanceof Error) this.#tellError(thrown);
    else this.#tellError(new Error(`handler threw ${String(thrown)}`, { cause: thrown }));
  }

  /** The fields that `console.log` prints. */
  #fields(): Fields {
    const { address, remoteAddress: remote, pendingBytes } = this;
    return {
      fd: this.#fd,
      address: address === null ? null : formatAddress(address),
      remoteAddress: remote === null ? null : formatAddress(remote),
      pendingBytes,
      state: this.#fd < 0 ? "closed" : "open",
    };
  }
}

function limitOf(value: number | undefined, name: string, defaultValue: number): number {
  if (value === undefined) return defaultValue;
  if (typeof value === "number" && value >= 0) return value;
  throw numberError(
    "ERR_INVALID_OPTION",
    value,
    `Cannot use ${show(value)} as ${name}: give a number from 0 up`,
  );
}

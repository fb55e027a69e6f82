/**
 * Serves connections with blocking calls, on a thread of its own.
 *
 * A process for one connection loads this module, so it imports no event loop.
 */
import { ERRNO } from "../base/errno.ts";
import { show, typeError } from "../base/misuse.ts";
import { SysError } from "../base/sys-error.ts";
import { POLLIN, POLLOUT } from "../select/constants.ts";
import { type SocketAddress, unmapped } from "../socket/address.ts";
import { MSG_DONTWAIT, MSG_NOSIGNAL, SHUT_WR } from "../socket/constants.ts";
import { readPeerAddress, readUntaken, resetOnClose } from "../socket/raw.ts";
import { AT_BYTES } from "../socket/scratch.ts";
import { POLLFD_SIZE } from "../sys/abi.ts";
import type { Arena } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";
import type { ChildControl } from "./child-control.ts";
import type { ServedCounter } from "./counts.ts";
import type { ModelConnection, ModelHandlers } from "./module.ts";

/** The most that is received, or copied to be sent, at once. */
const CHUNK_BYTES = 64 * 1024;
/** How long a peer may take to send its end once it has received everything, as with a reactor's connection. */
const FINISH_MS = 1000;
/** How long a connection on which nothing was received may take to send its first bytes when the server stops. */
const FIRST_BYTES_MS = 500;

const AT_CONTROL = AT_BYTES + POLLFD_SIZE;
const AT_TIME = AT_CONTROL + POLLFD_SIZE;

const encoder = new TextEncoder();

/** The state that all connections of a thread share. */
export interface BlockingContext {
  readonly kernel: Kernel;
  readonly control: ChildControl;
  readonly handlers: ModelHandlers;
  readonly idleTimeoutMs: number | undefined;
}

export interface WaitOptions {
  /** POLLIN, the default, or POLLOUT. */
  readonly events?: number;
  /** In milliseconds; Infinity waits for ever. */
  readonly timeoutMs: number;
  /** Whether a request to stop ends the wait. Otherwise the end of the grace period does. */
  readonly untilStop: boolean;
}

/**
 * Blocks the thread until `fd` is ready or the supervisor asks the child to stop.
 *
 * @remarks
 * A call that blocks on one descriptor cannot be interrupted by a request. So each is preceded by this one, which waits
 * for two descriptors: one more system call for each message, for a server that can be stopped.
 *
 * @source ppoll(2)
 */
export function waitBlocking(
  { kernel, control }: Pick<BlockingContext, "kernel" | "control">,
  fd: number,
  { events = POLLIN, timeoutMs, untilStop }: WaitOptions,
): "ready" | "stop" | "timeout" {
  const { libc, scratch } = kernel;
  const end = timeoutMs === Number.POSITIVE_INFINITY ? timeoutMs : performance.now() + timeoutMs;
  for (;;) {
    const remainingMs = control.remainingMs();
    if (remainingMs !== null && (untilStop || remainingMs === 0)) return "stop";
    let ms = end === Number.POSITIVE_INFINITY ? end : end - performance.now();
    if (ms < 0) return "timeout";
    if (remainingMs !== null) ms = Math.min(ms, remainingMs);
    setPollfd(kernel, AT_BYTES, fd, events);
    setPollfd(kernel, AT_CONTROL, control.fd, POLLIN);
    if (ms !== Number.POSITIVE_INFINITY) scratch.setTimespec(AT_TIME, ms);
    const time = ms === Number.POSITIVE_INFINITY ? 0 : scratch.address + AT_TIME;
    const ready = libc.ppoll(scratch.address + AT_BYTES, 2, time, 0);
    if (ready < 0 && ready !== -ERRNO.EINTR) throw new SysError("ppoll", ready, { fd });
    if (ready <= 0) continue;
    const isReady = hasEvents(kernel, AT_BYTES);
    if (hasEvents(kernel, AT_CONTROL)) control.receive();
    if (isReady) return "ready";
  }
}

function setPollfd({ scratch }: Kernel, at: number, fd: number, events: number): void {
  scratch.i32[at >> 2] = fd;
  scratch.u32[(at + 4) >> 2] = events;
}

/** Whether ppoll(2) has reported events for the descriptor at `at`. */
function hasEvents({ scratch }: Kernel, at: number): boolean {
  return (scratch.u32[(at + 4) >> 2] as number) >>> 16 !== 0;
}

/** Serves one connection after another with blocking calls. */
export class BlockingServer {
  readonly #context: BlockingContext;
  readonly #received: Arena;
  readonly #sent: Arena;

  constructor(context: BlockingContext) {
    this.#context = context;
    this.#received = context.kernel.arenas.map(CHUNK_BYTES);
    this.#sent = context.kernel.arenas.map(CHUNK_BYTES);
  }

  /**
   * Serves a connection, and closes it.
   *
   * @throws what a handler throws.
   */
  serve(fd: number, counter: ServedCounter): void {
    try {
      this.#serve(new BlockingConnection(this.#context, fd, this.#received, this.#sent), counter);
    } finally {
      this.#context.kernel.libc.close(fd);
    }
  }

  #serve(connection: BlockingConnection, counter: ServedCounter): void {
    const { handlers } = this.#context;
    const peer = counter.opened(connection);
    try {
      handlers.open?.(connection);
      for (;;) {
        const bytes = connection.receive();
        if (bytes === null) break;
        counter.received(peer, bytes);
        handlers.data?.(connection, bytes);
      }
      if (connection.ended) handlers.end?.(connection);
      connection.finish();
    } catch (error) {
      counter.closed(peer, error as Error);
      throw error;
    }
    counter.closed(peer, connection.error);
    handlers.close?.(connection, connection.error);
  }
}

/** A connection on which the thread waits. */
class BlockingConnection implements ModelConnection {
  data: unknown;
  /** Set when the connection has failed. From then on nothing is sent or received. */
  error: Error | undefined;
  /** The peer has finished sending. */
  ended = false;
  readonly #context: BlockingContext;
  readonly #fd: number;
  readonly #received: Arena;
  readonly #sent: Arena;
  #closed = false;
  #hasReceived = false;

  constructor(context: BlockingContext, fd: number, received: Arena, sent: Arena) {
    this.#context = context;
    this.#fd = fd;
    this.#received = received;
    this.#sent = sent;
  }

  get remoteAddress(): SocketAddress | null {
    return unmapped(readPeerAddress(this.#context.kernel, this.#fd));
  }

  write(bytes: Uint8Array | string): boolean {
    const all = typeof bytes === "string" ? encoder.encode(bytes) : bytes;
    if (!(all instanceof Uint8Array)) {
      throw typeError("ERR_INVALID_DATA", `Cannot write ${show(all)}: give bytes or a string`);
    }
    if (this.#closed) return false;
    const { u8, address } = this.#received;
    // Bytes that were received and are sent back need no copy.
    if (all.buffer === u8.buffer) return this.#send(address + all.byteOffset, all.length);
    for (let at = 0; at < all.length; at += CHUNK_BYTES) {
      const part = all.subarray(at, at + CHUNK_BYTES);
      this.#sent.u8.set(part);
      if (!this.#send(this.#sent.address, part.length)) return false;
    }
    return this.error === undefined;
  }

  close(): void {
    this.#closed = true;
  }

  /** Waits for bytes. @returns Null when no more will come. */
  receive(): Uint8Array | null {
    const { kernel } = this.#context;
    const { address, u8 } = this.#received;
    while (!this.#closed && this.error === undefined) {
      if (!this.#wait(POLLIN, true) && !this.#hasArrived()) return null;
      const got = kernel.libc.recv(this.#fd, address, CHUNK_BYTES, MSG_DONTWAIT);
      if (got > 0) {
        this.#hasReceived = true;
        return u8.subarray(0, got);
      }
      this.ended = got === 0;
      if (this.ended) return null;
      this.#failed("recv", got);
    }
    return null;
  }

  /**
   * Sends the end of the stream, and waits a moment for the peer's. Bytes that a peer sends to a closed socket reset
   * the connection, and the peer may lose what was sent to it.
   */
  finish(): void {
    this.#closed = true;
    const { kernel } = this.#context;
    const { libc } = kernel;
    if (this.error !== undefined || libc.shutdown(this.#fd, SHUT_WR) < 0) return;
    const end = performance.now() + FINISH_MS;
    for (;;) {
      const timeoutMs = end - performance.now();
      if (waitBlocking(this.#context, this.#fd, { timeoutMs, untilStop: false }) !== "ready")
        return;
      const got = libc.recv(this.#fd, this.#received.address, CHUNK_BYTES, MSG_DONTWAIT);
      if (got <= 0 && got !== -ERRNO.EAGAIN && got !== -ERRNO.EINTR) return;
    }
  }

  #send(address: number, length: number): boolean {
    const { libc } = this.#context.kernel;
    let done = 0;
    while (done < length) {
      if (this.error !== undefined) return false;
      const flags = MSG_NOSIGNAL | MSG_DONTWAIT;
      const sent = libc.send(this.#fd, address + done, length - done, flags);
      if (sent >= 0) done += sent;
      else if (sent === -ERRNO.EAGAIN) this.#wait(POLLOUT, false);
      else this.#failed("send", sent);
    }
    return true;
  }

  /** Whether bytes have arrived on a connection that stops. They are still delivered. */
  #hasArrived(): boolean {
    if (this.error !== undefined) return false;
    const timeoutMs = this.#hasReceived ? 1 : FIRST_BYTES_MS;
    return waitBlocking(this.#context, this.#fd, { timeoutMs, untilStop: false }) === "ready";
  }

  /** @returns Whether to continue; false when the server stops, or the connection has failed. */
  #wait(events: number, untilStop: boolean): boolean {
    const timeoutMs = this.#context.idleTimeoutMs ?? Number.POSITIVE_INFINITY;
    const result = waitBlocking(this.#context, this.#fd, { events, timeoutMs, untilStop });
    if (result === "ready") return true;
    if (result === "timeout") this.#failed("idle", -ERRNO.ETIMEDOUT);
    // The grace period is over, and the peer has not read everything.
    else if (!untilStop) this.#failed("stop", -ERRNO.ETIMEDOUT);
    return false;
  }

  #failed(syscall: string, result: number): void {
    if (result === -ERRNO.EAGAIN || result === -ERRNO.EINTR) return;
    const { kernel } = this.#context;
    this.error = new SysError(syscall, result, { fd: this.#fd });
    // As in a reactor: an incomplete answer is reset, and an idle peer that has received everything sees the end.
    if (syscall !== "idle" || readUntaken(kernel, this.#fd) > 0) resetOnClose(kernel, this.#fd);
  }
}

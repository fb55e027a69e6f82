import { ERRNO } from "../base/errno.ts";
import { show, typeError } from "../base/misuse.ts";
import { SysError } from "../base/sys-error.ts";
import { POLLIN, POLLOUT } from "../select/constants.ts";
import type { SocketAddress } from "../socket/address.ts";
import { MSG_DONTWAIT, MSG_NOSIGNAL, SHUT_WR } from "../socket/constants.ts";
import { readPeerAddress, readUntaken, resetOnClose } from "../socket/raw.ts";
import type { Arena } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";
import { waitBlocking } from "./blocking-wait.ts";
import type { ModelConnection, ModelHandlers } from "./model-module.ts";
import type { Orders } from "./orders.ts";
import type { Served } from "./served.ts";

/** The most that is received, or copied to be sent, at once. */
const CHUNK_BYTES = 64 * 1024;
/** How long a peer may take to end, once it has been sent everything: as a reactor's connection does. */
const LINGER_MS = 1000;

/** How long a connection on which nothing was received may take to send its first bytes, when it is to stop. */
const FIRST_BYTES_MS = 500;

const encoder = new TextEncoder();

/** What the conversations of one thread have in common. */
export interface BlockingContext {
  readonly kernel: Kernel;
  readonly handlers: ModelHandlers;
  readonly orders: Orders;
  readonly idleTimeoutMs: number | undefined;
}

/** Serves connections with blocking calls, one at a time. */
export class Conversations {
  readonly #context: BlockingContext;
  readonly #received: Arena;
  readonly #sent: Arena;

  constructor(context: BlockingContext) {
    this.#context = context;
    this.#received = context.kernel.arenas.map(CHUNK_BYTES);
    this.#sent = context.kernel.arenas.map(CHUNK_BYTES);
  }

  /**
   * Serves a connection, and returns when it is over.
   *
   * @param fd - Stays open: it is the caller's to close.
   * @param served - Where it is counted, and who is told.
   * @throws what a handler throws.
   */
  hold(fd: number, served: Served): void {
    const { handlers } = this.#context;
    const connection = new BlockingConnection(this.#context, fd, this.#received, this.#sent);
    const peer = served.opened(connection);
    try {
      handlers.open?.(connection);
      for (;;) {
        const bytes = connection.receive();
        if (bytes === null) break;
        served.received(peer, bytes);
        handlers.data?.(connection, bytes);
      }
      if (connection.ended) handlers.end?.(connection);
      connection.finish();
    } catch (error) {
      served.closed(peer, error as Error);
      throw error;
    }
    served.closed(peer, connection.error);
    handlers.close?.(connection, connection.error);
  }
}

/** A connection over a socket on which the thread waits. */
class BlockingConnection implements ModelConnection {
  data: unknown;
  /** Why it failed. From then on nothing is sent or received. */
  error: Error | undefined;
  /** The peer has finished sending. */
  ended = false;
  readonly #context: BlockingContext;
  readonly #fd: number;
  readonly #received: Arena;
  readonly #sent: Arena;
  #closed = false;
  /** Something was received. */
  #heard = false;

  constructor(context: BlockingContext, fd: number, received: Arena, sent: Arena) {
    this.#context = context;
    this.#fd = fd;
    this.#received = received;
    this.#sent = sent;
  }

  get remoteAddress(): SocketAddress | null {
    return readPeerAddress(this.#context.kernel, this.#fd);
  }

  write(bytes: Uint8Array | string): boolean {
    const all = typeof bytes === "string" ? encoder.encode(bytes) : bytes;
    if (!(all instanceof Uint8Array)) {
      throw typeError("ERR_INVALID_DATA", `Cannot write ${show(all)}: give bytes or a string`);
    }
    if (this.#closed) return false;
    const { u8, address } = this.#received;
    // What was received and goes back is sent from where it lies.
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

  /** Waits for bytes. @returns Null when there will be none any more. */
  receive(): Uint8Array | null {
    const { kernel } = this.#context;
    const { address, u8 } = this.#received;
    while (!this.#closed && this.error === undefined) {
      if (!this.#wait(POLLIN, true) && !this.#hasArrived()) return null;
      const got = kernel.libc.recv(this.#fd, address, CHUNK_BYTES, MSG_DONTWAIT);
      if (got > 0) {
        this.#heard = true;
        return u8.subarray(0, got);
      }
      this.ended = got === 0;
      if (this.ended) return null;
      this.#failed("recv", got);
    }
    return null;
  }

  /**
   * Ends it: the peer sees the end of the stream, and has a moment to end its own half. What it went on
   * sending to a closed socket would reset the connection, and it might lose what it was sent.
   */
  finish(): void {
    this.#closed = true;
    const { kernel, orders } = this.#context;
    const { libc } = kernel;
    if (this.error !== undefined || libc.shutdown(this.#fd, SHUT_WR) < 0) return;
    const end = performance.now() + LINGER_MS;
    for (;;) {
      const timeoutMs = end - performance.now();
      const options = { timeoutMs, heed: false };
      if (waitBlocking(kernel, this.#fd, POLLIN, orders, options) !== "ready") return;
      const got = libc.recv(this.#fd, this.#received.address, CHUNK_BYTES, MSG_DONTWAIT);
      if (got <= 0 && got !== -ERRNO.EAGAIN && got !== -ERRNO.EINTR) return;
    }
  }

  #send(address: number, length: number): boolean {
    const { libc } = this.#context.kernel;
    let gone = 0;
    while (gone < length) {
      if (this.error !== undefined) return false;
      const flags = MSG_NOSIGNAL | MSG_DONTWAIT;
      const sent = libc.send(this.#fd, address + gone, length - gone, flags);
      if (sent >= 0) gone += sent;
      else if (sent === -ERRNO.EAGAIN) this.#wait(POLLOUT, false);
      else this.#failed("send", sent);
    }
    return true;
  }

  /** Whether bytes have arrived for a connection that is to stop: they are served. */
  #hasArrived(): boolean {
    if (this.error !== undefined) return false;
    const { kernel, orders } = this.#context;
    const options = { timeoutMs: this.#heard ? 1 : FIRST_BYTES_MS, heed: false };
    return waitBlocking(kernel, this.#fd, POLLIN, orders, options) === "ready";
  }

  /** @returns Whether to go on; false when it is to stop, or has failed. */
  #wait(events: number, heed: boolean): boolean {
    const { kernel, orders, idleTimeoutMs } = this.#context;
    const timeoutMs = idleTimeoutMs ?? Number.POSITIVE_INFINITY;
    const waited = waitBlocking(kernel, this.#fd, events, orders, { timeoutMs, heed });
    if (waited === "ready") return true;
    if (waited === "late") this.#failed("idle", -ERRNO.ETIMEDOUT);
    // The time to stop is up, and the peer has not read what it was to have.
    else if (!heed) this.#failed("stop", -ERRNO.ETIMEDOUT);
    return false;
  }

  #failed(syscall: string, result: number): void {
    if (result === -ERRNO.EAGAIN || result === -ERRNO.EINTR) return;
    const { kernel } = this.#context;
    this.error = new SysError(syscall, result, { fd: this.#fd });
    // As in a reactor: what is cut short is not to look whole, and an idle peer that has everything sees the end.
    if (syscall !== "idle" || readUntaken(kernel, this.#fd) > 0) resetOnClose(kernel, this.#fd);
  }
}

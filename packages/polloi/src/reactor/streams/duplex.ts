import { createRequire } from "node:module";
import type { Duplex, DuplexOptions as NodeDuplexOptions } from "node:stream";
import { booleanOf, type NamesOf, optionsOf } from "../../base/argument.ts";
import { ERRNO } from "../../base/errno.ts";
import { numberError, show, typeError } from "../../base/misuse.ts";
import { SysError } from "../../base/sys-error.ts";
import { hostOf, type SocketAddress } from "../../socket/address.ts";
import {
  IPPROTO_TCP,
  SO_KEEPALIVE,
  SOL_SOCKET,
  TCP_KEEPIDLE,
  TCP_NODELAY,
} from "../../socket/constants.ts";
import { setIntOption } from "../../socket/raw.ts";
import type { Connection } from "../connection.ts";
import { FINISHED, type StreamHandlers } from "../forwarding.ts";
import { checkTimeout } from "../options.ts";
import { Stream } from "../stream.ts";
import type { Timer } from "../timers.ts";

/** Options of {@link toDuplex}. */
export interface DuplexOptions {
  /**
   * Whether the local half stays open when the peer has ended its half. With false, as for `net.Socket`, the stream ends
   * it after `"end"`. Default false.
   */
  readonly allowHalfOpen?: boolean;
  /** The high-water mark of both directions in bytes, from 0 up. Default: that of the runtime's streams. */
  readonly highWaterMark?: number;
}

const DUPLEX_OPTIONS: NamesOf<DuplexOptions> = { allowHalfOpen: true, highWaterMark: true };

/**
 * The members of `net.Socket` that the stream of a connection has.
 *
 * @remarks
 * Its events are those of `net.Socket`: `"connect"` and `"ready"` if the connection was connecting, `"timeout"`, and
 * `"close"` with whether there was an error. `"stopping"` is emitted when the listener of the connection stops
 * ({@link Listener.stop}); without a listener for it, the stream is ended as a connection without the handler is.
 */
export interface SocketMembers {
  /** Whether the connection is connecting. */
  readonly connecting: boolean;
  /** The same as `connecting`. */
  readonly pending: boolean;
  /** `"opening"`, `"open"`, `"readOnly"`, `"writeOnly"` or `"closed"`. */
  readonly readyState: "opening" | "open" | "readOnly" | "writeOnly" | "closed";
  /** The IP address of the peer. `undefined` before the connection is established, after it is closed, on a unix socket. */
  readonly remoteAddress: string | undefined;
  /** The port of the peer. */
  readonly remotePort: number | undefined;
  /** `"IPv4"` or `"IPv6"`. */
  readonly remoteFamily: "IPv4" | "IPv6" | undefined;
  /** The local IP address. */
  readonly localAddress: string | undefined;
  /** The local port. */
  readonly localPort: number | undefined;
  /** `"IPv4"` or `"IPv6"`. */
  readonly localFamily: "IPv4" | "IPv6" | undefined;
  /** The number of bytes that were received. */
  readonly bytesRead: number;
  /** The number of bytes that were written, those that wait in the stream included. */
  readonly bytesWritten: number;
  /** The number of bytes that are buffered for writing: `writableLength`. */
  readonly bufferSize: number;
  /** The timeout that was set by `setTimeout`, in milliseconds; `undefined` if there is none. */
  readonly timeout: number | undefined;
  /** The local address, as `net.Socket` returns it: empty if there is none. */
  address(): { address?: string; family?: string; port?: number };
  /**
   * Emits `"timeout"` when nothing was received or written for a time. The stream stays open.
   *
   * @param timeoutMs - Milliseconds. 0 removes the timeout.
   * @param callback - Added as a listener of the next `"timeout"`, or removed from it if the timeout is 0.
   * @throws TypeError or RangeError `ERR_INVALID_TIMEOUT`
   */
  setTimeout(timeoutMs: number, callback?: () => void): this;
  /** Sets TCP_NODELAY: whether data is sent at once. */
  setNoDelay(noDelay?: boolean): this;
  /**
   * Sets SO_KEEPALIVE: whether the kernel probes an idle peer.
   *
   * @param initialDelayMs - The time before the first probe, in milliseconds, rounded down to seconds. 0 keeps the
   * default of the system.
   */
  setKeepAlive(enable?: boolean, initialDelayMs?: number): this;
  /** As {@link Connection.ref}. */
  ref(): this;
  /** As {@link Connection.unref}. */
  unref(): this;
  /** Ends the stream, and destroys it when everything is sent. */
  destroySoon(): void;
  /** Destroys the stream with a reset. */
  resetAndDestroy(): this;
}

/** A `Duplex` of node:stream for a connection, with the members of `net.Socket`. */
export type ConnectionDuplex = Duplex & SocketMembers;

/**
 * Makes a `Duplex` of node:stream from a connection, for code that expects a `net.Socket`.
 *
 * @remarks
 * The stream takes over the connection: its handlers replace those that the connection has, and the idle timeout is
 * removed. Call this in the `open` or `data` handler, or for a connection that is connecting or was upgraded
 * ({@link HttpRequest.upgrade}). Bytes that a `data` handler has received already can be passed on by `unshift`; with
 * `zeroCopy`, pass a copy.
 *
 * Both directions have back-pressure: the connection is paused while the stream is full, and the callback of a write is
 * called when at most half of the 64 KiB that the connection queues are left. `end` half-closes, and `destroy` closes at
 * once; bytes that were just written are sent first, unless they have to wait for the peer. `"finish"` is emitted when the
 * kernel has taken everything.
 *
 * An error of the connection destroys the stream: `"error"` has a {@link SysError}. Streams use promises and callbacks of
 * the runtime's event loop, so this is not for a reactor that blocks the thread with `run()`.
 *
 * @throws TypeError `ERR_INVALID_OPTION`; TypeError `ERR_CLOSED` if the connection is not open or connecting.
 *
 * @example
 * ```ts
 * import { pipeline } from "node:stream";
 * import { createGzip } from "node:zlib";
 *
 * listen({
 *   port: 7788,
 *   open(connection) {
 *     const socket = toDuplex(connection, { allowHalfOpen: true });
 *     pipeline(socket, createGzip(), socket, () => {});
 *   },
 * });
 * ```
 */
export function toDuplex<Data>(
  connection: Connection<Data>,
  options: DuplexOptions = {},
): ConnectionDuplex {
  const { highWaterMark } = optionsOf(options, "toDuplex()", DUPLEX_OPTIONS);
  const allowHalfOpen = booleanOf(options.allowHalfOpen, "allowHalfOpen", false);
  if (highWaterMark !== undefined && !(Number.isInteger(highWaterMark) && highWaterMark >= 0)) {
    throw numberError(
      "ERR_INVALID_OPTION",
      highWaterMark,
      `Cannot use ${show(highWaterMark)} as highWaterMark: give an integer from 0 up`,
    );
  }
  if (!(connection instanceof Stream)) {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot make a Duplex of ${show(connection)}: give a connection of a reactor`,
    );
  }
  const { state } = connection;
  if (state !== "open" && state !== "connecting") {
    throw typeError("ERR_CLOSED", `Cannot make a Duplex of a connection that is ${state}`);
  }
  duplexOf ??= makeDuplexOf();
  return duplexOf(connection, {
    allowHalfOpen,
    ...(highWaterMark === undefined ? {} : { highWaterMark }),
  });
}

type DuplexOf = (stream: Stream<unknown>, options: NodeDuplexOptions) => ConnectionDuplex;

/** Made by the first call. Importing node:stream takes 10 ms on Bun and 25 ms on Deno. */
let duplexOf: DuplexOf | undefined;

function makeDuplexOf(): DuplexOf {
  const require = createRequire(import.meta.url);
  const { Duplex } = require("node:stream") as typeof import("node:stream");
  const { Buffer } = require("node:buffer") as typeof import("node:buffer");

  class SocketDuplex extends Duplex implements SocketMembers {
    readonly #stream: Stream<unknown>;
    #connecting: boolean;
    #bytesRead = 0;
    #bytesWritten = 0;
    #remote: SocketAddress | null = null;
    #local: SocketAddress | null = null;
    /** The callback of a write that waits until the connection has drained. */
    #writing: ((error?: Error | null) => void) | undefined;
    /** The callback of the end, which waits until everything is sent. */
    #finishing: ((error?: Error | null) => void) | undefined;
    #isFinished = false;
    #peerEnded = false;
    #timeoutMs: number | undefined;
    #timer: Timer | undefined;
    /** What was queued when the timer was set: a peer that takes some of it is not idle. */
    #pendingBefore = 0;
    /** Sets options of the socket that were given while it was connecting. */
    #onceConnected: (() => void)[] = [];

    constructor(stream: Stream<unknown>, options: NodeDuplexOptions) {
      // As for net.Socket: "close" follows when the connection is closed, and has an argument.
      super({ ...options, decodeStrings: false, emitClose: false });
      this.#stream = stream;
      this.#connecting = stream.state === "connecting";
      stream.handOver(this.#handlers());
      // As for net.Socket: the end of the stream and errors are noticed although nothing reads.
      if (!this.#connecting) this.read(0);
    }

    #handlers(): StreamHandlers<unknown> {
      const socket = this;
      return {
        open: () => this.#opened(),
        data: (_, bytes) => this.#received(bytes),
        drain: () => this.#drained(),
        end: () => this.#ended(),
        // No `error`: an exception of a listener is uncaught, as in net.Socket.
        close: (_, error) => this.#closed(error),
        get stopping() {
          return socket.listenerCount("stopping") === 0 ? undefined : () => socket.#stopping();
        },
        [FINISHED]: () => this.#finished(),
      } as StreamHandlers<unknown>;
    }

    get connecting(): boolean {
      return this.#connecting;
    }

    get pending(): boolean {
      return this.#connecting;
    }

    get readyState(): SocketMembers["readyState"] {
      if (this.#connecting) return "opening";
      if (this.readable && this.writable) return "open";
      if (this.readable) return "readOnly";
      return this.writable ? "writeOnly" : "closed";
    }

    get remoteAddress(): string | undefined {
      return addressOf(this.#remoteSide());
    }

    get remotePort(): number | undefined {
      return this.#remoteSide()?.port;
    }

    get remoteFamily(): "IPv4" | "IPv6" | undefined {
      return ipFamilyOf(this.#remoteSide());
    }

    get localAddress(): string | undefined {
      return addressOf(this.#localSide());
    }

    get localPort(): number | undefined {
      return this.#localSide()?.port;
    }

    get localFamily(): "IPv4" | "IPv6" | undefined {
      return ipFamilyOf(this.#localSide());
    }

    get bytesRead(): number {
      return this.#bytesRead;
    }

    get bytesWritten(): number {
      return this.#bytesWritten + this.writableLength;
    }

    get bufferSize(): number {
      return this.writableLength;
    }

    get timeout(): number | undefined {
      return this.#timeoutMs;
    }

    address(): { address?: string; family?: string; port?: number } {
      const { localAddress, localFamily, localPort } = this;
      if (localAddress === undefined || localFamily === undefined || localPort === undefined) {
        return {};
      }
      return { address: localAddress, family: localFamily, port: localPort };
    }

    setTimeout(timeoutMs: number, callback?: () => void): this {
      checkTimeout("the timeout", timeoutMs);
      this.#timer?.cancel();
      this.#timer = undefined;
      this.#timeoutMs = timeoutMs > 0 ? timeoutMs : undefined;
      if (timeoutMs > 0 && !this.destroyed) {
        this.#timer = this.#stream.loop.timers.limit(timeoutMs, () => this.#idled());
      }
      if (callback !== undefined) {
        if (timeoutMs > 0) this.once("timeout", callback);
        else this.removeListener("timeout", callback);
      }
      return this;
    }

    setNoDelay(noDelay = true): this {
      return this.#setOptions([IPPROTO_TCP, TCP_NODELAY, noDelay ? 1 : 0]);
    }

    setKeepAlive(enable = false, initialDelayMs = 0): this {
      const seconds = Math.floor(initialDelayMs / 1000);
      this.#setOptions([SOL_SOCKET, SO_KEEPALIVE, enable ? 1 : 0]);
      if (enable && seconds > 0) this.#setOptions([IPPROTO_TCP, TCP_KEEPIDLE, seconds]);
      return this;
    }

    ref(): this {
      this.#stream.ref();
      return this;
    }

    unref(): this {
      this.#stream.unref();
      return this;
    }

    destroySoon(): void {
      if (this.writable) this.end();
      if (this.writableFinished) this.destroy();
      else this.once("finish", () => this.destroy());
    }

    resetAndDestroy(): this {
      this.#stream.reset();
      return this.destroy();
    }

    override _read(): void {
      this.#stream.resume();
    }

    override _write(
      chunk: Uint8Array | string,
      encoding: BufferEncoding,
      callback: (error?: Error | null) => void,
    ): void {
      const bytes =
        typeof chunk === "string" && !/^utf-?8$/i.test(encoding)
          ? Buffer.from(chunk, encoding)
          : chunk;
      const length = typeof bytes === "string" ? Buffer.byteLength(bytes) : bytes.length;
      this.#active();
      const isAccepted = this.#stream.write(bytes);
      const { state } = this.#stream;
      if (!isAccepted && state !== "open" && state !== "connecting") {
        callback(new SysError("write", ERRNO.EPIPE));
        return;
      }
      const taken = (error?: Error | null): void => {
        // Until here it counts as `writableLength`.
        if (error === undefined) this.#bytesWritten += length;
        callback(error);
      };
      if (isAccepted) taken();
      else this.#writing = taken;
    }

    override _final(callback: (error?: Error | null) => void): void {
      this.#finishing = callback;
      this.#stream.end();
      // A listener that stops has ended it already.
      if (this.#isFinished) this.#finished();
    }

    override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
      this.#timer?.cancel();
      this.#connecting = false;
      const stream = this.#stream;
      const isSendable = error === null && this.#writing === undefined && stream.pendingBytes > 0;
      if (isSendable && stream.state !== "connecting") stream.close();
      else stream.destroy();
      callback(error);
      process.nextTick(() => this.emit("close", error !== null));
    }

    #opened(): void {
      this.#connecting = false;
      this.#active();
      for (const each of this.#onceConnected.splice(0)) each();
      this.emit("connect");
      this.emit("ready");
      if (!this.destroyed) this.read(0);
    }

    #received(bytes: Uint8Array): void {
      this.#bytesRead += bytes.length;
      this.#active();
      const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      if (!this.push(chunk)) this.#stream.pause();
    }

    #drained(): void {
      this.#active();
      const callback = this.#writing;
      this.#writing = undefined;
      callback?.();
    }

    #ended(): void {
      this.#peerEnded = true;
      this.push(null);
      // "end" is emitted although nothing reads, if nothing is left to read.
      this.read(0);
    }

    #finished(): void {
      this.#isFinished = true;
      const callback = this.#finishing;
      this.#finishing = undefined;
      callback?.();
    }

    #closed(error: Error | undefined): void {
      const writing = this.#writing;
      this.#writing = undefined;
      if (error !== undefined) {
        this.destroy(error);
        writing?.(error);
        return;
      }
      this.#finished();
      // What was received is still to be read if both halves have ended.
      if (!this.#peerEnded || !this.writableEnded) this.destroy();
      writing?.(new SysError("write", ERRNO.ECANCELED));
    }

    #stopping(): void {
      this.emit("stopping");
    }

    /** Bytes were received or written. */
    #active(): void {
      if (this.#timer === undefined) return;
      this.#pendingBefore = this.#stream.pendingBytes;
      this.#timer.refresh();
    }

    #idled(): void {
      const { pendingBytes } = this.#stream;
      if (pendingBytes !== this.#pendingBefore) this.#active();
      else this.emit("timeout");
    }

    #setOptions(option: readonly [level: number, name: number, value: number]): this {
      const set = (): void => {
        const { loop, localAddress } = this.#stream;
        const fd = this.#stream.fileno();
        if (fd < 0 || (option[0] === IPPROTO_TCP && localAddress?.path !== undefined)) return;
        setIntOption(loop.kernel, fd, ...option);
      };
      if (this.#connecting) this.#onceConnected.push(set);
      else set();
      return this;
    }

    #remoteSide(): SocketAddress | null {
      this.#remote ??= this.#stream.remoteAddress;
      return this.#remote;
    }

    #localSide(): SocketAddress | null {
      this.#local ??= this.#stream.localAddress;
      return this.#local;
    }
  }

  return (stream, options) => new SocketDuplex(stream, options);
}

function addressOf(address: SocketAddress | null): string | undefined {
  return address === null || address.path !== undefined ? undefined : hostOf(address);
}

function ipFamilyOf(address: SocketAddress | null): "IPv4" | "IPv6" | undefined {
  const host = addressOf(address);
  return host === undefined ? undefined : host.includes(":") ? "IPv6" : "IPv4";
}

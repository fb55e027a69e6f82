import type { NamesOf } from "../base/argument.ts";
import type { ProxyHeader } from "../proxy/header.ts";
import type { SocketAddress } from "../socket/address.ts";
import type { TcpInfo } from "../socket/tcp-info.ts";
import type { TlsInfo } from "../tls/session.ts";

/**
 * The state of a connection: `"connecting"`; `"open"`; `"ending"` after `end`, until the peer ends its half too;
 * `"closing"` after `close`, until everything is sent; `"closed"`.
 */
export type ConnectionState = "connecting" | "open" | "ending" | "closing" | "closed";

/** A range of a file to send: see {@link Connection.sendFile}. */
export interface OutgoingFile {
  /**
   * A descriptor of a regular file that is open for reading. It stays the caller's, and must stay open until `done`
   * is called. Its file offset is neither used nor changed, so one descriptor can serve any number of connections.
   */
  readonly fd: number;
  /** The offset of the first byte in the file, from 0 up. */
  readonly offset: number;
  /** The number of bytes to send, from 0 up. The file must have them when they are sent. */
  readonly length: number;
  /**
   * Called once, when the descriptor is no longer needed. Never called from within `sendFile`.
   *
   * @param error - The reason if not everything was sent; the connection is closed then. Without it, the kernel has
   * taken all bytes, which does not mean that the peer has received them.
   */
  done?(error?: Error): void;
}

export const OUTGOING_FILE: NamesOf<OutgoingFile> = {
  fd: true,
  offset: true,
  length: true,
  done: true,
};

/**
 * A connection of a reactor: a stream of bytes in each direction, over TCP or a unix socket.
 *
 * @remarks
 * `listen`, `connect` and `adopt` make connections. Their events are passed to {@link Handlers}.
 */
export interface Connection<Data = unknown> extends Disposable {
  /** A value of the program for this connection. `undefined` until the program sets it. */
  data: Data;
  /** The state of the connection. */
  readonly state: ConnectionState;
  /**
   * The number of written bytes that the kernel has not taken, those of files included. Bytes of files occupy no
   * memory and do not count towards `maxPendingBytes`.
   */
  readonly pendingBytes: number;
  /**
   * The number of bytes that the peer has not acknowledged: `pendingBytes`, and the bytes in the kernel's send queue
   * (SIOCOUTQ). Each access is a system call.
   *
   * @remarks
   * A peer makes progress as long as this falls, or rises by less than was written. `pendingBytes` alone does not
   * change while the kernel sends MiBs that it has taken. On a unix socket these are the bytes that the peer has not
   * read, plus the kernel's overhead. On io_uring, a block of 16 KiB that the kernel has taken in part may count
   * twice. With TLS these are the bytes of records, which are more than the program has written.
   *
   * @source tcp(7), unix(7)
   */
  readonly unacknowledgedBytes: number;
  /**
   * The number of received bytes that `data` was not called with yet; 0 when the connection is closed. Each access
   * is a system call. On a connection with TLS these bytes are mostly encrypted, and a little more.
   *
   * @source FIONREAD in tcp(7)
   */
  readonly unreadBytes: number;
  /**
   * The state of the peer, also while receiving is paused: `"ended"` when it has ended its half,
   * `"gone"` when it has reset the connection or is not connected. Each access is a system call.
   */
  readonly peerState: "open" | "ended" | "gone";
  /** Whether `pause` was called, and `resume` was not called since. */
  readonly paused: boolean;
  /**
   * The peer's address; `null` before the connection is established and after it is closed. Behind a proxy that sends a
   * PROXY header (`proxyProtocol` of `listen`): the client's.
   */
  readonly remoteAddress: SocketAddress | null;
  /**
   * The local address; `null` before the connection is established and after it is closed. Behind a proxy that sends a
   * PROXY header: the address that the client has connected to.
   */
  readonly localAddress: SocketAddress | null;
  /** The PROXY header that the connection began with; `null` if it began without one. */
  readonly proxyHeader: ProxyHeader | null;
  /** Facts about the TLS session; `null` without TLS, before `open` is called, and when the connection is closed. */
  readonly tls: TlsInfo | null;
  /** The kernel's TCP state of the connection; `null` on a unix socket, or when the connection is closed. */
  readonly tcpInfo: TcpInfo | null;

  /** The descriptor, or -1 if there is none. It belongs to the reactor: use it to read and set options only. */
  fileno(): number;
  /**
   * Writes bytes, or a string as UTF-8.
   *
   * @remarks
   * Data is never lost or reordered: what the kernel does not take is queued. It is sent when the current handler
   * and a few others have returned, in the same turn, together with everything else that was written to this
   * connection. Outside of handlers it is sent when the promises of the current task have run.
   *
   * On a connection that is ending, closing or closed, the data is dropped and the result is false. That is not an
   * error, because the peer may have ended the connection a moment ago; so a broadcast needs no check. `state`
   * distinguishes this from a full connection, for which `drain` follows.
   *
   * @param bytes - Up to 256 KiB (262,144 bytes) are copied, and may be changed at once. A larger array is not
   * copied, so that it can be sent to any number of connections: it must not change until `drain` or `close` of the
   * handlers is called.
   * @returns Whether to continue writing. false means that more than `highWaterBytes` are queued, or a file or an array
   * that was not copied, and that `drain` follows; or that the connection is not open.
   * @throws TypeError `ERR_INVALID_DATA`
   */
  write(bytes: Uint8Array | string): boolean;
  /**
   * Sends a range of a file from the page cache.
   *
   * @remarks
   * The file is sent in order with everything that is written before and after it. Data that was written just
   * before, such as the head of a response, shares its first packet. A queued file occupies a descriptor but no
   * memory, so the result is false until all files are sent, whatever their size; `drain` follows. A long file is
   * sent in parts, so that other connections are served in between.
   *
   * If a file cannot be sent, the connection is reset, because the data after it would be taken for the file's. The
   * error has the `syscall` `"sendfile"` and the code `ENODATA` if the file ended before `length` bytes; `EINVAL`,
   * `ESPIPE` or `EISDIR` if it is not a regular file; `EBADF`; or `EIO`. It is passed to `done` and to the handlers. If
   * the connection closes for another reason, `done` is called with that error, or with `ECANCELED` if there is none.
   *
   * Data that is not in the page cache is read from the disk while the thread waits.
   *
   * @returns false: the file is queued, and `drain` follows. On a connection that is ending, closing or closed,
   * nothing is sent, and `done` is called with `ECANCELED`.
   * @throws TypeError or RangeError `ERR_INVALID_FD`, `ERR_INVALID_LENGTH`, `ERR_INVALID_OPTION`. Then `done` is not
   * called.
   * @example
   * ```ts
   * import { closeSync, fstatSync, openSync } from "node:fs";
   *
   * listen({
   *   port: 7788,
   *   data(connection) {
   *     const fd = openSync("page.html", "r");
   *     const length = fstatSync(fd).size;
   *     connection.write(`Length: ${length}\n\n`);
   *     connection.sendFile({ fd, offset: 0, length, done: () => closeSync(fd) });
   *   },
   * });
   * ```
   * @source sendfile(2)
   */
  sendFile(file: OutgoingFile): boolean;
  /**
   * Ends the local half of the connection after everything that was written: the peer sees the end of the stream.
   *
   * @remarks
   * The connection continues receiving until the peer ends its half too, and then closes. A peer that acknowledges
   * nothing of what it is sent for 30 seconds, or for the idle timeout if there is one, fails the connection with
   * `ETIMEDOUT`, even if it sends data. A peer that has received everything may end its half at any time. Calling it
   * twice is safe.
   *
   * @param bytes - A last part to write.
   * @throws TypeError `ERR_INVALID_DATA`
   * @source shutdown(2), SHUT_WR
   */
  end(bytes?: Uint8Array | string): void;
  /**
   * Closes the connection when everything that was written is sent. Nothing more is received.
   *
   * @remarks
   * The peer sees the end of the stream, and has one second to end its half. During this *lingering close*, data that
   * the peer still sends is received and discarded, because the kernel would answer it with a reset, and the peer
   * might lose data that it has not read. A peer that acknowledges nothing for 30 seconds, or for the idle timeout if
   * there is one, fails the connection with `ETIMEDOUT`. Calling it twice is safe.
   */
  close(): void;
  /**
   * Closes the connection at once, and drops data that is not sent.
   *
   * @remarks
   * If data is dropped, the peer sees a reset, so that it does not take what it has received for everything;
   * otherwise it sees the end of the stream. A unix socket has no reset, and the peer always sees the end.
   *
   * @param error - Passed to the handlers `error` and `close`.
   * @throws TypeError `ERR_INVALID_OPTION`
   */
  destroy(error?: Error): void;
  /**
   * Closes the connection at once with a reset, which leaves no TIME_WAIT. Data that is not sent is dropped.
   *
   * @source socket(7), SO_LINGER of 0 seconds
   */
  reset(): void;
  /** Stops receiving. The kernel's buffers fill up, which slows the peer down. */
  pause(): void;
  /** Continues receiving. */
  resume(): void;
  /** Keeps the process alive again after {@link Connection.unref}. Calling it twice has no effect. */
  ref(): void;
  /**
   * Allows the process to end although the connection is open. By default an open connection keeps it alive.
   *
   * @remarks
   * `run()` of the reactor returns when nothing else is left. A connection that is connecting keeps the process alive
   * until it is established or has failed. Calling it twice has no effect.
   */
  unref(): void;
  /**
   * Resolves with the connection when it is established; at once if it is open already.
   *
   * @remarks
   * A connect that fails rejects it, and is reported by that: it does not fail the process, as it otherwise does without an
   * `error` or `close` handler. If there is no `data` handler, nothing is received before the callbacks of the promise have
   * run, so that they can begin to read. It rejects with TypeError `ERR_CLOSED` if the connection was closed before.
   *
   * @example
   * ```ts
   * const connection = await connect({ port: 7788 }).opened;
   * connection.end("hello");
   * for await (const bytes of connection) console.log(bytes.length);
   * ```
   */
  readonly opened: Promise<Connection<Data>>;
  /**
   * What the peer sends, as a stream of bytes of the Streams standard. It has back-pressure: the connection is paused while
   * 64 KiB wait for a reader.
   *
   * @remarks
   * Made by the first access, which replaces the handlers `data` and `end`; the others are called as before. The local half
   * stays open after the end of the peer, until `end` or `close` is called. `cancel` discards what the peer still sends. An
   * error of the connection is one of the stream.
   */
  readonly readable: ReadableStream<Uint8Array>;
  /**
   * The local half, as a stream of the Streams standard. Its chunks are bytes or strings.
   *
   * @remarks
   * Made by the first access, which replaces the handler `drain`. A write is pending while more than `highWaterBytes` are
   * queued. `close` ends the local half, as `end` does, and resolves when the kernel has taken everything. `abort` destroys
   * the connection.
   */
  readonly writable: WritableStream<Uint8Array | string>;
  /**
   * Iterates over what the peer sends, as it arrives, until the peer ends its half.
   *
   * @remarks
   * Replaces the handlers `data` and `end`, as {@link Connection.readable} does, and has the same back-pressure. The loop
   * throws the error of the connection. Leaving the loop early does not close the connection; another loop continues where
   * the first one stopped. The local half stays open after the loop.
   *
   * @example
   * ```ts
   * listen({
   *   port: 7788,
   *   async open(connection) {
   *     for await (const bytes of connection) connection.write(bytes);
   *     connection.end();
   *   },
   * });
   * ```
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array>;
  /**
   * Replaces the handlers and options of the connection, when one protocol ends and another begins. `open` is not
   * called.
   *
   * @returns The same connection. Its `data` is `undefined` again.
   * @throws TypeError or RangeError for an invalid option
   */
  handOver<Next>(options: Handlers<Next> & ConnectionOptions): Connection<Next>;
  /**
   * Sets the idle timeout, which starts from now. See `idleTimeoutMs` of {@link ConnectionOptions}.
   *
   * @param timeoutMs - Milliseconds. 0 removes the timeout.
   * @throws TypeError or RangeError `ERR_INVALID_TIMEOUT`
   */
  setIdleTimeout(timeoutMs: number): void;
}

/**
 * Handlers for the events of connections. One object serves all connections of a listener, so a connection costs no
 * closures.
 *
 * @remarks
 * Every handler is optional, and receives the connection as its first argument. Data that handlers write, to any
 * connection, is sent in the same turn, with one send per connection.
 *
 * If a handler throws, its connection and all others continue, and `error` is called. Without an `error` handler the
 * process fails, as for any uncaught exception.
 *
 * The object may be an instance of a class. Its own properties must have the names of handlers and options: another name
 * is taken for a misspelling and refused. Keep state in private fields (`#count`) or in `connection.data`.
 */
export interface Handlers<Data = unknown> {
  /** The connection was accepted or established. */
  open?(connection: Connection<Data>): void;
  /**
   * Bytes were received.
   *
   * @param bytes - The handler's to keep. A small message may share its `ArrayBuffer` with others, as Node's buffers
   * do: respect `byteOffset`, and use `slice()` for what is kept for long. With `zeroCopy` the bytes are lent, and
   * change after the handler returns.
   */
  data?(connection: Connection<Data>, bytes: Uint8Array): void;
  /**
   * The connection can be written to again, after `write` or `sendFile` returned false: all files and large arrays
   * are sent, and at most half of `highWaterBytes` is queued.
   */
  drain?(connection: Connection<Data>): void;
  /**
   * The peer has ended its half: it sends nothing more, and may still receive. Without this handler the connection
   * ends its own half after everything is sent. With it, the handler must call `end` or `close`.
   */
  end?(connection: Connection<Data>): void;
  /**
   * The listener of the connection stops ({@link Listener.stop}). The protocol completes what it has begun, replies
   * to what has arrived (`unreadBytes` says whether there is more), and ends the connection. Connections that are left
   * after the grace period are destroyed.
   *
   * @remarks
   * Called at once for open connections, and after `open` for connections that are accepted later, from the backlog.
   *
   * Without this handler, bytes that have arrived are passed to `data`, and so are bytes that follow within 100 ms, for
   * at most one second. Then the connection is ended, as by `end`. A connection on which nothing was received yet has
   * half a second to send its first bytes. When the peer has acknowledged everything and sends nothing for a second,
   * the connection is closed.
   */
  stopping?(connection: Connection<Data>): void;
  /**
   * The connection is closed. This is its last event.
   *
   * @param error - The reason, if the connection failed: `ECONNRESET`, `ETIMEDOUT`, `ENOBUFS` and others of
   * docs/errors.md.
   */
  close?(connection: Connection<Data>, error?: Error): void;
  /** The connection failed, and `close` follows; or a handler threw, and the connection continues. */
  error?(connection: Connection<Data>, error: Error): void;
  /**
   * The connection was idle for the idle timeout. Without this handler it fails with `ETIMEDOUT`.
   */
  timeout?(connection: Connection<Data>): void;
}

export const HANDLERS: NamesOf<Handlers> = {
  open: true,
  data: true,
  drain: true,
  end: true,
  stopping: true,
  close: true,
  error: true,
  timeout: true,
};

/** Options of a connection, whether it is accepted, made or adopted. */
export interface ConnectionOptions {
  /**
   * Passes received bytes to `data` in the receive buffer, without a copy. They are valid until the handler returns;
   * the same array may be passed again for later bytes. If they are written from there, they are not copied either.
   * Default false.
   */
  readonly zeroCopy?: boolean;
  /** Sends data at once instead of waiting for a full packet: TCP_NODELAY. Default true. */
  readonly noDelay?: boolean;
  /**
   * Milliseconds in which nothing is received and the peer acknowledges nothing, after which the connection is idle.
   *
   * @remarks
   * Bytes that arrived before the timeout count, even if the thread was busy and reads them later. A peer that reads
   * slowly what the kernel holds for it is not idle. If data was sent, the timeout fires up to a quarter later.
   * Default: no timeout.
   */
  readonly idleTimeoutMs?: number;
  /** `write` returns false while more bytes than this are queued, or a file or a large array. Default 65,536 (64 KiB). */
  readonly highWaterBytes?: number;
  /**
   * The most bytes that may be queued in memory. A write to a connection with more than this fails the connection
   * with `ENOBUFS`: its peer does not read. Files do not count. Default 16,777,216 (16 MiB).
   */
  readonly maxPendingBytes?: number;
}

/** The names of handlers, and of what can be set beside them. */
export const CONNECTION_OPTIONS: NamesOf<Handlers & ConnectionOptions> = {
  ...HANDLERS,
  zeroCopy: true,
  noDelay: true,
  idleTimeoutMs: true,
  highWaterBytes: true,
  maxPendingBytes: true,
};

import type { NamesOf } from "../base/argument.ts";
import type { SocketAddress } from "../socket/address.ts";
import type { TcpInfo } from "../socket/tcp-info.ts";

/** Where a connection is in its life. */
export type ConnectionState = "connecting" | "open" | "ending" | "closing" | "closed";

/** A stretch of a file that is to be sent: see {@link Connection.sendFile}. */
export interface OutgoingFile {
  /**
   * A descriptor of a regular file, open for reading. It stays yours, and has to stay open until `done`.
   * Its own position is neither used nor moved, so one descriptor does for any number of connections.
   */
  readonly fd: number;
  /** Where in the file to begin, in bytes from 0 up. */
  readonly offset: number;
  /** How many bytes to send, from 0 up. The file has to have them when it is their turn. */
  readonly length: number;
  /**
   * Called once, and never from within `sendFile`: the descriptor is not needed any more.
   *
   * @param error - Why not all of it went; then the connection is closed. Without it the kernel has taken
   * all of it, which does not say that the peer has it.
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
 * One connection of a reactor: a stream of bytes each way, over TCP or a unix socket.
 *
 * @remarks
 * Made by `listen`, `connect` or `adopt`. Everything that happens to it goes to its {@link Handlers}.
 */
export interface Connection<Data = unknown> extends Disposable {
  /** Yours: whatever the program keeps for this connection. `undefined` until you set it. */
  data: Data;
  readonly state: ConnectionState;
  /**
   * How many written bytes have not been taken by the kernel, those of files among them. Those of files
   * take no memory, and do not count towards `maxPendingBytes`.
   */
  readonly pendingBytes: number;
  /**
   * How many bytes the peer has not acknowledged: `pendingBytes`, and what the kernel has taken and the peer's
   * kernel has not (SIOCOUTQ). Each look at it is a system call.
   *
   * @remarks
   * A peer makes progress as long as this falls, or as long as it rises by less than was written. `pendingBytes`
   * alone stands still while the kernel sends MiBs that it has taken. On a unix socket these are the bytes that
   * the peer has not read, with the kernel's own overhead. On io_uring a block of 16 KiB that the kernel has taken
   * in part may count twice.
   *
   * @source tcp(7), unix(7)
   */
  readonly unacknowledgedBytes: number;
  /**
   * How many bytes have arrived that `data` was not called with yet; 0 when it is closed. Each look at it is a
   * system call.
   *
   * @source FIONREAD in tcp(7)
   */
  readonly unreadBytes: number;
  /**
   * What the peer has done, also when `pause` keeps that from being received: `"ended"` when it has ended its
   * half, `"gone"` when it has reset the connection or is not connected. A system call.
   */
  readonly peerState: "open" | "ended" | "gone";
  /** Whether `pause` was called, and not `resume` since. */
  readonly paused: boolean;
  /** The peer's address; `null` when it is not connected, or no longer. */
  readonly remoteAddress: SocketAddress | null;
  /** The own address; `null` when it is not connected, or no longer. */
  readonly localAddress: SocketAddress | null;

  /** The connection as the kernel's TCP sees it; `null` on a unix socket, or when it is closed. */
  readonly tcpInfo: TcpInfo | null;

  /** The descriptor, or -1 when there is none. It is the reactor's: look at it, set options, no more. */
  fileno(): number;
  /**
   * Writes bytes, or a string as UTF-8.
   *
   * @remarks
   * Nothing is lost and nothing overtakes: what the kernel does not take waits here. Up to 256 KiB
   * (262,144 bytes) are copied, and are yours again at once. A larger array is not copied, so that a thousand
   * connections can be sent the same one: it must stay as it is until `drain` or `close` of the handlers is called,
   * and the result is false even if nothing else waits. Sent soon after the current handler returns, in the same turn, together
   * with all else that was written here; outside of handlers, when the current task's promises have run.
   *
   * A connection that is ending, closing or closed sends nothing more: the bytes are dropped, and the result is
   * false. That is no error of the caller, since the peer's end may have ended the connection a moment ago, so a
   * broadcast needs no check. `state` tells it from a full connection, for which `drain` follows.
   *
   * @returns Whether to go on: false says that more than `highWaterBytes` wait, or a file or a large array does, and
   * `drain` follows; or that the connection is not open.
   * @throws TypeError `ERR_INVALID_DATA`
   */
  write(bytes: Uint8Array | string): boolean;
  /**
   * Sends a stretch of a file, straight from the page cache.
   *
   * @remarks
   * In order with everything that is written before and after. What was written just before it, such as
   * the head of a response, shares its first packet. Files that wait cost no memory, but a descriptor
   * each; so the answer is false until all of them have gone, whatever their size, and `drain` tells. A
   * long file is sent piece by piece, so that other connections have their turns in between.
   *
   * A file that cannot be sent closes the connection, since whatever follows would stand in its place.
   * The error, for `done` and for the handlers, says so in its `syscall`, `"sendfile"`: `ENODATA` when
   * the file ended before `length` bytes of it were sent, `EINVAL`, `ESPIPE` or `EISDIR` when it is no
   * regular file, `EBADF`, `EIO`. When the connection closes for another reason, `done` has the error of
   * that, or `ECANCELED` when there is none.
   *
   * The kernel reads what is not in its cache while the thread waits for the disk.
   *
   * @returns False, as `write` does: the file waits, and `drain` follows. On a connection that is ending, closing
   * or closed nothing is sent, and `done` has `ECANCELED`.
   * @throws TypeError or RangeError `ERR_INVALID_FD`, `ERR_INVALID_LENGTH`, `ERR_INVALID_OPTION`. Then `done` is
   * not called.
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
   * Says that nothing more will be written: what waits is sent, then the peer sees the end of the
   * stream. Receiving goes on until the peer ends too; then the connection closes. A peer that takes nothing of
   * what it has been sent for 30 seconds, or for the idle timeout where there is one, is given up with
   * `ETIMEDOUT`, whatever it sends. A peer that has taken everything may end its own half when it likes. Safe to
   * call twice.
   */
  end(bytes?: Uint8Array | string): void;
  /**
   * Closes as soon as everything that was written is sent. Nothing more is received. The peer sees the
   * end at once, and has a second to end its own half: what it went on sending to a closed socket would
   * reset the connection, and it might lose what it was sent. A peer that acknowledges nothing for 30
   * seconds, or for the idle timeout where there is one, is given up with `ETIMEDOUT`. Safe to call
   * twice.
   */
  close(): void;
  /**
   * Closes at once; what waits to be sent is dropped. If anything was, the peer sees a reset, so that what it has
   * received does not look whole; else an end. On a unix socket, which has no reset, it sees an end.
   *
   * @param error - Goes to `error` and `close`.
   */
  destroy(error?: Error): void;
  /** Closes at once with a reset instead of an end (SO_LINGER of 0); no TIME_WAIT is left behind. */
  reset(): void;
  /** Stops receiving: the kernel's buffers fill, and the peer is slowed down. */
  pause(): void;
  /** Goes on receiving. */
  resume(): void;
  /**
   * Has everything that happens from now on go to other handlers, with other options than those it was made
   * with: one protocol ends, and another begins. `open` is not called.
   *
   * @returns the same connection, whose `data` is `undefined` again.
   */
  handOver<Next>(options: Handlers<Next> & ConnectionOptions): Connection<Next>;
  /** Sets or, with 0, ends the idle timeout; it starts from now. */
  setIdleTimeout(timeoutMs: number): void;
}

/**
 * What a program does when something happens to its connections: one object for all of them, so that a
 * connection costs no closures.
 *
 * @remarks
 * Every handler is optional, and gets the connection first. Whatever handlers write, to this connection
 * or another, leaves in the same turn, once they and a few others have returned: as one send a connection.
 *
 * A handler that throws ends neither its connection nor the others: what it threw goes to `error`.
 * Without `error` the process fails, as Node's does for an exception that nobody catches.
 *
 * The object may be an instance of a class. A property of its own by another name than those of handlers and options
 * is taken for a misspelling, and refused: state goes into private fields (`#count`) or `connection.data`.
 */
export interface Handlers<Data = unknown> {
  /** The connection is there: accepted, or connected. */
  open?(connection: Connection<Data>): void;
  /**
   * Bytes came.
   *
   * @param bytes - Yours to keep. A small message may share its `ArrayBuffer` with others, as Node's
   * buffers do: mind `byteOffset`, and `slice()` what you keep for long. With `zeroCopy` they are lent
   * instead: they change when this returns.
   */
  data?(connection: Connection<Data>, bytes: Uint8Array): void;
  /**
   * After `write` or `sendFile` returned false: no file and no large array waits, and what waited in memory has gone
   * down to half of the high-water mark.
   */
  drain?(connection: Connection<Data>): void;
  /**
   * The peer sends no more, and may still read. Without this handler the connection ends its own half
   * as soon as everything is sent; with it, that is yours to do, by `end` or `close`.
   */
  end?(connection: Connection<Data>): void;
  /**
   * The listener of the connection stops ({@link Listener.stop}): the protocol finishes what it has begun, answers
   * what has arrived (`unreadBytes` says whether more is there), and ends the connection. What is left after the
   * grace period is destroyed. Called at once for open connections, and after `open` for those that are accepted
   * later, from the backlog.
   *
   * Without this handler, bytes that have arrived are delivered to `data`, and so is what follows them without a pause
   * of 100 ms, for at most a second. Then the connection ends, as by `end`. A connection on which nothing was ever received gets half a second to send its first bytes.
   * Once the peer has taken everything and is silent for a second, the connection is closed.
   */
  stopping?(connection: Connection<Data>): void;
  /**
   * The connection is closed; the last that is heard of it.
   *
   * @param error - Why, when it did not end well: `ECONNRESET`, `ETIMEDOUT`, `ENOBUFS` (see
   * docs/errors.md).
   */
  close?(connection: Connection<Data>, error?: Error): void;
  /** The connection failed, and `close` follows; or a handler threw, and the connection goes on. */
  error?(connection: Connection<Data>, error: Error): void;
  /**
   * Nothing came, and the peer acknowledged nothing, for the idle timeout. Without this handler the connection is
   * closed.
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

/** What can be set for each connection, whether it is accepted or made. */
export interface ConnectionOptions {
  /**
   * Lends `data` the bytes in the kernel's own buffer instead of a copy. They
   * are good until the handler returns, and written back from there they are not copied at all.
   */
  readonly zeroCopy?: boolean;
  /** Sends at once instead of waiting to fill a packet: TCP_NODELAY. Default true. */
  readonly noDelay?: boolean;
  /**
   * Ends a connection on which nothing came, and the peer acknowledged nothing, for so long, in milliseconds. Bytes
   * that arrived in time count, even if the thread was busy and reads them after the timeout. A peer that reads
   * slowly what the kernel holds for it is not idle. Noticed up to a quarter later where something was sent.
   * Default: never.
   */
  readonly idleTimeoutMs?: number;
  /** `write` returns false while more than this waits to be sent, or a file or a large array does. Default 64 KiB. */
  readonly highWaterBytes?: number;
  /**
   * A write to a connection of which more than this still waits in memory closes it with `ENOBUFS`: its
   * peer does not read. Files are not in memory. Default 16 MiB.
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

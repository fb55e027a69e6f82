import type { SocketAddress } from "../socket/address.ts";

/** Where a connection is in its life. */
export type ConnectionState = "connecting" | "open" | "ending" | "closing" | "closed";

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
  /** How many written bytes have not been taken by the kernel. */
  readonly pendingBytes: number;
  /** Whether `pause` was called, and not `resume` since. */
  readonly paused: boolean;
  /** The peer's address; `null` when it is not connected, or no longer. */
  readonly remoteAddress: SocketAddress | null;
  /** The own address; `null` when it is not connected, or no longer. */
  readonly localAddress: SocketAddress | null;

  /** The descriptor, or -1 when there is none. It is the reactor's: look at it, set options, no more. */
  fileno(): number;
  /**
   * Writes bytes, or a string as UTF-8.
   *
   * @remarks
   * Nothing is lost and nothing overtakes: what the kernel does not take waits here, as a copy, so the
   * bytes are yours again at once. Sent soon after the current handler returns, in the same turn, together
   * with all else that was written here; outside of handlers, when the current task's promises have run. Written to a closed
   * connection, they are dropped, and the answer is false.
   *
   * @returns Whether to go on: false says that more than `highWaterBytes` wait and `drain` will tell.
   * @throws TypeError `ERR_CLOSED` after `end` or `close`: what comes after the end cannot be sent;
   * `ERR_INVALID_DATA`.
   */
  write(bytes: Uint8Array | string): boolean;
  /**
   * Says that nothing more will be written: what waits is sent, then the peer sees the end of the
   * stream. Receiving goes on until the peer ends too; then the connection closes. Safe to call twice.
   */
  end(bytes?: Uint8Array | string): void;
  /**
   * Closes as soon as everything that was written is sent. Nothing more is received. The peer sees the
   * end at once, and has a second to end its own half: what it went on sending to a closed socket would
   * reset the connection, and it might lose what it was sent. A peer that takes nothing of what is queued for 30
   * seconds, or for the idle timeout where there is one, is given up with `ETIMEDOUT`. Safe to call
   * twice.
   */
  close(): void;
  /**
   * Closes at once; what waits to be sent is dropped.
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
  /** After `write` returned false: what waited has gone down to half of the high-water mark. */
  drain?(connection: Connection<Data>): void;
  /**
   * The peer sends no more, and may still read. Without this handler the connection ends its own half
   * as soon as everything is sent; with it, that is yours to do, by `end` or `close`.
   */
  end?(connection: Connection<Data>): void;
  /**
   * The connection is closed; the last that is heard of it.
   *
   * @param error - Why, when it did not end well: `ECONNRESET`, `ETIMEDOUT`, `ENOBUFS` (see
   * docs/errors.md).
   */
  close?(connection: Connection<Data>, error?: Error): void;
  /** The connection failed, and `close` follows; or a handler threw, and the connection goes on. */
  error?(connection: Connection<Data>, error: Error): void;
  /** Nothing came and nothing went for the idle timeout. Without this handler the connection is closed. */
  timeout?(connection: Connection<Data>): void;
}

/** What can be set for each connection, whether it is accepted or made. */
export interface ConnectionOptions {
  /**
   * Lends `data` the bytes in the kernel's own buffer instead of a copy. They
   * are good until the handler returns, and written back from there they are not copied at all.
   */
  readonly zeroCopy?: boolean;
  /** Sends at once instead of waiting to fill a packet: TCP_NODELAY. Default true. */
  readonly noDelay?: boolean;
  /** Ends a connection on which nothing came or went for so long. Default: never. */
  readonly idleTimeoutMs?: number;
  /** `write` returns false while more than this waits to be sent. Default 64 KiB. */
  readonly highWaterBytes?: number;
  /**
   * A write to a connection of which more than this still waits closes it with `ENOBUFS`: its peer does
   * not read. Default 16 MiB.
   */
  readonly maxPendingBytes?: number;
}

import type { Connection } from "./connection.ts";

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

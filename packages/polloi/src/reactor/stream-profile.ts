import type { Connection, ConnectionOptions, Handlers } from "./connection.ts";

/** The listener of a connection, as the connection sees it. */
export interface StreamListener {
  /** Whether `stop` was called. */
  readonly stopping: boolean;
  /** One of its connections has closed. */
  closed(connection: Connection): void;
}

/** What connections of one listener, or one connect, have in common; shared, so that each costs less. */
export interface StreamProfile<Data> {
  readonly handlers: Handlers<Data>;
  readonly zeroCopy: boolean;
  readonly idleTimeoutMs: number;
  readonly highWaterBytes: number;
  readonly maxPendingBytes: number;
  /** The listener that accepted them; undefined for connections that were made or adopted. */
  readonly listener: StreamListener | undefined;
}

/** The profile that handlers and options make, with every default in its place. */
export function profileOf<Data>(
  options: Handlers<Data> & ConnectionOptions,
  listener?: StreamListener,
): StreamProfile<Data> {
  return {
    handlers: options,
    zeroCopy: options.zeroCopy ?? false,
    idleTimeoutMs: options.idleTimeoutMs ?? 0,
    highWaterBytes: options.highWaterBytes ?? 64 * 1024,
    maxPendingBytes: options.maxPendingBytes ?? 16 * 1024 * 1024,
    listener,
  };
}

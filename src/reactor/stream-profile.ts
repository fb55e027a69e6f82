import type { Connection, ConnectionOptions, Handlers } from "./connection.ts";

/** What connections of one listener, or one connect, have in common; shared, so that each costs less. */
export interface StreamProfile<Data> {
  readonly handlers: Handlers<Data>;
  readonly zeroCopy: boolean;
  readonly idleTimeoutMs: number;
  readonly highWaterBytes: number;
  readonly maxPendingBytes: number;
  /** Called when one of them has closed. */
  readonly onClosed: ((connection: Connection) => void) | undefined;
}

/** The profile that handlers and options make, with every default in its place. */
export function profileOf<Data>(
  options: Handlers<Data> & ConnectionOptions,
  onClosed?: (connection: Connection) => void,
): StreamProfile<Data> {
  return {
    handlers: options,
    zeroCopy: options.zeroCopy ?? false,
    idleTimeoutMs: options.idleTimeoutMs ?? 0,
    highWaterBytes: options.highWaterBytes ?? 64 * 1024,
    maxPendingBytes: options.maxPendingBytes ?? 16 * 1024 * 1024,
    onClosed,
  };
}

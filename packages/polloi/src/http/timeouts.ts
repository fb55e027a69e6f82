/**
 * The timeouts of a server, in milliseconds above 0. `Infinity` disables one.
 *
 * @remarks
 * A timeout never fires early, and fires at most one second late.
 */
export interface HttpTimeouts {
  /** From the first byte of a request to the end of its head. The reply is 408. Default 10,000. */
  readonly headTimeoutMs: number;
  /**
   * For the body, plus a second for each 500 bytes that were received, so that a client that sends a byte now and then
   * cannot hold a connection for ever. Also the longest time between two parts of it. The reply is 408. Default 20,000.
   */
  readonly bodyTimeoutMs: number;
  /** Between two requests, and before the first. The connection is closed. Default 60,000. */
  readonly idleTimeoutMs: number;
  /**
   * For a client that acknowledges nothing of a reply. The connection is reset. Default 30,000.
   *
   * @remarks
   * A slow client that acknowledges a part now and then is served to the end. Up to 16 KiB that only the kernel holds are
   * not checked, and are subject to the idle timeout.
   */
  readonly sendTimeoutMs: number;
  /**
   * For the next part of a reply to a client that has ended its half of the connection. Most such clients have left, and
   * some wait for the reply. The connection is reset. Default 10,000, and at most 1,000 when the server stops.
   */
  readonly halfCloseTimeoutMs: number;
}

/** The default timeouts. */
export const DEFAULT_TIMEOUTS: HttpTimeouts = {
  headTimeoutMs: 10_000,
  bodyTimeoutMs: 20_000,
  idleTimeoutMs: 60_000,
  sendTimeoutMs: 30_000,
  halfCloseTimeoutMs: 10_000,
};

import type { ConnectionState } from "./connection.ts";

/** What a stream is in: bits of one number, since there are thousands of streams. */

export const CONNECTING = 1;
/** `end` was called: after what waits comes the end. */
export const ENDING = 2;
/** The own half is shut down. */
export const ENDED = 4;
/** The peer's half is. */
export const PEER_ENDED = 8;
/** `close` was called. */
export const CLOSING = 16;
/** Closing, all sent; reading to the peer's end so that no reset overtakes what it was sent. */
export const LINGERING = 32;
export const CLOSED = 64;
export const PAUSED = 128;
/** In the loop's list of those to be flushed. */
export const DIRTY = 256;
/** `write` returned false. */
export const FULL = 512;
/** Full once, and now below half: in the loop's list of those to be told. */
export const DRAINED = 1024;
/** Bytes were received at some time. */
export const HEARD = 2048;
/** Its listener stops, and it knows. */
export const STOPPING = 4096;
/** The peer's half has ended, and the handlers that the stream was handed over to have not been called with it. */
export const END_OWED = 8192;

/** What a program is told of it. */
export function stateOf(bits: number): ConnectionState {
  if ((bits & CLOSED) !== 0) return "closed";
  if ((bits & CLOSING) !== 0) return "closing";
  if ((bits & ENDING) !== 0) return "ending";
  return (bits & CONNECTING) !== 0 ? "connecting" : "open";
}

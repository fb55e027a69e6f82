import type { RequestError } from "./request-error.ts";
import type { RequestHead } from "./wire/request-head.ts";

/** Receives a body as it arrives: see {@link HttpRequest.read}. */
export interface BodyReader {
  /** @param bytes - The next bytes of the body. They are lent, and change after this returns: copy what you keep. */
  data(bytes: Uint8Array): void;
  /** The body is complete. */
  end?(): void;
  /** The body will not be complete: the client left or exceeded a limit, or the reply was complete before it. */
  abort?(error: RequestError): void;
}

/** The most bytes of an unread body to discard, so that the connection can be used again. */
const MOST_DISCARDED = 65_536;
/** A client that sends a body more slowly than this, in bytes per second, times out. */
const SLOWEST = 500;
const NOT_BEGUN = -1;
const NO_TRAILERS: readonly (readonly [string, string])[] = [];

/** The accounts of a body: how much of it was received, is left, was discarded, and how long it takes. */
export class RequestBody {
  /** The trailers of a chunked body, once it is complete. */
  trailers: readonly (readonly [string, string])[] = NO_TRAILERS;
  isComplete = false;
  /** The number of bytes received. */
  received = 0;
  /** Content-Length; -1 for a chunked body. */
  readonly #length: number;
  /** The known length of the rest of an unread chunked body, in bytes; Infinity before anything is known. */
  #chunkedRest: number = Number.POSITIVE_INFINITY;
  /** The length of its chunks with their framing, if all have arrived; otherwise Infinity. */
  #chunkedBytes: number = Number.POSITIVE_INFINITY;
  #discarded = 0;
  /** The time that the connection has waited for it, in milliseconds. */
  #waitedMs = NOT_BEGUN;

  constructor({ contentLength }: RequestHead) {
    this.#length = contentLength;
  }

  get isChunked(): boolean {
    return this.#length < 0;
  }

  /** Whether all bytes are received, and only the end is not reported yet. */
  get endIsDue(): boolean {
    return !this.isComplete && this.received === this.#length;
  }

  /** Whether the known rest is too long to discard. */
  get isLong(): boolean {
    if (this.isComplete) return false;
    return (this.isChunked ? this.#chunkedRest : this.#left()) > MOST_DISCARDED;
  }

  /** The most bytes that follow until the end, with their framing. */
  get bytesLeft(): number {
    if (this.isComplete) return 0;
    return this.isChunked ? this.#chunkedBytes : this.#left();
  }

  /**
   * The chunks that have arrived were examined before they are read.
   *
   * @param rest - The number of bytes in them.
   * @param bytes - Their length with framing, if all have arrived; otherwise Infinity.
   */
  foresee(rest: number, bytes: number): void {
    this.#chunkedRest = rest;
    this.#chunkedBytes = bytes;
  }

  /** Counts discarded bytes. @returns Whether there are too many. */
  discard(bytes: number): boolean {
    this.#discarded += bytes;
    return this.#discarded > MOST_DISCARDED;
  }

  /** Begins to measure the time: the body has a reader now. */
  restart(): void {
    this.#waitedMs = NOT_BEGUN;
  }

  /**
   * Adds the time since the last check. Time in which the server waits for the handler, or is stalled, does not count.
   *
   * @returns Whether it took more than `timeoutMs` and a second for each 500 bytes.
   */
  isLate(passedMs: number, timeoutMs: number): boolean {
    this.#waitedMs = this.#waitedMs === NOT_BEGUN ? 0 : this.#waitedMs + passedMs;
    return this.#waitedMs > timeoutMs + (this.received / SLOWEST) * 1000;
  }

  #left(): number {
    return this.#length - this.received;
  }
}

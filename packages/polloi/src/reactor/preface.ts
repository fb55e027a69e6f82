/**
 * What comes before the first byte for the handlers of an accepted connection, such as the PROXY header of a proxy.
 *
 * @remarks
 * A stream with a preface passes it the bytes that it receives, and calls no handler. When the preface is complete, `open`
 * is called, and the bytes behind the preface are received as if they had arrived by themselves. If the connection ends
 * before that, no handler is called.
 */
export interface Preface {
  /**
   * Takes bytes of the connection; none at the end of the stream.
   *
   * @returns How many of them belong to the preface, if it is complete; otherwise -1. It may have destroyed the stream.
   */
  read(bytes: Uint8Array): number;
  /** The listener stops: the rest must arrive soon. */
  hurry(): void;
  /** The stream is closed. */
  abandon(): void;
}

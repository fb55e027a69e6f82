import { Readable } from "node:stream";

/**
 * The body of a response that was made here. One reader may use it: the server that sends it, a reader of its stream, or
 * a caller who needs the whole of it.
 */
export abstract class SingleUseBody {
  /** Whether it was used otherwise than through a reader of its stream. */
  protected wasUsed = false;
  #stream: ReadableStream | undefined;

  get isUsed(): boolean {
    // A read that waits for the start of the stream counts as well.
    return this.wasUsed || (this.#stream !== undefined && isDisturbed(this.#stream));
  }

  /** Whether its stream has a reader. */
  get isLocked(): boolean {
    return this.#stream?.locked === true;
  }

  /** Whether it can still be used. */
  get isFree(): boolean {
    return !this.isUsed && !this.isLocked;
  }

  /** Whether the program has its stream, and may share the body. */
  get isOut(): boolean {
    return this.#stream !== undefined;
  }

  /** A stream of the body. Reading it uses the body. After the body was used, the stream is disturbed and locked. */
  get stream(): ReadableStream {
    if (this.#stream === undefined) {
      this.#stream = this.makeStream();
      if (this.wasUsed) spend(this.#stream);
    }
    return this.#stream;
  }

  /** The whole body, for one reader. @throws TypeError if it was used; SysError as the read of a file. */
  use(): Uint8Array<ArrayBuffer> {
    if (!this.isFree) throw new TypeError("The body of the response has been read already");
    this.sent();
    return this.whole();
  }

  /** Marks the body as used, without reading it. */
  sent(): void {
    this.wasUsed = true;
    if (this.#stream !== undefined) spend(this.#stream);
  }

  /** Makes a stream, by which the body can be found again. It sets `wasUsed` when it is read or cancelled. */
  protected abstract makeStream(): ReadableStream;

  /** All bytes. */
  protected abstract whole(): Uint8Array<ArrayBuffer>;
}

/** The types of Node's streams lack web streams, which this accepts too. */
const isDisturbed: (stream: ReadableStream) => boolean = Readable.isDisturbed as never;

/** Makes a stream disturbed and locked, as if a reader had read all of it. */
export function spend(stream: ReadableStream): void {
  if (!stream.locked) stream.getReader().cancel().catch(ignore);
}

function ignore(): void {}

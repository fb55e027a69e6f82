import { Readable } from "node:stream";
import type { UnderlyingByteSource } from "node:stream/web";

/** The key under which a stream stores the body that it was made of. */
const HELD: unique symbol = Symbol("held");

/**
 * A body that is in memory: a string or bytes.
 *
 * @remarks
 * Several responses may share it: a response that is made of the body of another one, as middleware does to set a header,
 * shares this body instead of reading a stream. It can be used once nevertheless.
 */
export class HeldBody {
  readonly content: string | Uint8Array<ArrayBuffer>;
  #isUsed = false;
  #stream: ReadableStream | undefined;

  constructor(content: string | Uint8Array<ArrayBuffer>) {
    this.content = content;
  }

  /** The body that a stream was made of, if it was made here and has not been read. */
  static of(stream: unknown): HeldBody | undefined {
    const held = (stream as { [HELD]?: HeldBody } | null)?.[HELD];
    return held === undefined || held.isUsed || held.isLocked ? undefined : held;
  }

  get isUsed(): boolean {
    // A read that waits for the start of the stream counts as well.
    return this.#isUsed || (this.#stream !== undefined && isDisturbed(this.#stream));
  }

  /** Whether its stream has a reader. */
  get isLocked(): boolean {
    return this.#stream?.locked === true;
  }

  /** Whether the program has its stream, and may share the body. */
  get isOut(): boolean {
    return this.#stream !== undefined;
  }

  /** A stream of the body. Reading it uses the body. After the body was used, the stream is disturbed and locked. */
  get stream(): ReadableStream {
    if (this.#stream === undefined) {
      this.#stream = Object.defineProperty(this.#makeStream(), HELD, { value: this });
      if (this.#isUsed) spend(this.#stream);
    }
    return this.#stream;
  }

  /** The whole body, for one reader. @throws TypeError if it was used. */
  use(): Uint8Array<ArrayBuffer> {
    if (this.isUsed || this.isLocked) {
      throw new TypeError("The body of the response has been read already");
    }
    this.sent();
    return typeof this.content === "string" ? new TextEncoder().encode(this.content) : this.content;
  }

  /** The body is sent as it is. */
  sent(): void {
    this.#isUsed = true;
    if (this.#stream !== undefined) spend(this.#stream);
  }

  /** The same body for another response. */
  copy(): HeldBody {
    return new HeldBody(this.content);
  }

  #makeStream(): ReadableStream {
    const source: UnderlyingByteSource = {
      type: "bytes",
      pull: (controller) => {
        this.#isUsed = true;
        const { content } = this;
        const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
        // A copy, because the reader may transfer the memory.
        if (bytes.length > 0) controller.enqueue(bytes === content ? bytes.slice() : bytes);
        controller.close();
        if (bytes.length === 0) controller.byobRequest?.respond(0);
      },
      cancel: () => {
        this.#isUsed = true;
      },
    };
    return new ReadableStream(source, { highWaterMark: 0 });
  }
}

/** The types of Node's streams lack web streams, which this accepts too. */
export const isDisturbed: (stream: ReadableStream) => boolean = Readable.isDisturbed as never;

/** Makes a stream disturbed and locked, as if a reader had read all of it. */
export function spend(stream: ReadableStream): void {
  if (!stream.locked) stream.getReader().cancel().catch(ignore);
}

function ignore(): void {}

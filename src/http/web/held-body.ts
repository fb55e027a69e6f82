import type { UnderlyingByteSource } from "node:stream/web";

/** Where a stream keeps what it is made of. */
const HELD: unique symbol = Symbol("held");

/**
 * A body that is at hand: a string or bytes.
 *
 * @remarks
 * It may belong to several responses: one that is made of the body of another, as middleware does to set a
 * header, takes over this, and not a stream to be read. It is used once all the same.
 */
export class HeldBody {
  readonly content: string | Uint8Array<ArrayBuffer>;
  #isUsed = false;
  #stream: ReadableStream | undefined;

  constructor(content: string | Uint8Array<ArrayBuffer>) {
    this.content = content;
  }

  /** What a stream is made of, if it was made here and has not been read. */
  static of(stream: unknown): HeldBody | undefined {
    const held = (stream as { [HELD]?: HeldBody } | null)?.[HELD];
    return held === undefined || held.#isUsed || held.isLocked ? undefined : held;
  }

  get isUsed(): boolean {
    return this.#isUsed;
  }

  /** Whether somebody reads the stream of it. */
  get isLocked(): boolean {
    return this.#stream?.locked === true;
  }

  /** A stream of it, which uses it when it is read. */
  get stream(): ReadableStream {
    this.#stream ??= Object.defineProperty(this.#makeStream(), HELD, { value: this });
    return this.#stream;
  }

  /** All of it, for one reader. @throws TypeError when there has been one. */
  use(): Uint8Array<ArrayBuffer> {
    if (this.#isUsed || this.isLocked) {
      throw new TypeError("The body of the response has been read already");
    }
    this.#isUsed = true;
    return typeof this.content === "string" ? new TextEncoder().encode(this.content) : this.content;
  }

  /** It goes as it is. */
  sent(): void {
    this.#isUsed = true;
  }

  #makeStream(): ReadableStream {
    const source: UnderlyingByteSource = {
      type: "bytes",
      pull: (controller) => {
        this.#isUsed = true;
        const { content } = this;
        const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
        // A copy, since whoever gets it may take the memory away.
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

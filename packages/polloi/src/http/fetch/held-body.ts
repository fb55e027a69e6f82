import { Readable } from "node:stream";
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
    return held === undefined || held.isUsed || held.isLocked ? undefined : held;
  }

  get isUsed(): boolean {
    // A read may wait until the stream has started, and counts from its call on.
    return this.#isUsed || (this.#stream !== undefined && isDisturbed(this.#stream));
  }

  /** Whether the stream of it has a reader. */
  get isLocked(): boolean {
    return this.#stream?.locked === true;
  }

  /** Whether the program has the stream of it, and with that may share the body. */
  get isOut(): boolean {
    return this.#stream !== undefined;
  }

  /** A stream of it, which uses it when it is read. Once the body has been used, the stream is disturbed and locked. */
  get stream(): ReadableStream {
    if (this.#stream === undefined) {
      this.#stream = Object.defineProperty(this.#makeStream(), HELD, { value: this });
      if (this.#isUsed) spend(this.#stream);
    }
    return this.#stream;
  }

  /** All of it, for one reader. @throws TypeError when there has been one. */
  use(): Uint8Array<ArrayBuffer> {
    if (this.isUsed || this.isLocked) {
      throw new TypeError("The body of the response has been read already");
    }
    this.sent();
    return typeof this.content === "string" ? new TextEncoder().encode(this.content) : this.content;
  }

  /** It goes as it is. */
  sent(): void {
    this.#isUsed = true;
    if (this.#stream !== undefined) spend(this.#stream);
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

/** The types of Node's streams say nothing of web streams, which this is for as well. */
const isDisturbed = Readable.isDisturbed as unknown as (stream: ReadableStream) => boolean;

/** Leaves a stream as its reader would that has read all of it: disturbed and locked. */
export function spend(stream: ReadableStream): void {
  if (!stream.locked) stream.getReader().cancel().catch(ignore);
}

function ignore(): void {}

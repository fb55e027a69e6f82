import type { UnderlyingByteSource } from "node:stream/web";
import { SingleUseBody } from "./single-use-body.ts";

/** The key under which a stream stores the body that it was made of. */
const HELD: unique symbol = Symbol("held");

/**
 * A body that is in memory: a string or bytes.
 *
 * @remarks
 * Several responses may share it: a response that is made of the body of another one, as middleware does to set a header,
 * shares this body instead of reading a stream. It can be used once nevertheless.
 */
export class HeldBody extends SingleUseBody {
  readonly content: string | Uint8Array<ArrayBuffer>;

  constructor(content: string | Uint8Array<ArrayBuffer>) {
    super();
    this.content = content;
  }

  /** The body that a stream was made of, if it was made here and has not been read. */
  static of(stream: unknown): HeldBody | undefined {
    const held = (stream as { [HELD]?: HeldBody } | null)?.[HELD];
    return held?.isFree === true ? held : undefined;
  }

  /** The same body for another response. */
  copy(): HeldBody {
    return new HeldBody(this.content);
  }

  protected override whole(): Uint8Array<ArrayBuffer> {
    return typeof this.content === "string" ? new TextEncoder().encode(this.content) : this.content;
  }

  protected override makeStream(): ReadableStream {
    const source: UnderlyingByteSource = {
      type: "bytes",
      pull: (controller) => {
        this.wasUsed = true;
        const { content } = this;
        const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
        // A copy, because the reader may transfer the memory.
        if (bytes.length > 0) controller.enqueue(bytes === content ? bytes.slice() : bytes);
        controller.close();
        if (bytes.length === 0) controller.byobRequest?.respond(0);
      },
      cancel: () => {
        this.wasUsed = true;
      },
    };
    const stream = new ReadableStream(source, { highWaterMark: 0 });
    return Object.defineProperty(stream, HELD, { value: this });
  }
}

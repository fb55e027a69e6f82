import type { UnderlyingByteSource } from "node:stream/web";
import { sendPieces } from "../files/answer.ts";
import type { UnsentFile } from "../files/unsent-file.ts";
import type { ReplyWriter } from "../reply.ts";
import { SingleUseBody } from "./single-use-body.ts";

/** The bodies of streams that were made here. */
const bodies = new WeakMap<object, FileBody>();

/**
 * A body that is a file, or ranges of one. polloi's server sends it with sendfile(2); any other reader has a stream.
 *
 * @remarks
 * The stream identifies the body: a response that is made of the stream of another one, as middleware does to set a
 * header, is sent with sendfile(2) as well.
 */
export class FileBody extends SingleUseBody {
  readonly #file: UnsentFile;

  constructor(file: UnsentFile) {
    super();
    this.#file = file;
  }

  /** The body itself, or the one that a stream was made of, if it has not been read. */
  static of(value: unknown): FileBody | undefined {
    if (typeof value !== "object" || value === null) return undefined;
    const body = value instanceof FileBody ? value : bodies.get(value);
    return body?.isFree === true ? body : undefined;
  }

  get length(): number {
    return this.#file.length;
  }

  /** The same body for another response. */
  copy(): FileBody {
    return new FileBody(this.#file.copy());
  }

  /** Sends the body as that of a reply whose other headers are set. This uses it. @throws SysError if it has changed. */
  send(reply: ReplyWriter): void {
    const fd = this.#file.take();
    let isOpen = true;
    const done = (): void => {
      isOpen = false;
      this.#file.closeTaken(fd);
    };
    this.sent();
    try {
      reply.lines("", false, this.length);
      sendPieces(reply, fd, this.#file.pieces, done);
    } catch (error) {
      if (isOpen) done();
      throw error;
    }
  }

  protected override whole(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.length);
    let at = 0;
    for (const piece of this.#read()) {
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes;
  }

  /** Reads the body in parts of at most 64 KiB. The descriptor is closed at the end, or when the iteration is ended. */
  *#read(): Generator<Uint8Array<ArrayBuffer>, void, void> {
    const fd = this.#file.take();
    try {
      for (const piece of this.#file.pieces) {
        if (typeof piece === "string") {
          yield new TextEncoder().encode(piece);
          continue;
        }
        const end = piece.offset + piece.length;
        for (let at = piece.offset; at < end; ) {
          const bytes = this.#file.read(fd, at, end - at);
          at += bytes.length;
          yield bytes;
        }
      }
    } finally {
      this.#file.closeTaken(fd);
    }
  }

  protected override makeStream(): ReadableStream {
    let reading: Generator<Uint8Array<ArrayBuffer>, void, void> | undefined;
    const source: UnderlyingByteSource = {
      type: "bytes",
      pull: (controller) => {
        this.wasUsed = true;
        reading ??= this.#read();
        const { done, value } = reading.next();
        if (done !== true) {
          controller.enqueue(value);
          return;
        }
        controller.close();
        controller.byobRequest?.respond(0);
      },
      cancel: () => {
        // A body that is being sent is cancelled as well, and its descriptor is in use.
        if (reading !== undefined) reading.return();
        else if (!this.wasUsed) this.#file.close();
        this.wasUsed = true;
      },
    };
    const stream = new ReadableStream(source, { highWaterMark: 0 });
    bodies.set(stream, this);
    return stream;
  }
}

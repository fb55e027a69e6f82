import type { UnderlyingByteSource } from "node:stream/web";
import { typeError } from "../../base/misuse.ts";
import type { HttpRequest } from "../request.ts";
import type { BodyReader } from "../request-body.ts";
import { WholeBody } from "../whole-body.ts";

/** The most unread bytes in a stream before the client is slowed down. */
const MAX_WAITING = 65_536;

/** The body of a request, read completely or as a stream. */
export class IncomingBody implements BodyReader {
  readonly #request: HttpRequest;
  /** Set if the body is read completely. */
  #whole: WholeBody | undefined;
  #resolve: ((bytes: Uint8Array<ArrayBuffer>) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;
  #controller: ReadableByteStreamController | undefined;
  #isRead = false;
  #isOver = false;

  constructor(request: HttpRequest) {
    this.#request = request;
  }

  /** The whole body, in memory of its own. @param isTemporary - As for {@link WholeBody}. */
  all(isTemporary = false): Promise<Uint8Array<ArrayBuffer>> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      if (this.#isOver) {
        reject(tooLate());
        return;
      }
      this.#whole = new WholeBody(this.#request.contentLength, isTemporary);
      this.#read();
    });
  }

  /** A stream of the body. It is received when the stream is read, and not before. */
  stream(): ReadableStream<Uint8Array> {
    const source: UnderlyingByteSource = {
      type: "bytes",
      pull: (controller) => {
        this.#controller = controller;
        if (this.#isOver) controller.error(tooLate());
        else if (this.#isRead) this.#request.resume();
        else this.#read();
      },
      cancel: () => {
        // The rest of the body is discarded.
        this.#isOver = true;
        this.#request.resume();
      },
    };
    return new ReadableStream(source, { highWaterMark: 0 });
  }

  data(bytes: Uint8Array): void {
    if (this.#isOver) return;
    this.#whole?.add(bytes);
    if (this.#controller === undefined) return;
    // Not `slice`, which makes no copy of a Buffer.
    this.#controller.enqueue(new Uint8Array(bytes));
    if ((this.#controller.desiredSize ?? 0) <= -MAX_WAITING) this.#request.pause();
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#whole !== undefined) this.#resolve?.(this.#whole.take());
    if (this.#controller === undefined) return;
    this.#controller.close();
    // A pending BYOB read must be answered with 0 bytes.
    this.#controller.byobRequest?.respond(0);
  }

  abort(error: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#reject?.(error);
    this.#controller?.error(error);
  }

  /** The reply is complete: the rest of the body is discarded. */
  close(): void {
    if (this.#isOver) return;
    this.abort(tooLate());
    this.#request.resume();
  }

  #read(): void {
    this.#isRead = true;
    this.#request.read(this);
  }
}

/** Decodes UTF-8 as the Fetch standard does: without a byte order mark, and with U+FFFD for invalid bytes. */
export function textOf(bytes: Uint8Array<ArrayBuffer>): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

function tooLate(): TypeError {
  return typeError("ERR_CLOSED", "Cannot read the body: the reply was complete before it");
}

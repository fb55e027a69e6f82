import { typeError } from "../../base/misuse.ts";
import type { LoopTimer } from "../../sys/kernel.ts";
import type { ReplyWriter } from "../reply.ts";
import type { ParsedRequest } from "../request.ts";
import { RequestError } from "../request-error.ts";
import { bytesIn, isBuffer } from "./buffer-source.ts";
import type { BodySource } from "./foreign-response.ts";
import { whyAborted } from "./light-request.ts";

/** The most microtask rounds that a stream needs for data that it already has. */
const ROUNDS = 12;
/** Chunks are sent together if each follows the last within this many microtask rounds. */
const GATHER_ROUNDS = 16;
/** A client that has ended its half and was sent nothing for this many milliseconds counts as one that has left. */
const IDLE_AFTER_END_MS = 250;

type Piece = Awaited<ReturnType<BodySource["read"]>>;

/**
 * Sends a stream as the body of a reply, no faster than the client receives it.
 *
 * @remarks
 * A stream whose data is available at once is sent with its length, like a string. That includes most responses of the
 * runtime. The head of any other stream is sent before its data.
 *
 * The stream is cancelled when the client leaves. For HEAD it is cancelled when the head for GET is known.
 *
 * @param isProgram - Whether the program provides the chunks, and may change one after the next was requested.
 * @param addHeaders - Called before the head is sent, with whether the whole body, and so its length, is available.
 */
export async function sendStream(
  reader: BodySource,
  request: ParsedRequest,
  reply: ReplyWriter,
  isProgram: boolean,
  addHeaders: (isWhole: boolean) => void,
): Promise<void> {
  const cancel = (): void => void reader.cancel(whyAborted()).catch(ignore);
  const quiet = new QuietWatch(request, cancel);
  let sending: Sending | undefined;
  request.whenLeft(() => {
    // The client may only have ended its half.
    if (reply.done) cancel();
    else quiet.begin();
  });
  try {
    let next = reader.read();
    const first = await soon(next);
    if (first?.done === true) {
      addHeaders(true);
      reply.send();
      return;
    }
    let bytes = first === undefined ? "" : bytesOf(first);
    if (first !== undefined) {
      if (isProgram) bytes = copyOf(bytes);
      next = reader.read();
      const second = await soon(next);
      if (second?.done === true) {
        addHeaders(true);
        reply.send(bytes);
        return;
      }
    }
    addHeaders(false);
    if (reply.isToHead) {
      reply.begin();
      cancel();
      reply.end();
      return;
    }
    sending = new Sending(reader, reply, quiet);
    await sending.send(bytes, next);
    if (reply.done) cancel();
    else if (!quiet.isOver) reply.end();
    else throw new RequestError("CLIENT_LEFT", 0, "the client left before its reply was complete");
  } catch (error) {
    cancel();
    throw error;
  } finally {
    // Chunks that were written before an error are sent, too, before the reply is cut off.
    sending?.uncork();
    quiet.end();
  }
}

const SETTLED: Promise<void> = Promise.resolve();

/**
 * Sends the head of a reply and the chunks of a stream.
 *
 * @remarks
 * A chunk is copied when it has been read, before the next one is requested, so a stream may provide the same memory
 * again and again.
 *
 * Each write outside a turn of the reactor would lead to a send of its own. So chunks are collected in the send queue,
 * up to the high-water mark, while each follows the last within a number of microtask rounds.
 */
class Sending {
  readonly #reader: BodySource;
  readonly #reply: ReplyWriter;
  readonly #quiet: QuietWatch;
  /** Settle the promise of {@link Sending.send}. */
  #resolve!: () => void;
  #reject!: (error: unknown) => void;
  #isCorked = false;
  #isCounting = false;
  /** The microtask rounds since the last chunk. */
  #rounds = 0;

  constructor(reader: BodySource, reply: ReplyWriter, quiet: QuietWatch) {
    this.#reader = reader;
    this.#reply = reply;
    this.#quiet = quiet;
  }

  /**
   * @param bytes - The first chunk.
   * @param next - A read of the chunk behind it.
   * @returns Resolves when all chunks are written, or the client has left. Then {@link Sending.uncork} must follow.
   */
  send(bytes: string | Uint8Array, next: Promise<Piece>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#cork();
      this.#reply.begin();
      if (this.#write(bytes)) next.then(this.#take, reject);
      else this.#whenDrained(() => void next.then(this.#take, reject));
    });
  }

  /** Sends what was written. */
  uncork(): void {
    if (!this.#isCorked) return;
    this.#isCorked = false;
    this.#reply.uncork();
  }

  #cork(): void {
    this.#isCorked = true;
    this.#rounds = 0;
    this.#reply.cork();
    if (this.#isCounting) return;
    this.#isCounting = true;
    SETTLED.then(this.#count);
  }

  readonly #read = (): void => {
    try {
      // A reader of another class may return another kind of promise.
      Promise.resolve(this.#reader.read()).then(this.#take, this.#reject);
    } catch (error) {
      this.#reject(error);
    }
  };

  readonly #take = (piece: Piece): void => {
    if (piece.done || this.#reply.done) {
      this.#resolve();
      return;
    }
    try {
      if (this.#write(bytesOf(piece))) this.#read();
      else this.#whenDrained(this.#read);
    } catch (error) {
      this.#reject(error);
    }
  };

  /** @returns Whether to continue. */
  #write(bytes: string | Uint8Array): boolean {
    const reply = this.#reply;
    if (this.#isCorked) this.#rounds = 0;
    else this.#cork();
    const goesOn = reply.write(bytes) || reply.done;
    this.#quiet.isBusy = !goesOn;
    if (!goesOn) this.uncork();
    return goesOn;
  }

  /** Calls back when more can be sent, in the asynchronous context of the handler. */
  #whenDrained(callback: () => void): void {
    new Promise<void>((resolve) => this.#reply.whenDrained(resolve)).then(() => {
      this.#quiet.isBusy = false;
      callback();
    });
  }

  /** Counts microtask rounds. */
  readonly #count = (): void => {
    if (this.#isCorked && ++this.#rounds > GATHER_ROUNDS) this.uncork();
    if (this.#isCorked) SETTLED.then(this.#count);
    else this.#isCounting = false;
  };
}

/** Watches a stream to a client that has ended its half: only sending shows whether it has left. */
class QuietWatch {
  /** Whether nothing was sent for too long. */
  isOver = false;
  readonly #request: Pick<ParsedRequest, "after">;
  readonly #over: () => void;
  #timer: LoopTimer | undefined;
  #isBusy = false;
  #wasBusy = true;
  #isEnded = false;

  constructor(request: Pick<ParsedRequest, "after">, over: () => void) {
    this.#request = request;
    this.#over = over;
  }

  /** Whether data is being sent, and not the stream waited for. */
  set isBusy(isBusy: boolean) {
    this.#isBusy = isBusy;
    this.#wasBusy = true;
  }

  begin(): void {
    if (!this.#isEnded && this.#timer === undefined) this.#watch();
  }

  end(): void {
    this.#isEnded = true;
    this.#timer?.cancel();
  }

  #watch(): void {
    this.#timer = this.#request.after(IDLE_AFTER_END_MS, () => {
      const isQuiet = !this.#isBusy && !this.#wasBusy;
      this.#wasBusy = false;
      if (!isQuiet) {
        this.#watch();
        return;
      }
      this.isOver = true;
      this.end();
      this.#over();
    });
  }
}

/** The value of a promise if it is settled within a few rounds; otherwise `undefined`. */
async function soon(promise: Promise<Piece>): Promise<Piece | undefined> {
  let settled = false;
  const settle = (): void => {
    settled = true;
  };
  promise.then(settle, settle);
  for (let round = 0; round < ROUNDS && !settled; round++) await null;
  return settled ? promise : undefined;
}

/** The data of a chunk. A string is sent as UTF-8. Bytes may be of another realm. */
function bytesOf({ value }: Piece): string | Uint8Array {
  if (value instanceof Uint8Array || typeof value === "string") return value;
  if (ArrayBuffer.isView(value) || isBuffer(value)) {
    return bytesIn(value as ArrayBufferView<ArrayBuffer> | ArrayBuffer);
  }
  throw typeError(
    "ERR_INVALID_DATA",
    `Cannot send ${typeof value === "object" ? "an object" : `a ${typeof value}`}: the stream of a response gives bytes or strings`,
  );
}

function copyOf(bytes: string | Uint8Array): string | Uint8Array {
  // An array whose buffer was detached has no bytes, and cannot be copied.
  return typeof bytes === "string" || bytes.length === 0 ? bytes : new Uint8Array(bytes);
}

function ignore(): void {}

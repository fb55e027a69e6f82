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
/** Chunks that are available at once are written together, up to this many bytes and the high-water mark. */
const MOST_GATHERED = 32_768;
/** The microtask rounds in which a stream provides so much of what it already has. */
const GATHER_ROUNDS = 24;
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
 * @param addHeaders - Called before the head is sent, with whether the whole body, and so its length, is available.
 */
export async function sendStream(
  reader: BodySource,
  request: ParsedRequest,
  reply: ReplyWriter,
  addHeaders: (isWhole: boolean) => void,
): Promise<void> {
  const cancel = (): void => void reader.cancel(whyAborted()).catch(ignore);
  const quiet = new QuietWatch(request, cancel);
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
    const bytes = first === undefined ? "" : bytesOf(first);
    if (first !== undefined) {
      next = reader.read();
      const second = await soon(next);
      if (second?.done === true) {
        addHeaders(true);
        reply.send(bytes);
        return;
      }
    }
    addHeaders(false);
    reply.begin();
    if (reply.isToHead) {
      cancel();
      reply.end();
      return;
    }
    const gathered = new Gathered(reply, quiet, cancel);
    gathered.add(bytes);
    await sendRest(reader, next, reply, gathered);
    if (reply.done) cancel();
    else if (!quiet.isOver) reply.end();
    else throw new RequestError("CLIENT_LEFT", 0, "the client left before its reply was complete");
  } catch (error) {
    cancel();
    throw error;
  } finally {
    quiet.end();
  }
}

/**
 * Sends what is gathered, and the chunks from `first` on.
 *
 * @remarks
 * Chunks that are available at once are written together, since each write outside a turn of the reactor leads to a send
 * of its own. They are collected while the stream provides them, for a number of microtask rounds.
 */
async function sendRest(
  reader: BodySource,
  first: Promise<Piece>,
  reply: ReplyWriter,
  gathered: Gathered,
): Promise<void> {
  try {
    for (let piece = await first; !piece.done && !reply.done; piece = await reader.read()) {
      // It may have been filled while this chunk was waited for.
      if (!gathered.goesOn) await gathered.room();
      gathered.add(bytesOf(piece));
      if (!gathered.goesOn) await gathered.room();
    }
  } finally {
    // Also before an error of the stream cuts the reply off.
    gathered.write();
  }
  if (gathered.failure !== undefined) throw gathered.failure;
  if (!gathered.goesOn) await gathered.room();
}

/** Chunks of a stream that are not written yet. */
class Gathered {
  /** Whether more can be sent. */
  goesOn = true;
  /** The error of a write that nothing waited for. The stream was cancelled then. */
  failure: unknown;
  readonly #reply: ReplyWriter;
  readonly #quiet: QuietWatch;
  readonly #cancel: () => void;
  #chunks: (string | Uint8Array)[] = [];
  #length = 0;
  /** The length from which on it is written. */
  #most = 0;

  constructor(reply: ReplyWriter, quiet: QuietWatch, cancel: () => void) {
    this.#reply = reply;
    this.#quiet = quiet;
    this.#cancel = cancel;
  }

  /** Adds a chunk, and writes all if they are enough. */
  add(bytes: string | Uint8Array): void {
    this.#chunks.push(bytes);
    this.#length += bytes.length;
    const isFirst = this.#chunks.length === 1;
    if (isFirst) this.#most = Math.min(MOST_GATHERED, this.#reply.roomBytes);
    if (this.#length >= this.#most) this.write();
    else if (isFirst) void this.#writeLater(this.#chunks);
  }

  /** Writes what is gathered. */
  write(): void {
    const chunks = this.#chunks;
    if (chunks.length === 0) return;
    this.#chunks = [];
    this.#length = 0;
    this.goesOn = this.#reply.done || this.#reply.writeAll(chunks);
    this.#quiet.isBusy = !this.goesOn;
  }

  /** Waits until more can be sent. */
  async room(): Promise<void> {
    await new Promise<void>((resolve) => this.#reply.whenDrained(resolve));
    this.goesOn = true;
    this.#quiet.isBusy = false;
  }

  /** Writes chunks, and others that follow them, if enough is not gathered in a number of microtask rounds. */
  async #writeLater(chunks: readonly unknown[]): Promise<void> {
    for (let round = 0; round < GATHER_ROUNDS && chunks === this.#chunks; round++) await null;
    if (chunks !== this.#chunks) return;
    try {
      this.write();
    } catch (error) {
      this.failure = error;
      this.#cancel();
    }
  }
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

function ignore(): void {}

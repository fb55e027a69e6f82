import { typeError } from "../../base/misuse.ts";
import type { ReplyWriter } from "../reply.ts";
import type { ParsedRequest } from "../request.ts";
import { RequestError } from "../request-error.ts";
import { bytesIn, isBuffer } from "./buffer-source.ts";
import type { BodySource } from "./foreign-response.ts";
import { whyAborted } from "./light-request.ts";

/** How many rounds of promises a stream takes at most to give what it has already. */
const ROUNDS = 12;
/** Whoever has ended its half of the connection and is sent nothing for so long has left. */
const IDLE_AFTER_END_MS = 250;

type Piece = Awaited<ReturnType<BodySource["read"]>>;

/**
 * Sends a stream as the body of a reply whose head is ready: as fast as the client takes it.
 *
 * @remarks
 * A stream that has all it will ever give goes with its length, like a string: so do the bodies of most
 * responses that the runtime makes. The head of any other does not wait for it.
 *
 * When the client leaves, the stream is cancelled. So it is when the reply answers HEAD, once it is known what the
 * head for GET would say.
 *
 * @param addHeaders - Called before the head goes; with whether the whole body is at hand, and so its length.
 */
export async function sendStream(
  reader: BodySource,
  request: ParsedRequest,
  reply: ReplyWriter,
  addHeaders: (isWhole: boolean) => void,
): Promise<void> {
  const cancel = (): void => void reader.cancel(whyAborted()).catch(ignore);
  const quiet = new QuietWatch(cancel);
  request.whenLeft(() => {
    // It may only have ended its half.
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
    await write(bytes, reply, quiet);
    for (let piece = await next; !piece.done; piece = await reader.read()) {
      if (reply.done) break;
      await write(bytesOf(piece), reply, quiet);
    }
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

/** Sends a piece, and waits until the client has room for another. */
async function write(
  bytes: string | Uint8Array,
  reply: ReplyWriter,
  quiet: QuietWatch,
): Promise<void> {
  quiet.isBusy = true;
  if (!reply.write(bytes)) await new Promise<void>((resolve) => reply.whenDrained(resolve));
  quiet.isBusy = false;
}

/** Watches a stream that nobody may be there for: as long as something is sent, that shows. */
class QuietWatch {
  /** It was quiet for too long. */
  isOver = false;
  readonly #over: () => void;
  #timer: ReturnType<typeof setInterval> | undefined;
  #isBusy = false;
  #wasBusy = true;
  #isEnded = false;

  constructor(over: () => void) {
    this.#over = over;
  }

  /** Whether something is being sent just now, and the stream not waited for. */
  set isBusy(isBusy: boolean) {
    this.#isBusy = isBusy;
    this.#wasBusy = true;
  }

  begin(): void {
    if (this.#isEnded || this.#timer !== undefined) return;
    this.#timer = setInterval(() => {
      const isQuiet = !this.#isBusy && !this.#wasBusy;
      this.#wasBusy = false;
      if (!isQuiet) return;
      this.isOver = true;
      this.end();
      this.#over();
    }, IDLE_AFTER_END_MS);
  }

  end(): void {
    this.#isEnded = true;
    clearInterval(this.#timer);
  }
}

/** What a promise is kept with, if that is at hand; `undefined` when it has to be waited for. */
async function soon(promise: Promise<Piece>): Promise<Piece | undefined> {
  let settled = false;
  const settle = (): void => {
    settled = true;
  };
  promise.then(settle, settle);
  for (let round = 0; round < ROUNDS && !settled; round++) await null;
  return settled ? promise : undefined;
}

/** A piece as it is written: a string goes as UTF-8. Bytes may be those of another realm. */
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

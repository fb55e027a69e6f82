import { kernel } from "../../sys/open.ts";
import { copyOf, isOwnBuffer } from "./buffer-source.ts";
import { spend } from "./held-body.ts";
import {
  asStatus,
  type Contents,
  checkJsonInit,
  FORM,
  type NativeBody,
  nativeBodyOf,
  streamWith,
  TEXT,
  UNKNOWN,
} from "./light-response.ts";
import { extractMimeType } from "./mime-type.ts";
import {
  type BodyInit,
  defineGetter,
  defineMethod,
  natives,
  type ResponseInit,
  standsFor,
} from "./natives.ts";

/** What reads a body, and so finds out that it has been sent. */
const READERS = ["arrayBuffer", "blob", "bytes", "formData", "json", "text", "textStream"] as const;

type Readers = Record<(typeof READERS)[number], (this: Response) => unknown>;

let remembering: typeof Response | undefined;
let contentsIn: (response: Response) => Contents | null = () => null;
let bodyIn: (response: Response) => NativeBody = () => UNKNOWN;

/**
 * The runtime's `Response`, with the string or bytes that it was made of beside it: for Bun and Deno, whose
 * responses cost little to make, and several times that to be read.
 *
 * @remarks
 * Its instances are real ones, which all else of the runtime takes. It also adds the Content-Type of a string
 * where the standard asks for it, which Bun leaves to its own server.
 */
export function rememberingResponse(): typeof Response {
  remembering ??= makeClass();
  return remembering;
}

/** What is to be sent, when that is at hand: with that it has been used. Null when it has to be read. */
export function rememberedContents(response: Response): Contents | null {
  return contentsIn(response);
}

/** What is known of a body that has to be read. */
export function rememberedBody(response: Response): NativeBody {
  return bodyIn(response);
}

function makeClass(): typeof Response {
  const { Response: Native, Headers } = natives();
  const headersOf = getterOf<Headers>(Native, "headers");
  const streamOf = getterOf<ReadableStream | null>(Native, "body");
  const isUsed = getterOf<boolean>(Native, "bodyUsed");
  const { text: read } = Native.prototype;
  const isBun = kernel.runtime === "bun";
  /** What the streams of responses are made of, on Bun, which reads bytes from 64 KiB in several pieces. */
  const madeOf = new WeakMap<object, string | Uint8Array>();

  class Remembering extends Native {
    readonly #held: string | Uint8Array | null;
    /** The Content-Type that its body has by itself. */
    #type: string | null;
    #nativeBody: NativeBody;
    /** Nobody has said or seen anything of its headers. */
    #isPlain: boolean;
    #isSent = false;
    /** The stream of it that the program has. */
    #stream: ReadableStream | null = null;

    // Defaults, so that its length is 0, as the runtime's is.
    constructor(body: BodyInit = undefined, init: ResponseInit = undefined) {
      const copy = isOwnBuffer(body) ? copyOf(body) : null;
      super(copy ?? body, init);
      this.#held = copy ?? heldOf(body);
      this.#type = typeof body === "string" ? TEXT : body instanceof URLSearchParams ? FORM : null;
      if (this.#held === null && body instanceof ReadableStream && madeOf.has(body)) {
        this.#held = madeOf.get(body) ?? null;
        this.#stream = body;
      }
      this.#nativeBody = this.#held === null ? nativeBodyOf(body) : UNKNOWN;
      this.#isPlain = init?.headers === undefined;
      if (!this.#isPlain) this.#see();
    }

    static override json(data: unknown = undefined, init: ResponseInit = undefined): Response {
      checkJsonInit(init);
      const text = JSON.stringify(data);
      if (text === undefined) return Native.json(data, init);
      const headers = new Headers(init?.headers);
      if (!headers.has("content-type")) headers.set("content-type", "application/json");
      const { status = 200, statusText = "" } = init ?? {};
      return new Remembering(text, { status, statusText, headers });
    }

    static override redirect(url: string | URL, status: number = 302): Response {
      // Bun leaves out a status that is no number, and takes an object of options in its place.
      const isOptions = isBun && typeof status === "object" && status !== null;
      return Native.redirect(url, (isOptions ? status : asStatus(status)) as 302);
    }

    /** The headers, with the type that text has. */
    #see(): Headers {
      const headers = headersOf.call(this);
      const type = this.#type;
      if (type !== null && !headers.has("content-type")) headers.set("content-type", type);
      this.#isPlain = false;
      return headers;
    }

    /** What was sent as it is has been used: the runtime is told as soon as somebody may see that. */
    #settle(): void {
      if (this.#isSent && !isUsed.call(this)) read.call(this).catch(ignore);
    }

    static {
      const { prototype } = Remembering;
      defineGetter(prototype, "headers", function (this: Remembering) {
        return this.#isPlain ? this.#see() : headersOf.call(this);
      });
      defineGetter(prototype, "body", function (this: Remembering) {
        this.#settle();
        const stream = streamOf.call(this);
        this.#stream = stream;
        if (isBun && stream !== null && this.#held !== null) madeOf.set(stream, this.#held);
        return streamWith(stream, this.#nativeBody);
      });
      defineGetter(prototype, "bodyUsed", function (this: Remembering) {
        return this.#isSent || isUsed.call(this);
      });
      for (const name of READERS) {
        // Not every runtime has all of them.
        const native = (Native.prototype as Partial<Readers>)[name];
        if (native === undefined) continue;
        defineMethod(prototype, name, function (this: Remembering): unknown {
          this.#settle();
          return native.call(this);
        });
      }
      const { clone } = Native.prototype;
      // The runtime's own clone would have a body that has to be read.
      defineMethod(prototype, "clone", function (this: Remembering): Response {
        this.#settle();
        const held = this.#held;
        const isAtHand = held !== null && this.#stream === null && !isUsed.call(this);
        // This also makes another stream of the body that is here.
        const twin = isAtHand ? null : clone.call(this);
        this.#stream = null;
        const { status, statusText } = this;
        const headers = this.#isPlain ? this.#see() : headersOf.call(this);
        const body = held ?? streamOf.call(twin as Response);
        const copy = new Remembering(body as BodyInit, { status, statusText, headers });
        // The program may have deleted the type of a text.
        if (!headers.has("content-type")) headersOf.call(copy).delete("content-type");
        copy.#type = this.#type;
        copy.#nativeBody = this.#nativeBody;
        return copy;
      });
      if (isBun) {
        const { arrayBuffer } = Native.prototype;
        // Bun's own leaves out that the Content-Type has changed, and does not normalise it.
        defineMethod(prototype, "blob", async function (this: Remembering): Promise<Blob> {
          this.#settle();
          // The constructor of Blob is to put it in lower case, and Bun's does not.
          const type = extractMimeType(this.headers.get("content-type")).toLowerCase();
          return new Blob([await arrayBuffer.call(this)], { type });
        });
      }
      standsFor(Remembering, Native);
      bodyIn = (response) => (#held in response ? response.#nativeBody : UNKNOWN);
      contentsIn = (response) => {
        if (!(#held in response) || response.#held === null) return null;
        response.#settle();
        const stream = response.#stream;
        if (isUsed.call(response)) return null;
        if (stream !== null) {
          if (stream.locked || !madeOf.has(stream)) return null;
          spend(stream);
        }
        response.#isSent = true;
        return {
          status: response.status,
          body: response.#held,
          headers: response.#isPlain ? null : headersOf.call(response),
          type: response.#type,
        };
      };
    }
  }
  return Remembering;
}

function getterOf<T>(Native: typeof Response, name: string): (this: Response) => T {
  return Object.getOwnPropertyDescriptor(Native.prototype, name)?.get as (this: Response) => T;
}

/** A text that is kept as it is. */
function heldOf(body: unknown): string | null {
  if (typeof body === "string") return body;
  return body instanceof URLSearchParams ? body.toString() : null;
}

function ignore(): void {}

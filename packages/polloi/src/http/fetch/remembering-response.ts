import { kernel } from "../../sys/open.ts";
import { copyOf, isOwnBuffer } from "./buffer-source.ts";
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
import { spend } from "./single-use-body.ts";

/** The members that read a body, and must see that it was sent. */
const READERS = ["arrayBuffer", "blob", "bytes", "formData", "json", "text", "textStream"] as const;

type Readers = Record<(typeof READERS)[number], (this: Response) => unknown>;

let remembering: typeof Response | undefined;
let contentsIn: (response: Response) => Contents | null = () => null;
let bodyIn: (response: Response) => NativeBody = () => UNKNOWN;

/**
 * The runtime's `Response`, together with the string or bytes that it was made of: for Bun and Deno, whose responses are
 * fast to make, and several times as slow to read.
 *
 * @remarks
 * Its instances are real responses, which the whole runtime accepts. It also adds the Content-Type of a string, as the
 * standard requires and Bun leaves to its own server.
 */
export function rememberingResponse(): typeof Response {
  remembering ??= makeClass();
  return remembering;
}

/** The parts to send if the body is in memory, which uses it. Null if the body must be read. */
export function rememberedContents(response: Response): Contents | null {
  return contentsIn(response);
}

/** The known facts about a body that must be read. */
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
  /** The bodies of streams of responses, on Bun, which reads bytes of 64 KiB and more in several parts. */
  const madeOf = new WeakMap<object, string | Uint8Array>();

  class Remembering extends Native {
    readonly #held: string | Uint8Array | null;
    /** The Content-Type that follows from its body. */
    #type: string | null;
    #nativeBody: NativeBody;
    /** Whether its headers were neither set nor read. */
    #isPlain: boolean;
    #isSent = false;
    /** The stream of the body that the program has. */
    #stream: ReadableStream | null = null;

    // Default parameters, so that `length` is 0, as of the runtime's constructor.
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
      // Bun ignores a status that is no number, and accepts an object of options instead.
      const isOptions = isBun && typeof status === "object" && status !== null;
      return Native.redirect(url, (isOptions ? status : asStatus(status)) as 302);
    }

    /** The headers, with the Content-Type of text. */
    #see(): Headers {
      const headers = headersOf.call(this);
      const type = this.#type;
      if (type !== null && !headers.has("content-type")) headers.set("content-type", type);
      this.#isPlain = false;
      return headers;
    }

    /** Marks the body in the runtime as used, as soon as the program may see that. */
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
      // The body of the runtime's own clone must be read.
      defineMethod(prototype, "clone", function (this: Remembering): Response {
        this.#settle();
        const held = this.#held;
        const isAtHand = held !== null && this.#stream === null && !isUsed.call(this);
        // This also makes another stream of the same body.
        const twin = isAtHand ? null : clone.call(this);
        this.#stream = null;
        const { status, statusText } = this;
        const headers = this.#isPlain ? this.#see() : headersOf.call(this);
        const body = held ?? streamOf.call(twin as Response);
        const copy = new Remembering(body as BodyInit, { status, statusText, headers });
        // The program may have deleted the Content-Type.
        if (!headers.has("content-type")) headersOf.call(copy).delete("content-type");
        copy.#type = this.#type;
        copy.#nativeBody = this.#nativeBody;
        return copy;
      });
      if (isBun) {
        const { arrayBuffer } = Native.prototype;
        // Bun's own ignores a changed Content-Type, and does not normalize it.
        defineMethod(prototype, "blob", async function (this: Remembering): Promise<Blob> {
          this.#settle();
          // The constructor of Blob must convert it to lower case, and Bun's does not.
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

/** The body of a text. */
function heldOf(body: unknown): string | null {
  if (typeof body === "string") return body;
  return body instanceof URLSearchParams ? body.toString() : null;
}

function ignore(): void {}

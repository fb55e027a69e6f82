import { kernel } from "../../sys/open.ts";
import {
  type Contents,
  copyOf,
  FORM,
  type NativeBody,
  nativeBodyOf,
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
const READERS = [
  "arrayBuffer",
  "blob",
  "bytes",
  "clone",
  "formData",
  "json",
  "text",
  "textStream",
] as const;

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

  class Remembering extends Native {
    readonly #held: string | Uint8Array | null;
    /** The Content-Type that its body has by itself. */
    readonly #type: string | null;
    readonly #nativeBody: NativeBody;
    /** Nobody has said or seen anything of its headers. */
    #isPlain: boolean;
    #isSent = false;
    /** Somebody has the stream of it. */
    #isOut = false;

    // Defaults, so that its length is 0, as the runtime's is.
    constructor(body: BodyInit = undefined, init: ResponseInit = undefined) {
      super(body, init);
      this.#held = heldOf(body);
      this.#type = typeof body === "string" ? TEXT : typeof this.#held === "string" ? FORM : null;
      this.#nativeBody = this.#held === null ? nativeBodyOf(body) : UNKNOWN;
      this.#isPlain = init?.headers === undefined;
      if (!this.#isPlain) this.#see();
    }

    static override json(data: unknown = undefined, init: ResponseInit = undefined): Response {
      // Bun takes a number, and sends it as the status.
      if (init !== undefined && init !== null && !isDictionary(init)) {
        throw new TypeError(`Response.json was given ${String(init)} as its second argument`);
      }
      const text = JSON.stringify(data);
      if (text === undefined) return Native.json(data, init);
      const headers = new Headers(init?.headers);
      if (!headers.has("content-type")) headers.set("content-type", "application/json");
      const { status = 200, statusText = "" } = init ?? {};
      return new Remembering(text, { status, statusText, headers });
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
      if (this.#isSent && !isUsed.call(this)) void read.call(this);
    }

    static {
      const { prototype } = Remembering;
      defineGetter(prototype, "headers", function (this: Remembering) {
        return this.#isPlain ? this.#see() : headersOf.call(this);
      });
      defineGetter(prototype, "body", function (this: Remembering) {
        this.#settle();
        this.#isOut = true;
        return streamOf.call(this);
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
          // A clone is the runtime's own, and knows no more than the headers say.
          if (name === "clone" && this.#isPlain) this.#see();
          return native.call(this);
        });
      }
      if (kernel.runtime === "bun") {
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
        if (!(#held in response) || response.#held === null || response.#isOut) return null;
        response.#settle();
        if (isUsed.call(response)) return null;
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

/** A string, or a copy of bytes: what the program does with its own bytes next is no part of the response. */
function heldOf(body: unknown): string | Uint8Array | null {
  if (typeof body === "string") return body;
  if (body instanceof URLSearchParams) return body.toString();
  if (ArrayBuffer.isView(body)) return copyOf(body);
  return body instanceof ArrayBuffer ? new Uint8Array(body.slice(0)) : null;
}

function isDictionary(value: unknown): boolean {
  return typeof value === "object" || typeof value === "function";
}

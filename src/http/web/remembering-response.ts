import type { Contents } from "./light-response.ts";
import { type BodyInit, natives, type ResponseInit, standsFor } from "./natives.ts";

const TEXT = "text/plain;charset=UTF-8";

let remembering: typeof Response | undefined;
let contentsIn: (response: Response) => Contents | null = () => null;

/**
 * The runtime's `Response`, with the string that it was made of beside it: for Bun and Deno, whose responses
 * cost little to make, and several times that to be read.
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

function makeClass(): typeof Response {
  const { Response: Native, Headers } = natives();
  const getter = Object.getOwnPropertyDescriptor(Native.prototype, "headers")?.get;
  const headersOf = getter as (this: Response) => Headers;
  const bodyGetter = Object.getOwnPropertyDescriptor(Native.prototype, "body")?.get;
  const streamOf = bodyGetter as (this: Response) => ReadableStream | null;

  class Remembering extends Native {
    readonly #text: string | null;
    /** Nobody has said or seen anything of its headers. */
    #isPlain: boolean;
    #isSent = false;
    /** Somebody has the stream of it. */
    #isOut = false;

    constructor(body?: BodyInit, init?: ResponseInit) {
      super(body, init);
      this.#text = typeof body === "string" ? body : null;
      this.#isPlain = init?.headers === undefined || init.headers === null;
      if (!this.#isPlain) this.#see();
    }

    static override json(data: unknown, init?: ResponseInit): Response {
      const text = JSON.stringify(data);
      if (text === undefined) return Native.json(data, init);
      const headers = new Headers(init?.headers ?? undefined);
      if (!headers.has("content-type")) headers.set("content-type", "application/json");
      const { status = 200, statusText = "" } = init ?? {};
      return new Remembering(text, { status, statusText, headers });
    }

    /** The headers, with the type that text has. */
    #see(): Headers {
      const headers = headersOf.call(this);
      if (this.#text !== null && !headers.has("content-type")) headers.set("content-type", TEXT);
      this.#isPlain = false;
      return headers;
    }

    static {
      Object.defineProperty(Remembering.prototype, "headers", {
        get(this: Remembering): Headers {
          return this.#isPlain ? this.#see() : headersOf.call(this);
        },
        enumerable: true,
        configurable: true,
      });
      Object.defineProperty(Remembering.prototype, "body", {
        get(this: Remembering): ReadableStream | null {
          this.#isOut = true;
          return streamOf.call(this);
        },
        enumerable: true,
        configurable: true,
      });
      standsFor(Remembering, Native);
      contentsIn = (response) => {
        if (!(#text in response) || response.#text === null || response.#isOut) return null;
        // Sent twice, it is read the second time, and found to be used.
        if (response.#isSent && !response.bodyUsed) void response.text();
        if (response.bodyUsed) return null;
        response.#isSent = true;
        return {
          status: response.status,
          body: response.#text,
          headers: response.#isPlain ? null : headersOf.call(response),
          type: TEXT,
        };
      };
    }
  }
  return Remembering;
}

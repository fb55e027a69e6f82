import type { ParsedRequest } from "../request.ts";
import { unheard } from "../request-error.ts";
import { WholeBody } from "../whole-body.ts";
import { IncomingBody, textOf } from "./incoming-body.ts";
import { asHeaders, fieldsOfHead, headersOfHead, type LightHeaders } from "./light-headers.ts";
import { defineGetter, INSPECT, type Inspect, natives, type RequestInit } from "./natives.ts";
import { resolve } from "./url.ts";

/** The methods that the Fetch standard normalizes to upper case. */
const STANDARD: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]);

/** The constant properties of every incoming request. */
const UNSAID = [
  "cache",
  "credentials",
  "destination",
  "duplex",
  "integrity",
  "isHistoryNavigation",
  "isReloadNavigation",
  "keepalive",
  "mode",
  "redirect",
  "referrer",
  "referrerPolicy",
] as const;

let isOne: (value: object) => boolean;
let nativeIn: (request: LightRequest) => Request;
let hasAbortedIn: (request: LightRequest) => boolean;
let closeIn: (request: LightRequest) => void;

/**
 * A `Request` that consists of little more than the text of its head.
 *
 * @remarks
 * Node's own costs more than everything else about a request. This one makes its parts when they are accessed: a
 * `Headers`, a signal, a stream. Operations that only a real request supports are delegated to one, which is made then and takes over
 * the body.
 */
export class LightRequest {
  readonly #request: ParsedRequest;
  readonly #head: string;
  readonly #method: string;
  readonly #origin: string;
  #url: string | undefined;
  #headers: LightHeaders | undefined;
  #controller: AbortController | undefined;
  #native: Request | undefined;
  /** Null without a body, as for GET. */
  readonly #body: IncomingBody | null;
  #isUsed = false;

  /**
   * @param origin - The origin of its URL.
   * @param url - The whole URL, if the target is not a plain path.
   */
  constructor(request: ParsedRequest, origin: string, url?: string) {
    const { head } = request;
    this.#request = request;
    // Stored as text: the bytes are overwritten, and the program may read headers after the reply.
    this.#head = request.headText;
    this.#method = methodOf(head.method);
    this.#origin = origin;
    this.#url = url;
    const hasBody = head.hasBody && this.#method !== "GET" && this.#method !== "HEAD";
    this.#body = hasBody ? new IncomingBody(request) : null;
  }

  get method(): string {
    return this.#method;
  }

  get url(): string {
    if (this.#url === undefined) {
      const from = this.#head.indexOf(" ") + 1;
      const target = this.#head.slice(from, this.#head.indexOf(" ", from));
      this.#url = resolve(this.#origin, target);
    }
    return this.#url;
  }

  get headers(): Headers {
    this.#headers ??= headersOfHead(this.#head);
    return asHeaders(this.#headers);
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      const controller = new AbortController();
      this.#controller = controller;
      this.#request.whenLeft(() => controller.abort(whyAborted()));
    }
    return this.#controller.signal;
  }

  get body(): ReadableStream | null {
    return this.#body === null ? null : this.#asNative().body;
  }

  get bodyUsed(): boolean {
    return this.#native?.bodyUsed ?? this.#isUsed;
  }

  arrayBuffer(): Promise<ArrayBuffer> {
    return this.#read(
      (native) => native.arrayBuffer(),
      ({ buffer }) => buffer,
    );
  }

  bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return this.#read(
      async (native) => new Uint8Array(await native.arrayBuffer()),
      (bytes) => bytes,
    );
  }

  text(): Promise<string> {
    return this.#read((native) => native.text(), decoded(textOf), true);
  }

  json(): Promise<unknown> {
    return this.#read(
      (native) => native.json(),
      decoded((bytes) => JSON.parse(textOf(bytes))),
      true,
    );
  }

  blob(): Promise<Blob> {
    return this.#read(
      (native) => native.blob() as Promise<Blob>,
      (bytes) => this.#asTyped(bytes).blob() as Promise<Blob>,
    );
  }

  formData(): Promise<FormData> {
    return this.#read(
      (native) => native.formData(),
      (bytes) => this.#asTyped(bytes).formData(),
    );
  }

  clone(): Request {
    return this.#asNative().clone();
  }

  /** The body, through the real request if there is one. */
  #read<T>(
    of: (native: Request) => Promise<T>,
    make: (bytes: Uint8Array<ArrayBuffer>) => T | Promise<T>,
    isTemporary = false,
  ): Promise<T> {
    const native = this.#native;
    return unheard(native === undefined ? this.#all(isTemporary).then(make) : of(native));
  }

  /** The whole body, for one reader. @param isTemporary - As for {@link WholeBody}. */
  #all(isTemporary: boolean): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#isUsed) {
      return Promise.reject(new TypeError("The body of the request has been read already"));
    }
    if (this.#body === null) return Promise.resolve(new Uint8Array(0));
    this.#isUsed = true;
    return this.#body.all(isTemporary);
  }

  /** A response with the body and the current headers, for methods that depend on the Content-Type. */
  #asTyped(bytes: Uint8Array<ArrayBuffer>): Response {
    return new (natives().Response)(bytes, { headers: [...this.headers] });
  }

  #asNative(): Request {
    if (this.#native !== undefined) return this.#native;
    const init = {
      method: this.#method,
      headers: this.#headers === undefined ? fieldsOfHead(this.#head) : [...this.headers],
      signal: this.signal,
      ...(this.#body === null ? {} : { body: this.#isUsed ? "" : this.#body.stream() }),
      duplex: "half",
    };
    // The types of Node's fetch allow fewer bodies than it accepts.
    this.#native = new (natives().Request)(this.url, init as RequestInit);
    // A body that was read here counts as read there.
    if (this.#isUsed) void this.#native.text();
    return this.#native;
  }

  static {
    isOne = (value) => #head in value;
    nativeIn = (request) => request.#asNative();
    hasAbortedIn = (request) => request.#controller?.signal.aborted === true;
    closeIn = (request) => request.#body?.close();
    let blank: Request | undefined;
    for (const name of UNSAID) {
      defineGetter(LightRequest.prototype, name, () => {
        blank ??= new (natives().Request)("http://localhost/");
        return (blank as unknown as Record<string, unknown>)[name];
      });
    }
    Object.defineProperty(LightRequest.prototype, INSPECT, {
      value(this: LightRequest, _: number, options: object, inspect: Inspect) {
        const { method, url, headers, bodyUsed } = this;
        return `Request ${inspect({ method, url, headers, bodyUsed }, options)}`;
      },
    });
  }
}

/** Whether it is a light request. */
export function isLightRequest(value: unknown): value is LightRequest {
  return typeof value === "object" && value !== null && isOne(value);
}

/** The real request, which has the body from then on. */
export function nativeOf(request: LightRequest): Request {
  return nativeIn(request);
}

/** Whether its signal was used and has aborted. */
export function hasAborted(request: LightRequest): boolean {
  return hasAbortedIn(request);
}

/** The reply is complete: the body cannot be read any more. */
export function closeBody(request: LightRequest): void {
  closeIn(request);
}

/** The reason of an abort and of a cancelled stream when a client leaves. */
export function whyAborted(): DOMException {
  return new DOMException("The client left before its reply was complete", "AbortError");
}

/** Decodes a temporary body, and uses its memory again. */
function decoded<T>(
  decode: (bytes: Uint8Array<ArrayBuffer>) => T,
): (bytes: Uint8Array<ArrayBuffer>) => T {
  return (bytes: Uint8Array<ArrayBuffer>): T => {
    try {
      return decode(bytes);
    } finally {
      WholeBody.reuse(bytes);
    }
  };
}

function methodOf(method: string): string {
  if (method === "GET" || STANDARD.has(method)) return method;
  const capitals = method.toUpperCase();
  return STANDARD.has(capitals) ? capitals : method;
}

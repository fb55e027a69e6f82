import { copyOf, isOwnBuffer } from "./buffer-source.ts";
import { FileBody } from "./file-body.ts";
import { HeldBody } from "./held-body.ts";
import { textOf } from "./incoming-body.ts";
import { asHeaders, fixHeaders, LightHeaders } from "./light-headers.ts";
import {
  type BodyInit,
  type HeadersInit,
  INSPECT,
  type Inspect,
  natives,
  type ResponseInit,
} from "./natives.ts";

export const TEXT = "text/plain;charset=UTF-8";
export const FORM = "application/x-www-form-urlencoded;charset=UTF-8";
const JSON_TYPE = "application/json";
const REASON = /^[\t -~\x80-\xff]*$/;
const BODILESS: ReadonlySet<number> = new Set([101, 103, 204, 205, 304]);
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** The parts of a response to send, if its body is in memory or a file. */
export interface Contents {
  readonly status: number;
  readonly body: string | Uint8Array | FileBody | null;
  /** Null if there is at most a Content-Type. */
  readonly headers: LightHeaders | Headers | null;
  readonly type: string | null;
}

/** The known facts about a body that must be read. */
export interface NativeBody {
  /** The length in bytes; -1 if unknown. */
  readonly length: number;
  /** Whether it is a stream of the program, which then guarantees a Content-Length that it has set. */
  readonly isStream: boolean;
}

/** Nothing is known. */
export const UNKNOWN: NativeBody = { length: -1, isStream: false };
const STREAM: NativeBody = { length: -1, isStream: true };
/** Streams of bodies whose length is known. */
const streams = new WeakMap<ReadableStream, NativeBody>();

export function nativeBodyOf(body: unknown): NativeBody {
  // Bun reports an infinite size for a file that is opened when it is read.
  if (body instanceof Blob && Number.isSafeInteger(body.size)) {
    return { length: body.size, isStream: false };
  }
  return body instanceof ReadableStream ? (streams.get(body) ?? STREAM) : UNKNOWN;
}

/** The stream of a body. A response that is made of it knows the same facts. */
export function streamWith(
  stream: ReadableStream | null,
  known: NativeBody,
): ReadableStream | null {
  if (stream !== null && known.length >= 0) streams.set(stream, known);
  return stream;
}

let isOne: (value: object) => boolean;
let contentsIn: (response: LightResponse) => Contents;
let nativeIn: (response: LightResponse) => Response | null;
let bodyIn: (response: LightResponse) => NativeBody;
let isLockedIn: (response: LightResponse) => boolean;

/**
 * A `Response` that keeps a string or bytes as its body, and sends them as they are.
 *
 * @remarks
 * Node's own makes a stream of them at once, and reading that is several times as much work as the rest of a reply. All
 * other bodies, and everything that only a real response can do, are delegated to a real one, which is made then.
 */
export class LightResponse {
  #held: HeldBody | FileBody | null = null;
  #status = 200;
  #statusText = "";
  #headers: LightHeaders | null = null;
  /** The Content-Type, if it is the only header. */
  #type: string | null = null;
  #native: Response | null = null;
  #nativeBody: NativeBody = UNKNOWN;

  // Default parameters, so that `length` is 0, as of the runtime's constructor.
  constructor(body: BodyInit | null = undefined, init: ResponseInit = undefined) {
    if (init !== undefined && init !== null) this.#take(init);
    if (body === undefined || body === null) return;
    const held = HeldBody.of(body) ?? FileBody.of(body);
    if (held !== undefined) {
      this.#hold(held, null);
    } else if (typeof body === "string") {
      this.#hold(new HeldBody(body), TEXT);
    } else if (isOwnBuffer(body)) {
      this.#hold(new HeldBody(copyOf(body)), null);
    } else if (body instanceof URLSearchParams) {
      this.#hold(new HeldBody(body.toString()), FORM);
    } else {
      this.#native = new (natives().Response)(body, init);
      this.#headers = new LightHeaders(this.#native.headers as HeadersInit);
      this.#nativeBody = nativeBodyOf(body);
    }
  }

  static json(data: unknown, init: ResponseInit = undefined): Response {
    checkJsonInit(init);
    const text = JSON.stringify(data);
    if (text === undefined) throw new TypeError("Response.json was given what JSON does not have");
    const response = new LightResponse(null, init);
    response.#hold(new HeldBody(text), JSON_TYPE);
    return response as unknown as Response;
  }

  static redirect(url: string | URL, status: number = 302): Response {
    const code = asStatus(status);
    if (!REDIRECTS.has(code)) return natives().Response.redirect(url, status as 302);
    const location = new URL(`${url}`).href;
    const response = new LightResponse(null, { status: code, headers: { location } });
    fixHeaders(response.#headers as LightHeaders);
    return response as unknown as Response;
  }

  get status(): number {
    return this.#status;
  }

  get statusText(): string {
    return this.#statusText;
  }

  get ok(): boolean {
    return this.#status >= 200 && this.#status <= 299;
  }

  get headers(): Headers {
    if (this.#headers === null) {
      this.#headers = new LightHeaders();
      if (this.#type !== null) this.#headers.append("content-type", this.#type);
    }
    return asHeaders(this.#headers);
  }

  get type(): string {
    return "default";
  }

  get url(): string {
    return "";
  }

  get redirected(): boolean {
    return false;
  }

  get body(): ReadableStream | null {
    if (this.#native === null) return this.#held?.stream ?? null;
    return streamWith(this.#native.body, this.#nativeBody);
  }

  get bodyUsed(): boolean {
    return this.#native?.bodyUsed ?? this.#held?.isUsed ?? false;
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    return this.#native?.arrayBuffer() ?? this.#use().slice().buffer;
  }

  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array(await this.arrayBuffer());
  }

  async text(): Promise<string> {
    return this.#native?.text() ?? textOf(this.#use());
  }

  async json(): Promise<unknown> {
    return this.#native?.json() ?? JSON.parse(textOf(this.#use()));
  }

  async blob(): Promise<Blob> {
    return (await this.#asTyped()).blob() as Promise<Blob>;
  }

  async formData(): Promise<FormData> {
    return (await this.#asTyped()).formData();
  }

  clone(): Response {
    if (this.bodyUsed || this.#held?.isLocked === true) {
      throw new TypeError("A response whose body has been read has no clone");
    }
    const { status, statusText } = this;
    const headers = asHeaders(new LightHeaders(this.headers as HeadersInit));
    const copy = new LightResponse(null, { status, statusText, headers });
    if (this.#native !== null) {
      copy.#native = this.#native.clone();
      copy.#nativeBody = this.#nativeBody;
    } else if (this.#held !== null) {
      const { isOut } = this.#held;
      copy.#held = this.#held.copy();
      // From now on the clones read the stream that the program has.
      if (isOut) {
        const held = this.#held.copy();
        this.#held.sent();
        this.#held = held;
      }
    }
    return copy as unknown as Response;
  }

  #take(init: NonNullable<ResponseInit>): void {
    // The runtime's class refuses or converts it.
    if (typeof init !== "object") void new (natives().Response)(null, init);
    const { headers, status, statusText } = init;
    if (headers !== undefined) this.#headers = new LightHeaders(headers as HeadersInit);
    const isUsual = status === undefined || (status >= 200 && status <= 599);
    if (isUsual && (statusText === undefined || isReason(statusText))) {
      this.#status = Math.trunc(Number(status ?? 200));
      this.#statusText = statusText ?? "";
      return;
    }
    // The runtime converts or refuses everything else.
    const converted = new (natives().Response)(null, asPresent({ status, statusText }));
    this.#status = converted.status;
    this.#statusText = converted.statusText;
  }

  /** A response of the runtime with the body and the current headers. This uses the body. */
  async #asTyped(): Promise<Response> {
    const { headers } = this;
    const bytes = this.#native === null ? this.#use() : await this.#native.arrayBuffer();
    return new (natives().Response)(bytes, { headers: [...headers] });
  }

  #hold(body: HeldBody | FileBody, type: string | null): void {
    if (this.#status !== 200 && BODILESS.has(this.#status)) {
      throw new TypeError(`A response with the status ${this.#status} has no body`);
    }
    this.#held = body;
    if (this.#headers === null) this.#type = type;
    else if (type !== null && !this.#headers.has("content-type")) {
      this.#headers.append("content-type", type);
    }
  }

  /** The body, for one reader. */
  #use(): Uint8Array<ArrayBuffer> {
    return this.#held === null ? new Uint8Array(0) : this.#held.use();
  }

  static {
    isOne = (value) => #status in value;
    nativeIn = (response) => response.#native;
    bodyIn = (response) => response.#nativeBody;
    isLockedIn = (response) => response.#held?.isLocked === true;
    contentsIn = (response) => {
      const held = response.#held;
      // A file is marked as used when it is sent.
      if (held instanceof HeldBody) held.sent();
      return {
        status: response.#status,
        body: held instanceof HeldBody ? held.content : held,
        headers: response.#headers,
        type: response.#type,
      };
    };
    Object.defineProperty(LightResponse.prototype, INSPECT, {
      value(this: LightResponse, _: number, options: object, inspect: Inspect) {
        const { status, statusText, headers, bodyUsed, ok } = this;
        return `Response ${inspect({ status, statusText, headers, bodyUsed, ok }, options)}`;
      },
    });
  }
}

/** Whether it is a light response. */
export function isLight(value: object): value is LightResponse {
  return isOne(value);
}

/** The real response that has its body; null if the body is in memory. */
export function nativeOf(response: LightResponse): Response | null {
  return nativeIn(response);
}

/** The known facts about the body of the real response. */
export function nativeBodyIn(response: LightResponse): NativeBody {
  return bodyIn(response);
}

/** Whether its body is being read, or was. */
export function isTaken(response: LightResponse): boolean {
  return response.bodyUsed || isLockedIn(response);
}

/** A response of the runtime with the same body. */
export function twinOf(response: LightResponse): Response {
  const { headers, body } = response;
  return new (natives().Response)(body, { headers: [...headers] });
}

/** The parts to send. This uses the body. */
export function contentsOf(response: LightResponse): Contents {
  return contentsIn(response);
}

/**
 * Checks the second argument of `Response.json`.
 *
 * @throws TypeError for a value that is not a dictionary, which Bun accepts; and for null, which Node 20 refuses. The
 * others accept null as Web IDL requires, but a caller of `Response.json(data, null, 2)` means `JSON.stringify`.
 */
export function checkJsonInit(init: unknown): void {
  if (init === undefined || typeof init === "function") return;
  if (typeof init === "object" && init !== null) return;
  throw new TypeError(
    `Response.json was given ${String(init)} as its second argument: give an object, or leave it out`,
  );
}

/** Converts a status as the standard does. @throws TypeError for a symbol or a bigint. */
export function asStatus(status: unknown): number {
  // An unsigned short of Web IDL.
  return new Uint16Array([+(status as number)])[0] as number;
}

function isReason(text: unknown): text is string {
  return typeof text === "string" && REASON.test(text);
}

/** Removes undefined properties, which the runtime's class may take for values. */
function asPresent({ status, statusText }: { status: unknown; statusText: unknown }): ResponseInit {
  const init: Record<string, unknown> = {};
  if (status !== undefined) init.status = status;
  if (statusText !== undefined) init.statusText = statusText;
  return init as ResponseInit;
}

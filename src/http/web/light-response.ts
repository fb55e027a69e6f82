import { HeldBody } from "./held-body.ts";
import { textOf } from "./incoming-body.ts";
import { asHeaders, LightHeaders } from "./light-headers.ts";
import {
  type BodyInit,
  type HeadersInit,
  INSPECT,
  type Inspect,
  natives,
  type ResponseInit,
} from "./natives.ts";

const TEXT = "text/plain;charset=UTF-8";
const JSON_TYPE = "application/json";
const REASON = /^[\t -~\x80-\xff]*$/;
const BODILESS: ReadonlySet<number> = new Set([101, 103, 204, 205, 304]);
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** What of a response is sent when its body is at hand. */
export interface Contents {
  readonly status: number;
  readonly body: string | Uint8Array | null;
  /** Null when there is nothing but a Content-Type. */
  readonly headers: LightHeaders | Headers | null;
  readonly type: string | null;
}

let isOne: (value: object) => boolean;
let contentsIn: (response: LightResponse) => Contents;
let nativeIn: (response: LightResponse) => Response | null;
let lengthIn: (response: LightResponse) => number;
let isLockedIn: (response: LightResponse) => boolean;

/**
 * A `Response` whose body stays what it was given: a string or bytes, which are sent as they are.
 *
 * @remarks
 * Node's own makes a stream of them at once, and to read that is several times as much work as all else that
 * an answer takes. Everything that is neither string nor bytes, and everything that only a real one can do,
 * is left to a real one, which is made then.
 */
export class LightResponse {
  #held: HeldBody | null = null;
  #status = 200;
  #statusText = "";
  #headers: LightHeaders | null = null;
  /** The Content-Type, as long as it is the only header. */
  #type: string | null = null;
  #native: Response | null = null;
  /** How long the body of that is; -1 when nobody knows. */
  #length = -1;

  constructor(body?: BodyInit | null, init?: ResponseInit) {
    if (init !== undefined && init !== null) this.#take(init);
    if (body === undefined || body === null) return;
    const held = HeldBody.of(body);
    if (held !== undefined) {
      this.#hold(held, null);
    } else if (typeof body === "string") {
      this.#hold(new HeldBody(body), TEXT);
    } else if (body instanceof Uint8Array) {
      // A copy, since what the program does with its own bytes next is no part of the response.
      this.#hold(new HeldBody(new Uint8Array(body)), null);
    } else if (body instanceof ArrayBuffer) {
      this.#hold(new HeldBody(new Uint8Array(body.slice(0))), null);
    } else {
      this.#native = new (natives().Response)(body, init);
      this.#headers = new LightHeaders(this.#native.headers as HeadersInit);
      if (body instanceof Blob) this.#length = body.size;
    }
  }

  static json(data: unknown, init?: ResponseInit): Response {
    const text = JSON.stringify(data);
    if (text === undefined) throw new TypeError("Response.json was given what JSON does not have");
    const response = new LightResponse(null, init);
    response.#hold(new HeldBody(text), JSON_TYPE);
    return response as unknown as Response;
  }

  static redirect(url: string | URL, status: number = 302): Response {
    const location = new URL(String(url)).href;
    if (!REDIRECTS.has(status)) {
      throw new RangeError(`Response.redirect was given ${status}, which redirects nobody`);
    }
    const response = new LightResponse(null, { status, headers: { location } });
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
    return this.#native === null ? (this.#held?.stream ?? null) : this.#native.body;
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
    if (this.#native !== null) return this.#native.blob() as Promise<Blob>;
    return new Blob([this.#use()], { type: this.headers.get("content-type") ?? "" });
  }

  async formData(): Promise<FormData> {
    if (this.#native !== null) return this.#native.formData();
    const type = this.headers.get("content-type") ?? "";
    const { Response } = natives();
    return new Response(this.#use(), { headers: { "content-type": type } }).formData();
  }

  clone(): Response {
    if (this.bodyUsed || this.#held?.isLocked === true) {
      throw new TypeError("A response whose body has been read has no clone");
    }
    const { status, statusText } = this;
    const headers = asHeaders(new LightHeaders(this.headers as HeadersInit));
    const copy = new LightResponse(null, { status, statusText, headers });
    if (this.#native !== null) copy.#native = this.#native.clone();
    else if (this.#held !== null) copy.#held = new HeldBody(this.#held.content);
    return copy as unknown as Response;
  }

  #take({ status = 200, statusText = "", headers }: NonNullable<ResponseInit>): void {
    const number = Math.trunc(Number(status));
    if (!(number >= 200 && number <= 599)) {
      throw new RangeError(`A response cannot have the status ${status}: 200 to 599 are allowed`);
    }
    const reason = String(statusText);
    if (!REASON.test(reason)) {
      throw new TypeError(`A response cannot have the statusText ${JSON.stringify(reason)}`);
    }
    this.#status = number;
    this.#statusText = reason;
    if (headers !== undefined) this.#headers = new LightHeaders(headers as HeadersInit);
  }

  #hold(body: HeldBody, type: string | null): void {
    if (BODILESS.has(this.#status)) {
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
    lengthIn = (response) => response.#length;
    isLockedIn = (response) => response.#held?.isLocked === true;
    contentsIn = (response) => {
      response.#held?.sent();
      return {
        status: response.#status,
        body: response.#held?.content ?? null,
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

/** Whether it is one of these, and no other response. */
export function isLight(value: object): value is LightResponse {
  return isOne(value);
}

/** The real one that has its body; null when that is at hand. */
export function nativeOf(response: LightResponse): Response | null {
  return nativeIn(response);
}

/** How long the body of the real one is; -1 when nobody knows. */
export function lengthOf(response: LightResponse): number {
  return lengthIn(response);
}

/** Whether somebody reads its body, or has. */
export function isTaken(response: LightResponse): boolean {
  return response.bodyUsed || isLockedIn(response);
}

/** What is to be sent. With that its body has been used. */
export function contentsOf(response: LightResponse): Contents {
  return contentsIn(response);
}

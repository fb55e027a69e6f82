import { isBuffer } from "./buffer-source.ts";
import { natives } from "./natives.ts";

/** The properties used of a response of another class: a polyfill's, or one of another realm. */
export interface ForeignResponse {
  readonly status: number;
  readonly headers: object;
  readonly body?: unknown;
  readonly bodyUsed?: boolean;
  readonly url?: unknown;
  arrayBuffer?(): Promise<unknown>;
}

/** The reader of a body. */
export interface BodySource {
  read(): Promise<{ readonly done: boolean; readonly value?: unknown }>;
  cancel(reason: unknown): Promise<unknown>;
}

/**
 * Whether a value is like a `Response`, whatever its class: it has a status, headers, and a body or a method that reads
 * it.
 */
export function isForeignResponse(value: object): value is ForeignResponse {
  const { status, headers } = value as Partial<ForeignResponse>;
  if (typeof status !== "number" || typeof headers !== "object" || headers === null) return false;
  return "body" in value || typeof (value as ForeignResponse).arrayBuffer === "function";
}

/** Its headers, as `Headers` of the runtime. @throws TypeError if they are invalid. */
export function foreignHeaders(given: object): Headers {
  const { Headers } = natives();
  const source = given as {
    readonly [Symbol.iterator]?: () => Iterator<[string, string]>;
    forEach?(callback: (value: string, name: string) => void): void;
    getSetCookie?(): string[];
    raw?(): Record<string, string[]>;
  };
  const pairs: [string, string][] = [];
  if (typeof source[Symbol.iterator] === "function") {
    for (const [name, value] of given as Iterable<[string, string]>) pairs.push([name, value]);
  } else if (typeof source.forEach === "function") {
    source.forEach((value, name) => void pairs.push([name, value]));
  } else {
    return new Headers(given as Record<string, string>);
  }
  // Some classes join Set-Cookie, which cannot be undone: Expires contains a comma.
  const cookies = source.getSetCookie?.() ?? source.raw?.()["set-cookie"];
  if (cookies === undefined) return new Headers(pairs);
  const others = pairs.filter(([name]) => name.toLowerCase() !== "set-cookie");
  return new Headers([
    ...others,
    ...cookies.map((cookie): [string, string] => ["set-cookie", cookie]),
  ]);
}

/** The reader of its body; null if it has none. @throws TypeError if it is no body. */
export function foreignBody(response: ForeignResponse): BodySource | null {
  const { body } = response;
  if (body === null) return null;
  if (body === undefined) return response.arrayBuffer === undefined ? null : wholeBody(response);
  if (typeof body === "object") {
    if ("getReader" in body) return (body as ReadableStream).getReader();
    if (Symbol.asyncIterator in body) return iterated(body as AsyncIterable<unknown>);
  }
  // A string, bytes or a form, which the runtime's class accepts. Bytes of another realm are checked when they are sent.
  if (ArrayBuffer.isView(body) || isBuffer(body)) return once(Promise.resolve(body));
  return new (natives().Response)(body as string).body?.getReader() ?? null;
}

/** The body of a polyfill without streams. */
function wholeBody(response: ForeignResponse): BodySource {
  return once((response.arrayBuffer as () => Promise<unknown>).call(response));
}

function once(whole: Promise<unknown>): BodySource {
  let isRead = false;
  return {
    async read() {
      if (isRead) return { done: true };
      isRead = true;
      return { done: false, value: await whole };
    },
    cancel: async () => undefined,
  };
}

function iterated(body: AsyncIterable<unknown>): BodySource {
  const iterator = body[Symbol.asyncIterator]();
  return {
    read: async () => {
      const { done = false, value } = await iterator.next();
      return { done, value };
    },
    cancel: async () => iterator.return?.(),
  };
}

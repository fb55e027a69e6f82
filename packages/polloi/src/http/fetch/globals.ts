import { LightHeaders } from "./light-headers.ts";
import { isLightRequest, LightRequest, nativeOf } from "./light-request.ts";
import { LightResponse, twinOf } from "./light-response.ts";
import { natives, type RequestInit, standsFor } from "./natives.ts";
import { rememberingResponse } from "./remembering-response.ts";

/** The globals that were replaced. */
interface Replaced {
  readonly name: "Request" | "Response" | "fetch";
  readonly by: unknown;
  readonly before: PropertyDescriptor;
}

/** The number of servers that need the replaced globals. */
let users = 0;
let replaced: readonly Replaced[] = [];

/**
 * Replaces global classes of the runtime, so that a `new Response` of the program is fast to make and to send.
 *
 * @param light - Whether requests are light ones. Then `Request` and `fetch` must be replaced as well, because those of the
 * runtime access private fields of a real request.
 * @returns A function that restores them when no other server needs them.
 */
export function replaceGlobals(light: boolean): () => void {
  users++;
  if (users === 1) replaced = light ? replaceAll() : [replace("Response", rememberingResponse())];
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    users--;
    if (users > 0) return;
    for (const { name, by, before } of replaced) {
      // Another value that was set since is left alone.
      if (globalThis[name] === by) Object.defineProperty(globalThis, name, before);
    }
    replaced = [];
  };
}

function replaceAll(): Replaced[] {
  const { Request, Response, Headers } = natives();
  standsFor(LightHeaders, Headers);
  setConstructor(LightHeaders, Headers);
  standsFor(LightRequest, Request, nativeOf);
  standsFor(LightResponse, Response, twinOf);
  return [
    replace("Response", LightResponse),
    replace("Request", requestClass()),
    replace("fetch", fetchOf(globalThis.fetch)),
  ];
}

function replace(name: Replaced["name"], by: unknown): Replaced {
  const before = Object.getOwnPropertyDescriptor(globalThis, name) as PropertyDescriptor;
  Object.defineProperty(globalThis, name, {
    value: by,
    writable: true,
    configurable: true,
    enumerable: before.enumerable ?? false,
  });
  return { name, by, before };
}

/** The runtime's Request, whose constructor accepts a light request as well. */
function requestClass(): typeof Request {
  const { Request: Native } = natives();
  class Replacement extends Native {
    // A default parameter, so that `length` is 1, as of the runtime's constructor.
    constructor(input: ConstructorParameters<typeof Native>[0], init: RequestInit = undefined) {
      super(real(input), real(init));
    }
  }
  standsFor(Replacement, Native);
  // The constructor of a light request takes the request that was parsed.
  setConstructor(LightRequest, Replacement);
  return Replacement;
}

/** Sets the class that a program finds in the property `constructor` of instances of `light`. */
function setConstructor(light: { readonly prototype: object }, visible: object): void {
  Object.defineProperty(light.prototype, "constructor", {
    value: visible,
    writable: true,
    configurable: true,
  });
}

function fetchOf(native: typeof fetch): typeof fetch {
  const replacement: typeof fetch = (input, init) => native(real(input), init);
  Object.defineProperty(replacement, "name", { value: "fetch", configurable: true });
  return replacement;
}

function real<T>(value: T): T {
  return isLightRequest(value) ? (nativeOf(value) as T) : value;
}

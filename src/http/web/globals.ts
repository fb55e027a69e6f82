import { LightHeaders } from "./light-headers.ts";
import { LightRequest, nativeOf } from "./light-request.ts";
import { LightResponse } from "./light-response.ts";
import { natives, type RequestInit, standsFor } from "./natives.ts";

/** What stood where something else stands now. */
interface Replaced {
  readonly name: "Request" | "Response" | "fetch";
  readonly by: unknown;
  readonly before: PropertyDescriptor;
}

/** Servers that need the light ones. */
let users = 0;
let replaced: readonly Replaced[] = [];

/** Has light requests and responses pass for the runtime's own. Done once, and harmless. */
export function introduce(): void {
  const { Request, Response, Headers } = natives();
  standsFor(LightHeaders, Headers);
  standsFor(LightRequest, Request);
  standsFor(LightResponse, Response);
}

/**
 * Puts light classes in the place of the runtime's, so that `new Response` of a program is cheap, and that
 * `new Request(request)` and `fetch(request)` take a light one, which looks into by the private parts that a
 * real one has.
 *
 * @returns what puts them back, when nobody else needs them any more.
 */
export function replaceGlobals(): () => void {
  introduce();
  users++;
  if (users === 1) {
    replaced = [
      replace("Response", LightResponse),
      replace("Request", requestClass()),
      replace("fetch", fetchOf(globalThis.fetch)),
    ];
  }
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    users--;
    if (users > 0) return;
    for (const { name, by, before } of replaced) {
      // What somebody has put there since is theirs.
      if (globalThis[name] === by) Object.defineProperty(globalThis, name, before);
    }
    replaced = [];
  };
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

/** The runtime's Request, which makes of a light one what it can read. */
function requestClass(): typeof Request {
  const { Request: Native } = natives();
  const Replacement = class Request extends Native {
    constructor(input: ConstructorParameters<typeof Native>[0], init?: RequestInit) {
      super(real(input), real(init));
    }
  };
  Object.defineProperty(Replacement, Symbol.hasInstance, {
    value(this: unknown, value: unknown): boolean {
      if (this === Replacement) return value instanceof Native;
      return Function.prototype[Symbol.hasInstance].call(this as () => void, value);
    },
  });
  return Replacement;
}

function fetchOf(native: typeof fetch): typeof fetch {
  const replacement: typeof fetch = (input, init) => native(real(input), init);
  Object.defineProperty(replacement, "name", { value: "fetch", configurable: true });
  return replacement;
}

function real<T>(value: T): T {
  if (!((value as unknown) instanceof LightRequest)) return value;
  return nativeOf(value as unknown as LightRequest) as T;
}

/** What the Fetch standard gives every runtime, as the runtime has it itself. */
export interface Natives {
  readonly Request: typeof Request;
  readonly Response: typeof Response;
  readonly Headers: typeof Headers;
}

/** What their constructors take: lib.dom and Node's types name these differently. */
export type BodyInit = ConstructorParameters<typeof Response>[0];
export type HeadersInit = ConstructorParameters<typeof Headers>[0];
export type RequestInit = ConstructorParameters<typeof Request>[1];
export type ResponseInit = ConstructorParameters<typeof Response>[1];

let found: Natives | undefined;

/**
 * The runtime's own classes, whatever stands in their place later.
 *
 * @remarks
 * Looked up when they are first needed: to name them makes Node load them, which a server without a fetch
 * handler can do without.
 */
export function natives(): Natives {
  found ??= { Request, Response, Headers };
  return found;
}

/**
 * Has a class pass for one of the runtime's: what it lacks it inherits, its instances are instances of both, and
 * those of the runtime are instances of it. Of a class that a program derives from it only its own are.
 */
export function standsFor(light: { prototype: object; name: string }, native: object): void {
  if (Object.hasOwn(light, Symbol.hasInstance)) return;
  const { prototype, name } = native as { prototype: object; name: string };
  Object.setPrototypeOf(light, native);
  Object.setPrototypeOf(light.prototype, prototype);
  Object.defineProperty(light, "name", { value: name, configurable: true });
  const isInstance = Function.prototype[Symbol.hasInstance];
  Object.defineProperty(light, Symbol.hasInstance, {
    value(this: () => void, value: unknown): boolean {
      return isInstance.call(this === light ? (native as () => void) : this, value);
    },
  });
}

/** How `console.log` of Node, and of the others after it, finds out what to print. */
export const INSPECT: symbol = Symbol.for("nodejs.util.inspect.custom");
export type Inspect = (value: unknown, options: object) => string;

/** The runtime's own classes of the Fetch standard. */
export interface Natives {
  readonly Request: typeof Request;
  readonly Response: typeof Response;
  readonly Headers: typeof Headers;
}

/** The parameters of their constructors, which lib.dom and Node's types name differently. */
export type BodyInit = ConstructorParameters<typeof Response>[0];
export type HeadersInit = ConstructorParameters<typeof Headers>[0];
export type RequestInit = ConstructorParameters<typeof Request>[1];
export type ResponseInit = ConstructorParameters<typeof Response>[1];

let found: Natives | undefined;

/**
 * The runtime's own classes, also while the globals are replaced.
 *
 * @remarks
 * Looked up when they are first needed, because accessing them makes Node load them, and a server without a fetch handler
 * does not need them.
 */
export function natives(): Natives {
  found ??= { Request, Response, Headers };
  return found;
}

/**
 * Makes a class compatible with one of the runtime: it inherits the members that it lacks, its instances are instances of
 * both, and those of the runtime are instances of it. A class that a program derives from it has only its own instances.
 * Its members are enumerable, as of every class of Web IDL.
 *
 * @param twinOf - Makes an instance of the runtime's class with the same body, for methods of that class that this one does
 * not know. They access private fields that an instance of `light` does not have.
 */
export function standsFor<Light extends object>(
  light: { prototype: Light; name: string },
  native: object,
  twinOf?: (light: Light) => object,
): void {
  if (Object.hasOwn(light, Symbol.hasInstance)) return;
  const { prototype, name } = native as { prototype: object; name: string };
  if (twinOf !== undefined) {
    for (const [key, member] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
      const method: unknown = member.value;
      if (typeof method !== "function" || Object.hasOwn(light.prototype, key)) continue;
      defineMethod(light.prototype, key, function (this: Light, ...args: unknown[]): unknown {
        return method.apply(twinOf(this), args);
      });
    }
  }
  Object.setPrototypeOf(light, native);
  Object.setPrototypeOf(light.prototype, prototype);
  Object.defineProperty(light, "name", { value: name, configurable: true });
  for (const part of [light, light.prototype]) {
    for (const [key, member] of Object.entries(Object.getOwnPropertyDescriptors(part))) {
      const isMember = typeof member.value === "function" || member.get !== undefined;
      if (isMember && key !== "constructor") {
        Object.defineProperty(part, key, { ...member, enumerable: true });
      }
    }
  }
  const isInstance = Function.prototype[Symbol.hasInstance];
  Object.defineProperty(light, Symbol.hasInstance, {
    value(this: () => void, value: unknown): boolean {
      return isInstance.call(this === light ? (native as () => void) : this, value);
    },
  });
}

/** Adds a method to a prototype, as Web IDL defines them. */
export function defineMethod(
  prototype: object,
  name: string,
  method: (...args: never[]) => unknown,
): void {
  Object.defineProperty(method, "name", { value: name, configurable: true });
  Object.defineProperty(method, "length", { value: 0, configurable: true });
  const open = { writable: true, enumerable: true, configurable: true };
  Object.defineProperty(prototype, name, { value: method, ...open });
}

/** Adds a getter to a prototype, as Web IDL defines them. */
export function defineGetter(prototype: object, name: string, get: () => unknown): void {
  Object.defineProperty(get, "name", { value: `get ${name}`, configurable: true });
  Object.defineProperty(prototype, name, { get, enumerable: true, configurable: true });
}

/** The symbol of the method that `console.log` of Node, Bun and Deno calls. */
export const INSPECT: symbol = Symbol.for("nodejs.util.inspect.custom");
export type Inspect = (value: unknown, options: object) => string;

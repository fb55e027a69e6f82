/**
 * How objects print that refer to a kernel: as one line, on every runtime.
 *
 * By default `console.log` would print the kernel and its functions, and `JSON.stringify` mapped memory.
 */

/** The properties to print, in this order. Undefined ones are omitted. */
export type Fields = Readonly<Record<string, unknown>>;

/** The methods through which `console.log` gets the text of an object: Node and Bun use the first, Deno both. */
const INSPECT: unique symbol = Symbol.for("nodejs.util.inspect.custom");
const INSPECT_DENO: unique symbol = Symbol.for("Deno.customInspect");

/**
 * Makes the instances of a class print as the name of their class and the fields that `fieldsOf` returns. Their JSON
 * has the same contents.
 *
 * @param type - A class. Its subclasses print with their own names.
 * @param name - The name to print instead.
 */
export function printAs<T extends object>(
  type: { readonly prototype: T },
  fieldsOf: (it: T) => Fields,
  name?: string,
): void {
  const nameOf = (it: T): string => name ?? it.constructor.name;
  const line = function (this: T): string {
    return lineOf(nameOf(this), fieldsOf(this));
  };
  const toJSON = function (this: T): object {
    return { type: nameOf(this), ...fieldsOf(this) };
  };
  for (const [key, value] of [
    [INSPECT, line],
    [INSPECT_DENO, line],
    ["toJSON", toJSON],
  ] as const) {
    // Not enumerable, like methods.
    Object.defineProperty(type.prototype, key, { value, configurable: true, writable: true });
  }
}

function lineOf(name: string, fields: Fields): string {
  const shown = Object.entries(fields).filter(([, value]) => value !== undefined);
  if (shown.length === 0) return `${name} {}`;
  return `${name} { ${shown.map(([key, value]) => `${key}: ${JSON.stringify(value)}`).join(", ")} }`;
}

/** Returns the names of the bits that are set, as source code: `"EVENT_READ | EVENT_WRITE"`. */
export function bitNames(bits: number, names: Readonly<Record<string, number>>): string {
  const set = Object.entries(names).flatMap(([name, bit]) => ((bits & bit) !== 0 ? [name] : []));
  return set.length === 0 ? "0" : set.join(" | ");
}

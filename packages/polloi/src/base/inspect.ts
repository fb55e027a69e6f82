/**
 * How an object prints that holds something of the kernel's: one line, on every runtime.
 *
 * Without it `console.log` walks into the kernel and its functions, and `JSON.stringify` into mapped memory.
 */

/** What is shown of an object, in this order. What is undefined is left out. */
export type Fields = Readonly<Record<string, unknown>>;

/** By these `console.log` and its kin ask an object for its text: Node and Bun by the first, Deno by both. */
const INSPECT: unique symbol = Symbol.for("nodejs.util.inspect.custom");
const INSPECT_DENO: unique symbol = Symbol.for("Deno.customInspect");

/**
 * Has the instances of a class print as their name and `fieldsOf` them, and become the same as JSON.
 *
 * @param type - A class; its subclasses print by their own names.
 * @param name - What to call them instead.
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
    // Not enumerable, as methods are.
    Object.defineProperty(type.prototype, key, { value, configurable: true, writable: true });
  }
}

function lineOf(name: string, fields: Fields): string {
  const shown = Object.entries(fields).filter(([, value]) => value !== undefined);
  if (shown.length === 0) return `${name} {}`;
  return `${name} { ${shown.map(([key, value]) => `${key}: ${JSON.stringify(value)}`).join(", ")} }`;
}

/** The names of the bits that are set, as a program would write them: `"EVENT_READ | EVENT_WRITE"`. */
export function bitNames(bits: number, names: Readonly<Record<string, number>>): string {
  const set = Object.entries(names).flatMap(([name, bit]) => ((bits & bit) !== 0 ? [name] : []));
  return set.length === 0 ? "0" : set.join(" | ");
}

import { type MisuseCode, numberError, show, typeError } from "./misuse.ts";
import { nearestOf } from "./nearest.ts";

/**
 * Checks of the arguments of public functions, made before any system call.
 *
 * Each function takes an argument and its name for the error message. Callers may be plain JavaScript, so the
 * types alone prove nothing.
 */

/** The smallest and the largest integer allowed. */
export type Range = readonly [least: number, most: number];

/** 32 bits of flags, written as a signed or an unsigned number. */
const BITS: Range = [-0x8000_0000, 0xffff_ffff];
/** The kernel's `int`. */
const INT: Range = [-0x8000_0000, 0x7fff_ffff];

/**
 * Returns `value` if it is an integer in `range`. -0 becomes 0, because Deno's foreign-function interface rejects
 * it as an integer.
 *
 * @throws TypeError with `code` when it is not a number, RangeError with `code` when it is any other number.
 */
export function integerOf(
  value: unknown,
  name: string,
  range: Range,
  code: MisuseCode = "ERR_INVALID_OPTION",
): number {
  const [least, most] = range;
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) {
    return (value as number) + 0;
  }
  throw numberError(
    code,
    value,
    `Cannot use ${show(value)} as ${name}: give an integer from ${least} to ${most}`,
  );
}

/** Returns the flags of a call as a 32-bit integer. @throws as {@link integerOf}. */
export function flagsOf(value: unknown, name = "flags"): number {
  return integerOf(value, name, BITS) | 0;
}

/** Returns `value` if it fits the `int` of C, as a socket option does. @throws as {@link integerOf}. */
export function intOf(value: unknown, name: string): number {
  return integerOf(value, name, INT);
}

/**
 * Returns `value` if it is a boolean.
 *
 * @param defaultValue - Returned for `undefined`. Without it, `undefined` is rejected.
 * @throws TypeError `ERR_INVALID_OPTION`
 */
export function booleanOf(value: unknown, name: string, defaultValue?: boolean): boolean {
  if (value === undefined && defaultValue !== undefined) return defaultValue;
  if (typeof value === "boolean") return value;
  throw notA(value, name, "true or false");
}

/** Returns `value` if it is a string. @throws TypeError with `code` */
export function stringOf(value: unknown, name: string, code?: MisuseCode): string {
  if (typeof value === "string") return value;
  throw notA(value, name, "a string", code);
}

/** Returns `value` if it is an array. @throws TypeError with `code` */
export function listOf<T>(value: readonly T[], name: string, code?: MisuseCode): readonly T[] {
  if (Array.isArray(value)) return value;
  throw notA(value, name, "an array", code);
}

/** Returns `value` if it is a plain object. @throws TypeError `ERR_INVALID_OPTION` */
export function objectOf<T extends object>(value: T, name: string): T {
  // A class or a function has properties such as `name` and `length`, which are not options.
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw notA(value, name, "an object");
}

/**
 * The names of all members of an options interface. The list stands next to the interface, and the compiler rejects
 * it if a name is missing. The list of an interface that extends others consists of their lists.
 */
export type NamesOf<Options> = { readonly [Name in keyof Options & string]-?: true };

/**
 * Returns `options` if it is a plain object without unknown options.
 *
 * @remarks
 * Inherited properties are not checked, so `options` may be an instance of a class. Undefined properties count as
 * omitted. The namespace of a module may export other names too.
 *
 * @param of - The function that takes the options, for the error message: `listen()`.
 * @param names - The names of all its options.
 * @param counterparts - What to do instead of options of other libraries, by their name, for the error message.
 * @throws TypeError `ERR_INVALID_OPTION`
 */
export function optionsOf<T extends object>(
  options: T,
  of: string,
  names: Readonly<Record<string, true>>,
  counterparts: Readonly<Record<string, string>> = {},
): T {
  const name = unknownIn(objectOf(options, "options"), names);
  if (name === undefined) return options;
  const instead = Object.hasOwn(counterparts, name) ? counterparts[name] : undefined;
  throw unknownOption(name, of, Object.keys(names), instead);
}

/** The first unknown option; undefined if there is none. */
export function unknownIn<T extends object>(
  options: T,
  names: Readonly<Record<string, true>>,
): string | undefined {
  for (const name in options) {
    if (names[name] === true || !Object.hasOwn(options, name) || isModule(options)) continue;
    if (options[name] !== undefined) return name;
  }
  return undefined;
}

/** Options that only tests and tools pass. A message does not offer them. */
const INTERNAL: ReadonlySet<string> = new Set(["kernel", "observer"]);

function isModule(value: object): boolean {
  return (value as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag] === "Module";
}

function unknownOption(
  name: string,
  of: string,
  known: readonly string[],
  counterpart: string | undefined,
): TypeError {
  const instead = counterpart ?? similarTo(name, known);
  return typeError("ERR_INVALID_OPTION", `Unknown option ${show(name)} of ${of}; ${instead}`);
}

function similarTo(name: string, known: readonly string[]): string {
  const nearest = nearestOf(name, known);
  if (nearest !== undefined) return `did you mean ${show(nearest)}?`;
  const names = known.filter((each) => !INTERNAL.has(each)).join(", ");
  return names === "" ? "it has no options" : `give ${names}`;
}

function notA(
  value: unknown,
  name: string,
  kind: string,
  code: MisuseCode = "ERR_INVALID_OPTION",
): TypeError {
  return typeError(code, `Cannot use ${show(value)} as ${name}: give ${kind}`);
}

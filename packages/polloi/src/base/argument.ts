import { type MisuseCode, rangeError, show, typeError } from "./misuse.ts";
import { nearestOf } from "./nearest.ts";

/**
 * Checks of the arguments of public functions, made before the kernel is asked.
 *
 * Each takes what a caller gave and the name by which the message calls it. JavaScript calls these
 * functions too, so a type alone proves nothing.
 */

/** The least and the most of an integer, both allowed. */
export type Range = readonly [least: number, most: number];

/** What the flags of a call may be: its 32 bits, written signed or unsigned. */
const BITS: Range = [-0x8000_0000, 0xffff_ffff];
/** The kernel's `int`. */
const INT: Range = [-0x8000_0000, 0x7fff_ffff];

/**
 * `value` when it is an integer in `range`. -0 becomes 0: a foreign-function interface may not take it.
 *
 * @throws TypeError of `code` when it is no number, RangeError of `code` when it is another one.
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
  const message = `Cannot use ${show(value)} as ${name}: give an integer from ${least} to ${most}`;
  throw typeof value === "number" ? rangeError(code, message) : typeError(code, message);
}

/** Bits of a call's flags as the number that crosses to the kernel. @throws as {@link integerOf}. */
export function flagsOf(value: unknown, name = "flags"): number {
  return integerOf(value, name, BITS) | 0;
}

/** A number that the kernel takes as an `int`: a level, an option. @throws as {@link integerOf}. */
export function intOf(value: unknown, name: string): number {
  return integerOf(value, name, INT);
}

/**
 * `value` when it is a boolean.
 *
 * @param usual - What it is when it was left out; without it, it cannot be.
 * @throws TypeError `ERR_INVALID_OPTION`
 */
export function booleanOf(value: unknown, name: string, usual?: boolean): boolean {
  if (value === undefined && usual !== undefined) return usual;
  if (typeof value === "boolean") return value;
  throw notA(value, name, "true or false");
}

/** `value` when it is a string. @throws TypeError of `code` */
export function stringOf(value: unknown, name: string, code?: MisuseCode): string {
  if (typeof value === "string") return value;
  throw notA(value, name, "a string", code);
}

/** `value` when it is an array. @throws TypeError of `code` */
export function listOf<T>(value: readonly T[], name: string, code?: MisuseCode): readonly T[] {
  if (Array.isArray(value)) return value;
  throw notA(value, name, "an array", code);
}

/** `value` when it is an object. @throws TypeError `ERR_INVALID_OPTION` */
export function objectOf<T extends object>(value: T, name: string): T {
  // A class or a function has properties of its own by other names than options have.
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw notA(value, name, "an object");
}

/**
 * The names of all members of an options interface, listed next to it: the compiler refuses a list that lacks one. A
 * list of an interface that extends others is made of their lists.
 */
export type NamesOf<Options> = { readonly [Name in keyof Options & string]-?: true };

/**
 * `options` when it is an object to read options from, and has no others than those by these names.
 *
 * @remarks
 * What is inherited is not looked at, so that `options` may be an instance of a class. A property that is undefined
 * counts as left out. The namespace of a module may export more than options.
 *
 * @param of - The function that takes them, for the message: `listen()`.
 * @throws TypeError `ERR_INVALID_OPTION`
 */
export function optionsOf<T extends object>(
  options: T,
  of: string,
  names: Readonly<Record<string, true>>,
): T {
  for (const name in objectOf(options, "options")) {
    if (names[name] === true || !Object.hasOwn(options, name) || isModule(options)) continue;
    if (options[name] === undefined) continue;
    throw unknownOption(name, of, Object.keys(names));
  }
  return options;
}

function isModule(value: object): boolean {
  return (value as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag] === "Module";
}

function unknownOption(name: string, of: string, known: readonly string[]): TypeError {
  const nearest = nearestOf(name, known);
  const instead =
    nearest === undefined ? `give ${known.join(", ")}` : `did you mean ${show(nearest)}?`;
  return typeError("ERR_INVALID_OPTION", `Unknown option ${show(name)} of ${of}; ${instead}`);
}

function notA(
  value: unknown,
  name: string,
  kind: string,
  code: MisuseCode = "ERR_INVALID_OPTION",
): TypeError {
  return typeError(code, `Cannot use ${show(value)} as ${name}: give ${kind}`);
}

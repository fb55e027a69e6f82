import { type MisuseCode, rangeError, show, typeError } from "./misuse.ts";

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

/** `options` when it is an object to read options from. @throws TypeError `ERR_INVALID_OPTION` */
export function optionsOf<T extends object>(options: T, name = "options"): T {
  // A class or a function has properties of its own by other names than options have.
  if (typeof options === "object" && options !== null && !Array.isArray(options)) return options;
  throw notA(options, name, "an object");
}

function notA(
  value: unknown,
  name: string,
  kind: string,
  code: MisuseCode = "ERR_INVALID_OPTION",
): TypeError {
  return typeError(code, `Cannot use ${show(value)} as ${name}: give ${kind}`);
}

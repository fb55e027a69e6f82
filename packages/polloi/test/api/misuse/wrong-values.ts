/** Values that callers pass by mistake, and what each kind of argument says to them. */

/** What a hostile object throws when anything is done with it: the caller's own error, passed on as it is. */
export const HOSTILE: Error = new Error("thrown by the argument itself");

function refuse(): never {
  throw HOSTILE;
}

const hostile: object = new Proxy(
  {},
  {
    get: refuse,
    has: refuse,
    ownKeys: refuse,
    getOwnPropertyDescriptor: refuse,
    getPrototypeOf: refuse,
  },
);

/** Each with the name by which a failure calls it. */
export const WRONG: readonly (readonly [name: string, value: unknown])[] = [
  ["undefined", undefined],
  ["null", null],
  ["NaN", Number.NaN],
  ["-1", -1],
  ["-0", -0],
  ["1.5", 1.5],
  ["2 ** 40", 2 ** 40],
  ["Infinity", Number.POSITIVE_INFINITY],
  ["true", true],
  ['""', ""],
  ['"foo"', "foo"],
  ["{}", {}],
  ["an object without a prototype", Object.create(null)],
  ["an object whose toString throws", { toString: refuse }],
  ["[]", []],
  ["a symbol", Symbol("foo")],
  ["10n", 10n],
  ["a function", () => 0],
  ["a hostile proxy", hostile],
];

/** What an argument is, and which of the wrong values are right for it. */
export interface Kind {
  /** A value with which the call does what it is for. */
  good(): unknown;
  accepts(value: unknown): boolean;
  /** Values that are not tried. */
  readonly untried?: readonly unknown[];
  /** Of an options object: what each option is. */
  readonly keys?: Readonly<Record<string, Kind>>;
  /** Whether it may have properties by other names, as an address may. */
  readonly isOpen?: boolean;
}

/** A kind that takes the values for which `accepts` is true, beside `good`. */
export function kind(good: () => unknown, accepts: (value: unknown) => boolean): Kind {
  return { good, accepts };
}

/** One that may be left out. */
export function optional(it: Kind): Kind {
  return { ...it, accepts: (value) => value === undefined || it.accepts(value) };
}

/** The same, with another good value. */
export function like(it: Kind, good: () => unknown): Kind {
  return { ...it, good };
}

/** One that also takes `values`, for a reason that the table gives. */
export function alsoTakes(it: Kind, ...values: unknown[]): Kind {
  return {
    ...it,
    accepts: (value) => values.some((v) => Object.is(v, value)) || it.accepts(value),
  };
}

/** The same, without trying `values`: they would do what the tests are not to do. */
export function untried(it: Kind, ...values: unknown[]): Kind {
  return { ...it, untried: values };
}

const isNumber = (value: unknown, low: number, high: number): boolean =>
  typeof value === "number" && value >= low && value <= high;

/** An integer from `low` to `high`. */
export function integer(low: number, high: number, good: number = low): Kind {
  return kind(
    () => good,
    (value) => Number.isInteger(value) && isNumber(value, low, high),
  );
}

/** Milliseconds; a negative number is refused. */
export const TIMEOUT: Kind = kind(
  () => 0,
  (value) => value === undefined || value === null || isNumber(value, 0, 0x7fff_ffff),
);
/** Milliseconds; a negative number waits for ever, or not at all, as in Python. */
export const PYTHON_TIMEOUT: Kind = alsoTakes(TIMEOUT, -1);
/** Milliseconds of an option: from 0 up, fractions allowed. */
export const MILLISECONDS: Kind = optional(
  kind(
    () => 0,
    (value) => isNumber(value, 0, 0x7fff_ffff),
  ),
);
export const LENGTH: Kind = integer(0, 0x7fff_ffff, 10);
export const FLAGS: Kind = integer(-0x8000_0000, 0xffff_ffff, 0);
export const INT: Kind = integer(-0x8000_0000, 0x7fff_ffff, 1);
export const BOOLEAN: Kind = kind(
  () => true,
  (value) => typeof value === "boolean",
);
export const CALLBACK: Kind = kind(
  () => () => {},
  (value) => typeof value === "function",
);
export const STRING: Kind = kind(
  () => "foo",
  (value) => typeof value === "string",
);
/** Bytes, or a string to be sent as UTF-8. */
export const DATA: Kind = kind(
  () => "foo",
  (value) => typeof value === "string",
);
export const BUFFER: Kind = kind(
  () => new Uint8Array(8),
  () => false,
);
/** Anything: kept for the caller, and not looked at. */
export const ANYTHING: Kind = kind(
  () => "kept",
  () => true,
);
export const ADDRESS: Kind = kind(
  () => ({ address: "127.0.0.1", port: 0 }),
  () => false,
);
export const KERNEL: Kind = optional(
  kind(
    () => undefined,
    () => false,
  ),
);

/** An options object: what is in `base`, and one of its keys wrong at a time. */
export function options(
  keys: Readonly<Record<string, Kind>>,
  base: () => object = () => ({}),
): Kind {
  return { good: base, accepts: isEmptyObject, keys };
}

/** An options object without which the call cannot do. */
export function required(
  keys: Readonly<Record<string, Kind>>,
  base: () => object = () => ({}),
): Kind {
  return { good: base, accepts: () => false, keys };
}

/** An address in an object, which may come from elsewhere and have more in it than is looked at. */
export function address(keys: Readonly<Record<string, Kind>>, base: () => object): Kind {
  return { ...required(keys, base), isOpen: true };
}

function isEmptyObject(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return !isHostile(value) && Object.keys(value).length === 0;
}

export function isHostile(value: unknown): boolean {
  return value === hostile;
}

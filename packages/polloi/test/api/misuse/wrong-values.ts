/** Values that callers pass by mistake, and the kinds of arguments, which accept or reject them. */

/** The error that a hostile object throws on any access. It is the caller's own error, and is passed on. */
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

/** The values, each with its name for failures. */
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

/** The kind of an argument, and which of the wrong values it accepts. */
export interface Kind {
  /** A valid value. */
  good(): unknown;
  accepts(value: unknown): boolean;
  /** Values that are not tried. */
  readonly untried?: readonly unknown[];
  /** The kinds of the options, for an options object. */
  readonly keys?: Readonly<Record<string, Kind>>;
  /** Whether it may have other properties, as an address may. */
  readonly isOpen?: boolean;
}

/** A kind that accepts `good` and the values for which `accepts` is true. */
export function kind(good: () => unknown, accepts: (value: unknown) => boolean): Kind {
  return { good, accepts };
}

/** An optional argument. */
export function optional(it: Kind): Kind {
  return { ...it, accepts: (value) => value === undefined || it.accepts(value) };
}

/** The same kind, with another valid value. */
export function like(it: Kind, good: () => unknown): Kind {
  return { ...it, good };
}

/** A kind that also accepts `values`, for a reason that the table states. */
export function alsoTakes(it: Kind, ...values: unknown[]): Kind {
  return {
    ...it,
    accepts: (value) => values.some((v) => Object.is(v, value)) || it.accepts(value),
  };
}

/** The same kind, without trying `values`, which would have effects that the tests must avoid. */
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

/** Milliseconds; a negative number is rejected. */
export const TIMEOUT: Kind = kind(
  () => 0,
  (value) => value === undefined || value === null || isNumber(value, 0, 0x7fff_ffff),
);
/** Milliseconds; a negative number waits without a timeout, or not at all, as in Python. */
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
/** Any value: it is kept for the caller, and not checked. */
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

/** An options object: the properties of `base`, with one of them wrong at a time. */
export function options(
  keys: Readonly<Record<string, Kind>>,
  base: () => object = () => ({}),
): Kind {
  return { good: base, accepts: isEmptyObject, keys };
}

/** A required options object. */
export function required(
  keys: Readonly<Record<string, Kind>>,
  base: () => object = () => ({}),
): Kind {
  return { good: base, accepts: () => false, keys };
}

/** An address object, which may have other properties that are not checked. */
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

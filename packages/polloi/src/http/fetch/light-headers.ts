// biome-ignore-all lint/complexity/noArguments: a rest parameter would change the length of a method, and cost more.
import { types } from "node:util";
import { type HeadersInit, INSPECT, type Inspect, natives } from "./natives.ts";

const NAME = /^[\w!#$%&'*+\-.^`|~]+$/;
/** The characters that the Fetch standard allows in a value. HTTP forbids more, which are refused when they are sent. */
const VALUE = /^[^\0\r\n\u0100-\uffff]*$/;

const NAMES = 0;
const VALUES = 1;
const PAIRS = 2;
type Kind = typeof NAMES | typeof VALUES | typeof PAIRS;

let isOne: (value: object) => boolean;
let namesOf: (headers: LightHeaders) => string[];
let valuesOf: (headers: LightHeaders) => string[];
let pairsOf: (headers: LightHeaders) => [string, string][];
let fix: (headers: LightHeaders) => void;

/**
 * A faster `Headers`: two lists of strings.
 *
 * @remarks
 * Node's own sorts, copies and looks up through several layers: on Node 20, iterating the headers of one response takes
 * longer than parsing and answering a request. This class follows the Fetch standard, its instances are instances of
 * `Headers`, and they are accepted wherever headers are, because they are iterable.
 */
export class LightHeaders {
  /** The names in lower case, in order. A name may be repeated. */
  readonly #names: string[] = [];
  readonly #values: string[] = [];
  #sorted: [string, string][] | undefined;
  /** Whether they are read-only: the guard "immutable" of the Fetch standard. */
  #isFixed = false;

  // A default parameter, so that `length` is 0, as of the runtime's constructor.
  constructor(init: HeadersInit = undefined) {
    if (init !== undefined) this.#fill(init);
  }

  append(name: string, value: string): void {
    if (arguments.length < 2) throw tooFew("append", 2);
    const lower = nameOf(name);
    const text = valueFor(name, value);
    this.#toChange();
    this.#add(lower, text);
  }

  delete(name: string): void {
    if (arguments.length < 1) throw tooFew("delete", 1);
    const wanted = nameOf(name);
    this.#toChange();
    this.#remove(wanted);
  }

  get(name: string): string | null {
    if (arguments.length < 1) throw tooFew("get", 1);
    const wanted = nameOf(name);
    let found: string | null = null;
    for (let i = 0; i < this.#names.length; i++) {
      if (this.#names[i] !== wanted) continue;
      const value = this.#values[i] as string;
      found = found === null ? value : found + delimiterOf(wanted) + value;
    }
    return found;
  }

  has(name: string): boolean {
    if (arguments.length < 1) throw tooFew("has", 1);
    return this.#names.includes(nameOf(name));
  }

  set(name: string, value: string): void {
    if (arguments.length < 2) throw tooFew("set", 2);
    const wanted = nameOf(name);
    const text = valueFor(name, value);
    this.#toChange();
    const at = this.#names.indexOf(wanted);
    if (at < 0) {
      this.#add(wanted, text);
      return;
    }
    this.#remove(wanted);
    this.#names.splice(at, 0, wanted);
    this.#values.splice(at, 0, text);
  }

  getSetCookie(): string[] {
    return this.#values.filter((_, i) => this.#names[i] === "set-cookie");
  }

  // A default parameter, so that `length` is 1, as of the runtime's method.
  forEach(
    callback: (value: string, name: string, headers: Headers) => void,
    thisArg: unknown = undefined,
  ): void {
    if (typeof callback !== "function") {
      throw new TypeError("Headers.forEach needs a function to call");
    }
    for (const [name, value] of this.entries()) {
      callback.call(thisArg, value, name, asHeaders(this));
    }
  }

  entries(): IterableIterator<[string, string]> {
    return iteratorOf<[string, string]>(this, PAIRS);
  }

  keys(): IterableIterator<string> {
    return iteratorOf<string>(this, NAMES);
  }

  values(): IterableIterator<string> {
    return iteratorOf<string>(this, VALUES);
  }

  /** The same function as {@link entries}: see below. */
  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.entries();
  }

  /** The headers, sorted by name, with repeated ones joined except for Set-Cookie. */
  #pairs(): [string, string][] {
    if (this.#sorted !== undefined) return this.#sorted;
    const joined = new Map<string, string>();
    const pairs: [string, string][] = [];
    for (let i = 0; i < this.#names.length; i++) {
      const name = this.#names[i] as string;
      const value = this.#values[i] as string;
      if (name === "set-cookie") {
        pairs.push([name, value]);
        continue;
      }
      const before = joined.get(name);
      joined.set(name, before === undefined ? value : before + delimiterOf(name) + value);
    }
    this.#sorted = [...joined, ...pairs].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    return this.#sorted;
  }

  #toChange(): void {
    if (this.#isFixed) throw new TypeError("These headers cannot be changed: they are immutable");
  }

  #add(name: string, value: string): void {
    this.#sorted = undefined;
    this.#names.push(name);
    this.#values.push(value);
  }

  #remove(name: string): void {
    for (let i = this.#names.indexOf(name); i >= 0; i = this.#names.indexOf(name, i)) {
      this.#sorted = undefined;
      this.#names.splice(i, 1);
      this.#values.splice(i, 1);
    }
  }

  #fill(init: NonNullable<HeadersInit>): void {
    if (typeof init === "object" && init !== null) {
      if (#names in init && !Object.hasOwn(init, Symbol.iterator)) {
        const from = init as unknown as LightHeaders;
        this.#names.push(...from.#names);
        this.#values.push(...from.#values);
        return;
      }
      if (isPlainRecord(init)) {
        const record = init as Record<string, string>;
        for (const name of Object.keys(record)) {
          const value = record[name] as string;
          this.#add(nameOf(name), valueFor(name, value));
        }
        return;
      }
    }
    // The runtime converts or refuses everything else.
    for (const [name, value] of new (natives().Headers)(init)) this.#add(name, value);
  }

  static {
    isOne = (value) => #names in value;
    namesOf = (headers) => headers.#names;
    valuesOf = (headers) => headers.#values;
    pairsOf = (headers) => headers.#pairs();
    fix = (headers) => {
      headers.#isFixed = true;
    };
    Object.defineProperty(LightHeaders.prototype, Symbol.iterator, {
      value: LightHeaders.prototype.entries,
      writable: true,
      configurable: true,
    });
    Object.defineProperty(LightHeaders.prototype, INSPECT, {
      value(this: LightHeaders, _: number, options: object, inspect: Inspect) {
        return `Headers ${inspect(Object.fromEntries(this.#pairs()), options)}`;
      },
    });
  }
}

/** An iterator over headers. It sees changes during the iteration, as the standard requires. */
class HeadersIterator {
  readonly #headers: LightHeaders;
  readonly #kind: Kind;
  #at = 0;

  constructor(headers: LightHeaders, kind: Kind) {
    // The methods may be called with any `this`.
    if (!isOne(headers)) throw new TypeError("Illegal invocation: these are no Headers");
    this.#headers = headers;
    this.#kind = kind;
  }

  next(): IteratorResult<string | [string, string], undefined> {
    const pair = pairsOf(this.#headers)[this.#at];
    if (pair === undefined) return { value: undefined, done: true };
    this.#at++;
    const value = this.#kind === PAIRS ? ([...pair] as [string, string]) : pair[this.#kind];
    return { value, done: false };
  }

  static {
    const { prototype } = HeadersIterator;
    const array = Object.getPrototypeOf([][Symbol.iterator]()) as object;
    Object.setPrototypeOf(prototype, Object.getPrototypeOf(array) as object);
    const { next } = prototype;
    const open = { writable: true, enumerable: true, configurable: true };
    Object.defineProperty(prototype, "next", { value: next, ...open });
    const tag = { value: "Headers Iterator", configurable: true };
    Object.defineProperty(prototype, Symbol.toStringTag, tag);
  }
}

function iteratorOf<T>(headers: LightHeaders, kind: Kind): IterableIterator<T> {
  // Symbol.iterator is inherited from the prototype of all iterators.
  return new HeadersIterator(headers, kind) as unknown as IterableIterator<T>;
}

/** A light Headers as `Headers`: it has the same methods, but TypeScript compares private fields. */
export function asHeaders(headers: LightHeaders): Headers {
  return headers as unknown as Headers;
}

/** Whether they are light headers. */
export function isLightHeaders(headers: object): headers is LightHeaders {
  return isOne(headers);
}

/** Makes them read-only. */
export function fixHeaders(headers: LightHeaders): void {
  fix(headers);
}

/** The headers of the head of a request, given as ISO 8859-1 text from the request line to the empty line. */
export function headersOfHead(head: string): LightHeaders {
  const headers = new LightHeaders();
  const names = namesOf(headers);
  const values = valuesOf(headers);
  for (const [name, value] of fieldsOfHead(head)) {
    names.push(name);
    values.push(value);
  }
  return headers;
}

/** The same as pairs, with names in lower case. */
export function fieldsOfHead(head: string): [name: string, value: string][] {
  const fields: [string, string][] = [];
  for (let at = head.indexOf("\r\n") + 2; ; ) {
    const end = head.indexOf("\r\n", at);
    if (end <= at) return fields;
    const colon = head.indexOf(":", at);
    const name = head.slice(at, colon).toLowerCase();
    const value = trimmed(head.slice(colon + 1, end));
    at = end + 2;
    // Not every runtime joins the values of Cookie as required.
    const cookies = name === "cookie" ? fields.find(([other]) => other === name) : undefined;
    if (cookies === undefined) fields.push([name, value]);
    else cookies[1] += `; ${value}`;
  }
}

/** Calls back with each header, neither sorted nor joined. */
export function eachHeader(
  headers: LightHeaders,
  callback: (name: string, value: string) => void,
): void {
  const names = namesOf(headers);
  const values = valuesOf(headers);
  for (let i = 0; i < names.length; i++) callback(names[i] as string, values[i] as string);
}

/** Whether reading its properties has no side effects. Proxies are left to the runtime. */
function isPlainRecord(init: object): boolean {
  return (
    !types.isProxy(init) &&
    Object.getPrototypeOf(init) === Object.prototype &&
    !(Symbol.iterator in init) &&
    Object.getOwnPropertySymbols(init).length === 0
  );
}

function delimiterOf(name: string): string {
  return name === "cookie" ? "; " : ", ";
}

/** The error of a call without all its arguments, which Web IDL distinguishes from a call with `undefined`. */
function tooFew(method: string, needed: number): TypeError {
  return new TypeError(`Headers.${method} needs ${needed === 1 ? "a name" : "a name and a value"}`);
}

function nameOf(name: unknown): string {
  // Not String(), which accepts a symbol.
  const text = `${name as string}`;
  if (NAME.test(text)) return text.toLowerCase();
  throw new TypeError(`${JSON.stringify(text)} is not a valid header name`);
}

function valueFor(name: string, value: unknown): string {
  const text = trimmed(`${value as string}`);
  if (VALUE.test(text)) return text;
  throw new TypeError(`${JSON.stringify(text)} is not a valid value of the header ${name}`);
}

/** Trims the whitespace of HTTP, which is less than that of Unicode. */
function trimmed(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && isSpace(text.charCodeAt(from))) from++;
  while (to > from && isSpace(text.charCodeAt(to - 1))) to--;
  return from === 0 && to === text.length ? text : text.slice(from, to);
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0d || code === 0x0a;
}

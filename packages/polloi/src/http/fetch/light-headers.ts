import { types } from "node:util";
import { type HeadersInit, INSPECT, type Inspect, natives } from "./natives.ts";

const NAME = /^[\w!#$%&'*+\-.^`|~]+$/;
/** What the Fetch standard lets a value have. What HTTP forbids beyond that is refused when it is sent. */
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
 * `Headers` that cost little: two lists of strings.
 *
 * @remarks
 * Node's own sort, copy and look up through several layers: on Node 20 to go through those of one response
 * takes longer than to parse, answer and send a request. These do what the Fetch standard says, pass for
 * `instanceof Headers`, and are taken wherever those are, since they can be iterated.
 */
export class LightHeaders {
  /** In lower case, in the order in which they came. A name may be there twice. */
  readonly #names: string[] = [];
  readonly #values: string[] = [];
  #sorted: [string, string][] | undefined;
  /** Whether they can be changed no more: the guard "immutable" of the Fetch standard. */
  #isFixed = false;

  // A default, so that its length is 0, as the runtime's is.
  constructor(init: HeadersInit = undefined) {
    if (init !== undefined) this.#fill(init);
  }

  append(name: string, value: string): void {
    const lower = nameOf(name);
    const text = valueFor(name, value);
    this.#toChange();
    this.#add(lower, text);
  }

  delete(name: string): void {
    const wanted = nameOf(name);
    this.#toChange();
    this.#remove(wanted);
  }

  get(name: string): string | null {
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
    return this.#names.includes(nameOf(name));
  }

  set(name: string, value: string): void {
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

  // A default, so that its length is 1, as the runtime's is.
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

  /** Sorted by name, and joined but for Set-Cookie. */
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
    // Everything else is converted, or refused, by the runtime.
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

/** What goes through headers. What changes on the way is seen, as the standard has it. */
class HeadersIterator {
  readonly #headers: LightHeaders;
  readonly #kind: Kind;
  #at = 0;

  constructor(headers: LightHeaders, kind: Kind) {
    // Not what is none: the methods of headers may be called with anything.
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
  // What makes it iterable it inherits from the prototype of all iterators.
  return new HeadersIterator(headers, kind) as unknown as IterableIterator<T>;
}

/** It does all that `Headers` do, but the types of private parts of a class are its own. */
export function asHeaders(headers: LightHeaders): Headers {
  return headers as unknown as Headers;
}

/** Whether these are such, and no others. */
export function isLightHeaders(headers: object): headers is LightHeaders {
  return isOne(headers);
}

/** From now on they cannot be changed. */
export function fixHeaders(headers: LightHeaders): void {
  fix(headers);
}

/** The headers of a request's head, a character for each of its bytes: its first line, the others, an empty one. */
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

/** The same as pairs, each name in lower case. */
export function fieldsOfHead(head: string): [name: string, value: string][] {
  const fields: [string, string][] = [];
  for (let at = head.indexOf("\r\n") + 2; ; ) {
    const end = head.indexOf("\r\n", at);
    if (end <= at) return fields;
    const colon = head.indexOf(":", at);
    const name = head.slice(at, colon).toLowerCase();
    const value = trimmed(head.slice(colon + 1, end));
    at = end + 2;
    // Which not every runtime's Headers join as they have to be.
    const cookies = name === "cookie" ? fields.find(([other]) => other === name) : undefined;
    if (cookies === undefined) fields.push([name, value]);
    else cookies[1] += `; ${value}`;
  }
}

/** Calls back with each header as it is, sorted by nothing and joined with none. */
export function eachHeader(
  headers: LightHeaders,
  callback: (name: string, value: string) => void,
): void {
  const names = namesOf(headers);
  const values = valuesOf(headers);
  for (let i = 0; i < names.length; i++) callback(names[i] as string, values[i] as string);
}

/** Whether nothing about it can be seen when its properties are read: those of a proxy are left to the runtime. */
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

function nameOf(name: unknown): string {
  // Not String(): a symbol is to be refused.
  const text = `${name as string}`;
  if (NAME.test(text)) return text.toLowerCase();
  throw new TypeError(`${JSON.stringify(text)} is not a valid header name`);
}

function valueFor(name: string, value: unknown): string {
  const text = trimmed(`${value as string}`);
  if (VALUE.test(text)) return text;
  throw new TypeError(`${JSON.stringify(text)} is not a valid value of the header ${name}`);
}

/** Without the white space of HTTP around it, which is less than that of Unicode. */
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

/** One public function or method, its arguments, and what it says to wrong ones. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { Case, Suite } from "../../../../../test/support/suite.ts";
import { SysError } from "../../../src/base/sys-error.ts";
import { ResolveError } from "../../../src/socket/index.ts";
import { HOSTILE, type Kind, WRONG } from "./wrong-values.ts";

/** A call that the table makes. */
export interface Call {
  readonly args: readonly Kind[];
  /** What is right is not tried, since it starts threads or processes. */
  readonly refusalsOnly?: boolean;
  /** Makes the call and gives back whatever it made. */
  run(args: readonly unknown[]): unknown;
}

/** What the table has to say of one entry point. */
export interface Table {
  /** Functions, and constructors of classes, by their names. */
  readonly functions: Readonly<Record<string, Call | Internal>>;
  /** Methods and setters: `"Class.name"`; static ones `"Class:name"`. */
  readonly methods: Readonly<Record<string, Call | Internal>>;
}

/** Not to be called by programs: why. */
export interface Internal {
  readonly internal: string;
}

export function internal(why: string): Internal {
  return { internal: why };
}

type AnyFunction = (...args: unknown[]) => unknown;

/** A function that needs nothing, and makes nothing that is to be closed. */
export function call(run: unknown, ...args: Kind[]): Call {
  return { args, run: (given) => (run as AnyFunction)(...given) };
}

/** A function that makes something that has a `close()` or is disposable. */
export function maker(run: unknown, ...args: Kind[]): Call {
  return { args, run: (given) => closed((run as AnyFunction)(...given)) };
}

/** A constructor. */
export function made(type: unknown, ...args: Kind[]): Call {
  const Made = type as new (...args: unknown[]) => unknown;
  return { args, run: (given) => closed(new Made(...given)) };
}

/** A method of what `open` opens, which is closed afterwards. */
export function method<T extends object>(
  open: () => T,
  name: keyof T & string,
  ...args: Kind[]
): Call {
  return {
    args,
    run: (given) => {
      const it = open();
      try {
        return closed((it[name] as AnyFunction)(...given));
      } finally {
        closed(it);
      }
    },
  };
}

/** The same, of which only what is wrong is tried. */
export function refusing(it: Call): Call {
  return { ...it, refusalsOnly: true };
}

/** Closes what has to be closed of a result. */
function closed(result: unknown): unknown {
  for (const it of Array.isArray(result) ? result : [result]) {
    const { close, socket } = (it ?? {}) as { close?: unknown; socket?: unknown };
    if (socket !== undefined) closed(socket);
    if (typeof close === "function") close.call(it);
  }
  return result;
}

/** What the cases of a table try: the wrong values of each argument, and of each option of it. */
function casesOf(table: Table): Case[] {
  const calls = Object.entries({ ...table.functions, ...table.methods });
  return calls.flatMap(([name, it]) => {
    if ("internal" in it) return [];
    return [{ name: `${name} refuses wrong arguments by a code`, run: () => tryAll(name, it) }];
  });
}

async function tryAll(name: string, { args, run, refusalsOnly = false }: Call): Promise<void> {
  const complaints: string[] = [];
  const given = (): unknown[] => args.map((arg) => arg.good());
  const attempt = async (
    what: string,
    values: unknown[],
    accepted: boolean,
    type?: ErrorConstructor,
  ): Promise<void> => {
    if (accepted && refusalsOnly) return;
    const complaint = await complaintOf(() => run(values), accepted, type);
    if (complaint !== undefined) complaints.push(`${name}(${what}): ${complaint}`);
  };
  await attempt("what is right", given(), true);
  for (const [at, arg] of args.entries()) {
    for (const [label, value] of triedOn(arg)) {
      const values = given();
      values[at] = value;
      await attempt(
        `argument ${at + 1} = ${label}`,
        values,
        arg.accepts(value),
        errorFor(arg, value),
      );
    }
    for (const [key, option] of Object.entries(arg.keys ?? {})) {
      if (arg.isOpen !== true) {
        const misspelt = `${key}${key.at(-1)}`;
        const misspelling = given();
        misspelling[at] = { ...(misspelling[at] as object), [misspelt]: 1 };
        const unknown = await thrownBy(() => run(misspelling));
        if (!isUnknownOption(unknown, misspelt, key)) {
          complaints.push(`${name}({ ${misspelt}: 1 }): it threw ${unknown}`);
        }
        misspelling[at] = { ...(given()[at] as object), [misspelt]: undefined };
        await attempt(`{ ${misspelt}: undefined }`, misspelling, true);
      }
      for (const [label, value] of triedOn(option)) {
        const values = given();
        values[at] = { ...(values[at] as object), [key]: value };
        const type = errorFor(option, value);
        await attempt(`{ ${key}: ${label} }`, values, option.accepts(value), type);
      }
    }
  }
  assert.ok(complaints.length === 0, `\n${complaints.join("\n")}`);
}

function triedOn({ untried = [] }: Kind): readonly (readonly [name: string, value: unknown])[] {
  return WRONG.filter(([, value]) => !untried.some((it) => Object.is(it, value)));
}

/** The class of the error for a wrong value where a number is expected. */
function errorFor(kind: Kind, value: unknown): ErrorConstructor | undefined {
  if (typeof kind.good() !== "number") return undefined;
  return typeof value === "number" ? RangeError : TypeError;
}

const PAGE: string = readFileSync(
  new URL("../../../../../../docs/errors.md", import.meta.url),
  "utf8",
);
const CODES: ReadonlySet<unknown> = new Set(
  [...PAGE.matchAll(/^### (ERR_[A-Z_]+)$/gm)].map(([, code]) => code),
);

/** @returns What is wrong with what a call did; undefined when it is as it should be. */
async function complaintOf(
  run: () => unknown,
  accepted: boolean,
  type?: ErrorConstructor,
): Promise<string | undefined> {
  try {
    await run();
    return accepted ? undefined : "it was accepted";
  } catch (error) {
    if (error === HOSTILE) return undefined;
    if (isMisuse(error)) {
      // About the state, not about the value.
      if (error.code === "ERR_NOT_REGISTERED") return undefined;
      if (type === undefined || Object.getPrototypeOf(error) === type.prototype) return undefined;
      return `it threw ${error.name} instead of ${type.name}: ${error.message}`;
    }
    if (isFailure(error)) return accepted ? undefined : `${error} instead of a misuse code`;
    return `it threw ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`;
  }
}

async function thrownBy(run: () => unknown): Promise<unknown> {
  try {
    await run();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Whether an error says that an option does not exist, and which one is meant. */
function isUnknownOption(error: unknown, misspelt: string, key: string): boolean {
  if (!(error instanceof TypeError)) return false;
  const { code, message } = error as TypeError & { code?: unknown };
  return (
    code === "ERR_INVALID_OPTION" &&
    message.startsWith(`Unknown option "${misspelt}" of `) &&
    message.endsWith(`; did you mean "${key}"?`)
  );
}

function isMisuse(error: unknown): error is Error & { code: unknown } {
  if (!(error instanceof TypeError) && !(error instanceof RangeError)) return false;
  return (
    CODES.has((error as { code?: unknown }).code) &&
    /^(?:Cannot|Unknown option) /.test(error.message)
  );
}

function isFailure(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.every(isFailure);
  return error instanceof SysError || error instanceof ResolveError;
}

/** The public names of an entry point that `table` does not know, and what it knows that is not there. */
function complaintsOf(names: object, table: Table): string[] {
  const functions = Object.entries(names).filter(([, value]) => typeof value === "function");
  const missing = functions.flatMap(([name, value]) => {
    const own = name in table.functions ? [] : [`${name} is not in the table`];
    return [
      ...own,
      ...membersOf(name, value)
        .filter((it) => !(it in table.methods))
        .map((it) => `${it} is not in the table`),
    ];
  });
  return missing;
}

/** The methods and setters of a class: `"Class.name"`; static ones `"Class:name"`. */
function membersOf(name: string, value: unknown): string[] {
  const { prototype } = value as { prototype?: object };
  if (prototype === undefined) return [];
  const found = new Set<string>();
  for (let it = prototype; !isBase(it); it = Object.getPrototypeOf(it)) {
    for (const [key, { value, set }] of descriptorsOf(it)) {
      // JSON.stringify gives it a key, which it does not look at.
      if (key === "constructor" || key === "toJSON") continue;
      if (typeof value === "function" || set !== undefined) found.add(`${name}.${key}`);
    }
  }
  for (const [key, { value: member }] of descriptorsOf(value as object)) {
    if (typeof member === "function") found.add(`${name}:${key}`);
  }
  return [...found];
}

/** The methods of an interface in the sources that `table` does not know: it has no value to be asked. */
function methodsMissing(file: string, name: string, table: Table): string[] {
  const source = readFileSync(new URL(`../../../../../../${file}`, import.meta.url), "utf8");
  const [, body = ""] =
    new RegExp(`^export interface ${name}\\b[^{]*{\n([^]*?)^}`, "m").exec(source) ?? [];
  const found = [...body.matchAll(/^ {2}(\w+)(?:<.*>)?\(/gm)].map(
    ([, method]) => `${name}.${method}`,
  );
  assert.ok(found.length > 0, `${file} has no interface ${name} with methods`);
  return [...new Set(found)].filter((it) => !(it in table.methods));
}

function isBase(it: object | null): boolean {
  return it === null || [Object.prototype, Error.prototype].includes(it as never);
}

function descriptorsOf(it: object): [string, PropertyDescriptor][] {
  return Object.entries(Object.getOwnPropertyDescriptors(it));
}

/** The suite of an entry point: its exports, their table, and what it exports as interfaces only. */
export function misuseSuite(
  title: string,
  names: object,
  table: Table,
  interfaces: readonly (readonly [file: string, name: string])[] = [],
): Suite {
  return {
    title: `misuse of ${title}`,
    cases: [
      {
        name: "every function, method and setter is in the table",
        run: () => {
          assert.deepEqual(complaintsOf(names, table), []);
          const missing = interfaces.flatMap(([file, name]) => methodsMissing(file, name, table));
          assert.deepEqual(missing, []);
        },
      },
      ...casesOf(table),
    ],
  };
}

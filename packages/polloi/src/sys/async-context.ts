/**
 * The context of AsyncLocalStorage in which a program has given a callback.
 *
 * Capturing a context and calling back in it costs about as much as a turn without work, and no runtime says whether a
 * context is empty. So the first use of any AsyncLocalStorage is noticed: its methods are replaced until one of them is
 * called, and then restored. Before that there is no context, and nothing is captured.
 */
import { AsyncLocalStorage } from "node:async_hooks";

/** Calls a function in a context. */
export type AsyncContext = <Args extends unknown[], Result>(
  call: (...args: Args) => Result,
  ...args: Args
) => Result;

/** Whether the program has used an AsyncLocalStorage. */
let isUsed = false;
/** The empty context, in which a reactor takes its turns. */
let root: AsyncContext | undefined;

type Method = (this: unknown, ...args: unknown[]) => unknown;
type Prototype = Record<string, Method | undefined>;

const prototype = AsyncLocalStorage.prototype as unknown as Prototype;
const originals: Prototype = {};

/** The methods that begin a context, of all versions. */
for (const name of ["run", "enterWith", "withScope"]) {
  const original = prototype[name];
  if (original === undefined) continue;
  originals[name] = original;
  replace(name, function (this: unknown, ...args: unknown[]) {
    noticeUse();
    return original.apply(this, args);
  });
}

function noticeUse(): void {
  if (isUsed) return;
  isUsed = true;
  root = AsyncLocalStorage.snapshot() as AsyncContext;
  for (const [name, original] of Object.entries(originals)) replace(name, original as Method);
}

function replace(name: string, value: Method): void {
  Object.defineProperty(prototype, name, { value, configurable: true, writable: true });
}

/** The context that is current; undefined if the program uses none. */
export function currentContext(): AsyncContext | undefined {
  return isUsed ? (AsyncLocalStorage.snapshot() as AsyncContext) : undefined;
}

/** Makes a callback that is called in the context that is current now. */
export function inCurrentContext<Args extends unknown[]>(
  callback: (...args: Args) => void,
): (...args: Args) => void {
  const context = currentContext();
  return context === undefined ? callback : (...args) => context(callback, ...args);
}

/** Calls a function outside of every context. */
export function outsideContexts<Argument, Result>(
  call: (argument: Argument) => Result,
  argument: Argument,
): Result {
  return root === undefined ? call(argument) : root(call, argument);
}

import { type AsyncContext, currentContext } from "../sys/async-context.ts";
import { HANDLERS, type Handlers } from "./connection.ts";

/** The name of a handler that only this package has. */
export const FINISHED: unique symbol = Symbol("finished");

/** Handlers of a stream. */
export interface StreamHandlers<Data> extends Handlers<Data> {
  /** The local half has ended, and the kernel has taken everything that was written. */
  [FINISHED]?(): void;
}

type AnyHandler = (...args: unknown[]) => unknown;
type AnyHandlers = Record<string | symbol, AnyHandler | undefined>;

/**
 * Handlers of this package that are called instead of some of a program's. The others are called as before.
 *
 * @remarks
 * Only connections that need it have such handlers, so the others do not pay for it.
 */
export class ForwardingHandlers<Data> implements StreamHandlers<Data> {
  declare readonly open?: NonNullable<Handlers<Data>["open"]>;
  declare readonly close?: NonNullable<Handlers<Data>["close"]>;
  readonly #to: StreamHandlers<Data>;
  /** Called instead of the handlers of the same names, also if they are added later. */
  readonly #own: StreamHandlers<Data>;
  readonly #bound: AnyHandlers = {};
  readonly #over: (next: StreamHandlers<Data>) => StreamHandlers<Data>;
  readonly #context: AsyncContext | undefined;

  static {
    for (const name of [...Object.keys(HANDLERS), FINISHED]) {
      const get = function (this: ForwardingHandlers<unknown>): unknown {
        const own = (this.#own as AnyHandlers)[name];
        if (own !== undefined) return own;
        const handler = (this.#to as AnyHandlers)[name];
        if (handler === undefined) return undefined;
        this.#bound[name] ??= this.#bind(handler);
        return this.#bound[name];
      };
      Object.defineProperty(ForwardingHandlers.prototype, name, { get });
    }
  }

  /**
   * @param over - Returns the handlers to use when the connection is handed over to `next`.
   * @param context - The context to call the handlers of `to` in.
   */
  constructor(
    to: StreamHandlers<Data>,
    own: StreamHandlers<Data>,
    over: (next: StreamHandlers<Data>) => StreamHandlers<Data>,
    context?: AsyncContext,
  ) {
    this.#to = to;
    this.#own = own;
    this.#over = over;
    this.#context = context;
  }

  #bind(handler: AnyHandler): AnyHandler {
    const bound = handler.bind(this.#to) as AnyHandler;
    const context = this.#context;
    return context === undefined ? bound : (...args) => context(bound, ...args);
  }

  /** The handlers to use when a connection that has `handlers` is handed over to `next`. */
  static over<Data>(
    handlers: StreamHandlers<Data>,
    next: StreamHandlers<Data>,
  ): StreamHandlers<Data> {
    if (!(handlers instanceof ForwardingHandlers)) return next;
    return handlers.#over(ForwardingHandlers.over(handlers.#to, next));
  }
}

/** Handlers that are called in the context of AsyncLocalStorage that is current now. */
export function handlersInContext<Data>(handlers: Handlers<Data>): StreamHandlers<Data> {
  const context = currentContext();
  if (context === undefined) return handlers;
  return new ForwardingHandlers(handlers, {}, (next) => next, context);
}

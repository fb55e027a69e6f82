import { show, typeError } from "../base/misuse.ts";
import type { Listener } from "../reactor/listener.ts";
import type { Reactor } from "../reactor/reactor.ts";
import type { SocketAddress } from "../socket/address.ts";
import type { ServeOptions, Stoppable } from "./worker-module.ts";

/**
 * A connection as a handler sees it, whichever way it is served: what a {@link Connection} of a reactor and
 * a blocking socket have in common.
 *
 * @typeParam State - What the handler keeps for the connection.
 */
export interface ModelConnection<State = unknown> {
  /** Yours. `undefined` until you set it. */
  data: State;
  /** The peer's address; null when it is not connected any more. */
  readonly remoteAddress: SocketAddress | null;
  /**
   * Writes bytes, or a string as UTF-8, which are yours again at once. Only an array of more than 256 KiB must not be
   * changed afterwards: on an event loop it is sent without a copy.
   *
   * @remarks
   * Nothing is lost and nothing overtakes. Served by blocking calls, this returns when the kernel has taken
   * all of it, so a peer that does not read holds its own process or thread up and no other. On an event
   * loop it returns at once, what the kernel does not take waits in memory, and nothing more is received
   * from that peer until it has gone.
   *
   * @returns Whether the peer keeps up. There is nothing that a handler must do when it does not. False after
   * `close` too, when nothing is sent.
   * @throws TypeError `ERR_INVALID_DATA`.
   */
  write(bytes: Uint8Array | string): boolean;
  /** Closes when everything that was written is sent. Nothing more is received. Safe to call twice. */
  close(): void;
}

/**
 * What is done with connections: the same in all five ways.
 *
 * @remarks
 * Every handler is optional. They are called one after another for each connection, and return when they
 * have done their work: a promise is not waited for, since three of the five ways have no event loop that
 * could go on meanwhile. State in variables of the module is one process's or thread's own: one connection's
 * with `process`, that of one after another with `thread`, a share of them with `prefork`, everybody's with
 * `blocking` and `event`.
 *
 * A handler that throws ends whoever runs it: that is what the ways differ in.
 */
export interface ModelHandlers<State = unknown> {
  /** The connection is there. */
  open?(connection: ModelConnection<State>): void;
  /**
   * Bytes came.
   *
   * @param bytes - Lent, and yours to change: they are gone when this returns, so `slice()` what you keep.
   */
  data?(connection: ModelConnection<State>, bytes: Uint8Array): void;
  /** The peer sends no more. What is written here still reaches it; then the connection is closed. */
  end?(connection: ModelConnection<State>): void;
  /** The connection is closed; the last that is heard of it. @param error - Why, when it did not end well. */
  close?(connection: ModelConnection<State>, error?: Error): void;
}

/**
 * The event loop that a server of the module's own is to use, with `prefork` and `event`.
 *
 * @remarks
 * It is what `serve` of `polloi/http` takes as its `worker`.
 *
 * @typeParam Input - What `data` of {@link ModelOptions} is.
 */
export interface ModelLoop<Input = unknown> {
  /** For timers, watches, clients, listeners of other kinds. */
  readonly reactor: Reactor;
  readonly data: Input;
  /**
   * Serves the address of the model with these handlers. Its connections are counted, and looked after when
   * the model stops.
   *
   * @throws TypeError `ERR_INVALID_OPTION` when it is served already.
   */
  listen<Data = unknown>(options: ServeOptions<Data>): Listener;
  /** Tells `message` of {@link ModelOptions} something: anything that can be written as JSON. */
  post(message: unknown): void;
}

/** Sets up a server, and may give back how it is to end. */
// biome-ignore lint/suspicious/noConfusingVoidType: what a function without a return gives
export type StartOn = (loop: ModelLoop<never>) => void | Stoppable | Promise<void | Stoppable>;

/**
 * The module that is served: what it exports, by name.
 *
 * @remarks
 * Either handlers; or `start`, which is given `data` of {@link ModelOptions} and gives handlers back; or
 * `startOn`, which sets up a server of its own, such as one for HTTP, and needs an event loop: it is for
 * `prefork` and `event`, where handlers may await then.
 *
 * @example
 * ```ts
 * export function data(connection: ModelConnection, bytes: Uint8Array): void {
 *   connection.write(bytes);
 * }
 * ```
 * @example
 * ```ts
 * export function startOn(loop: ModelLoop): Stoppable {
 *   return serve({ worker: loop, fetch: () => new Response("Hello, world!") });
 * }
 * ```
 */
export interface ModelModule<Input = never> extends ModelHandlers<never> {
  startOn?: StartOn;
  start?(data: Input): ModelHandlers<never> | Promise<ModelHandlers<never>>;
}

/**
 * What the module at `url` has for an event loop: a server of its own, or handlers.
 *
 * @throws as {@link loadHandlers}.
 */
export async function loadForLoop(
  url: string,
  data: unknown,
  starting?: () => void,
): Promise<StartOn | ModelHandlers> {
  const { startOn } = (await import(url)) as ModelModule;
  return startOn ?? loadHandlers(url, data, starting);
}

/**
 * The handlers of the module at `url`.
 *
 * @param starting - Called when it is imported, before its `start` is.
 * @throws TypeError `ERR_INVALID_OPTION` when it has none; what importing or starting it throws.
 */
export async function loadHandlers(
  url: string,
  data: unknown,
  starting: () => void = () => {},
): Promise<ModelHandlers> {
  const module = (await import(url)) as ModelModule<unknown>;
  if (module.start !== undefined) starting();
  const handlers = module.start === undefined ? module : await module.start(data);
  const { open, data: received } = handlers ?? {};
  if (typeof open === "function" || typeof received === "function") {
    // The type of a connection's state is between the handlers of one module.
    return handlers as ModelHandlers;
  }
  const why =
    module.startOn === undefined
      ? "it has neither an open nor a data handler"
      : "its startOn needs an event loop, so give prefork or event as the model";
  throw typeError("ERR_INVALID_OPTION", `Cannot serve the module ${show(url)}: ${why}`);
}

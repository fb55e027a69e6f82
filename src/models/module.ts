import { show, typeError } from "../base/misuse.ts";
import type { SocketAddress } from "../socket/address.ts";

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
   * Writes bytes, or a string as UTF-8, which are yours again at once.
   *
   * @remarks
   * Nothing is lost and nothing overtakes. Served by blocking calls, this returns when the kernel has taken
   * all of it, so a peer that does not read holds its own process or thread up and no other. On an event
   * loop it returns at once, what the kernel does not take waits in memory, and nothing more is received
   * from that peer until it has gone.
   *
   * @returns Whether the peer keeps up. There is nothing that a handler must do when it does not.
   * @throws TypeError `ERR_CLOSED` after `close`; `ERR_INVALID_DATA`.
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
 * The module that is served: what it exports, by name.
 *
 * @remarks
 * Either handlers; or `start`, which is given `data` of {@link ModelOptions} and gives handlers back.
 *
 * @example
 * ```ts
 * export function data(connection: ModelConnection, bytes: Uint8Array): void {
 *   connection.write(bytes);
 * }
 * ```
 */
export interface ModelModule<Input = never> extends ModelHandlers<never> {
  start?(data: Input): ModelHandlers<never> | Promise<ModelHandlers<never>>;
}

/**
 * The handlers of the module at `url`.
 *
 * @throws TypeError `ERR_INVALID_OPTION` when it has none; what importing or starting it throws.
 */
export async function loadHandlers(url: string, data: unknown): Promise<ModelHandlers> {
  const module = (await import(url)) as ModelModule<unknown>;
  const handlers = module.start === undefined ? module : await module.start(data);
  const { open, data: received } = handlers ?? {};
  if (typeof open === "function" || typeof received === "function") {
    // The type of a connection's state is between the handlers of one module.
    return handlers as ModelHandlers;
  }
  throw typeError(
    "ERR_INVALID_OPTION",
    `Cannot serve the module ${show(url)}: it has neither an open nor a data handler`,
  );
}

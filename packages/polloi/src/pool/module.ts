/** The modules that a pool serves: what they export, and what they are given. */
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { show, typeError } from "../base/misuse.ts";
import type { ConnectionOptions, Handlers } from "../reactor/connection.ts";
import type { Listener, ListenOptions } from "../reactor/listener.ts";
import type { Reactor } from "../reactor/reactor.ts";
import type { SocketAddress } from "../socket/address.ts";

/** Handlers for the connections of a pool's listener, and options for these connections. */
export type ServeOptions<Data = unknown> = Handlers<Data> &
  ConnectionOptions &
  Pick<ListenOptions<Data>, "maxConnections" | "acceptError" | "proxyProtocol" | "tls">;

/** The result of `start`: a way to stop the server that it started. */
export interface Stoppable {
  /**
   * Stops gracefully. Before this is called, the pool's listener has accepted the connections that waited, and is
   * closed. Connections that this leaves open are then ended as by `Listener.stop`.
   *
   * @param graceMs - How long connections may take to finish. Connections that remain then are destroyed.
   */
  stop(graceMs: number): void | PromiseLike<void>;
}

/**
 * One worker of a pool, as its module sees it.
 *
 * @typeParam Input - The type of `data` in {@link WorkersOptions}.
 */
export interface PoolWorker<Input = unknown> {
  /** From 0 up. A worker that replaces another has the same index. */
  readonly index: number;
  /** The number of workers in the pool. */
  readonly count: number;
  /** The reactor of this worker, for timers, watches, clients and other listeners. */
  readonly reactor: Reactor;
  /** A copy of the pool's `data`; a `SharedArrayBuffer` in it is shared. */
  readonly data: Input;
  /**
   * Serves the address of the pool with these handlers. The pool counts the connections, and ends them when it stops.
   *
   * @throws TypeError `ERR_INVALID_OPTION` when the pool has no address, or this worker serves it already.
   */
  listen<Data = unknown>(options: ServeOptions<Data>): Listener;
  /** Sends a message to the main thread, where `message` of {@link WorkersOptions} receives it. */
  post(message: unknown): void;
}

/**
 * The module that every worker of a pool runs: its exports.
 *
 * @remarks
 * Either handlers, as for `listen`, and options of connections with them if needed (`export const zeroCopy = true`).
 * Or `start`, which is called with the worker and does the rest. A module without `start` is the same as one with
 * `(worker) => worker.listen(module)`.
 *
 * @example
 * ```ts
 * export function data(connection: Connection, bytes: Uint8Array): void {
 *   connection.write(bytes);
 * }
 * ```
 * @example
 * ```ts
 * export function start(worker: PoolWorker<{ greeting: string }>): void {
 *   worker.listen({ open: (connection) => connection.end(worker.data.greeting) });
 * }
 * ```
 */
export interface WorkerModule<Input = never> extends ServeOptions<never> {
  /** Called once in each worker. The pool stops what it returns. */
  // biome-ignore lint/suspicious/noConfusingVoidType: what a function without a return gives
  start?(worker: PoolWorker<Input>): void | Stoppable | Promise<void | Stoppable>;
}

/**
 * A connection as the handlers of a model see it: what a {@link Connection} of a reactor and a blocking socket have in
 * common.
 *
 * @typeParam State - The type of the handler's own state.
 */
export interface ModelConnection<State = unknown> {
  /** State of the handler. `undefined` until it is set. */
  data: State;
  /** The peer's address; null when the socket is not connected any more. */
  readonly remoteAddress: SocketAddress | null;
  /**
   * Writes bytes, or a string as UTF-8. The array may be changed as soon as this returns, unless it is longer than
   * 256 KiB: an event loop sends such an array without a copy.
   *
   * @remarks
   * Bytes are never lost or reordered. With blocking calls, this returns when the kernel has taken all of them, so a
   * peer that does not read blocks its own process or thread and no other. On an event loop it returns at once; what
   * the kernel does not take is queued in memory, and nothing more is received from that peer until the queue is empty.
   *
   * @returns Whether the peer keeps up. A handler need not do anything when it does not. Also false after `close`,
   * when nothing is sent.
   * @throws TypeError `ERR_INVALID_DATA`.
   */
  write(bytes: Uint8Array | string): boolean;
  /** Closes the connection when everything that was written is sent. Nothing more is received. Safe to call twice. */
  close(): void;
}

/**
 * Handlers of connections, the same for all five models.
 *
 * @remarks
 * Every handler is optional. For each connection they are called one after another, and they do their work before they
 * return: a promise is not awaited, since three of the five models have no event loop on which it could be settled.
 * Variables of the module are shared by the connections of one process or thread: one connection with `process`, one
 * after another with `thread`, a part of them with `prefork`, all of them with `blocking` and `event`.
 *
 * A handler that throws ends the process or thread that runs it. Models differ in what that affects.
 */
export interface ModelHandlers<State = unknown> {
  /** The connection is open. */
  open?(connection: ModelConnection<State>): void;
  /**
   * Bytes were received.
   *
   * @param bytes - May be changed, and are valid until this returns. Use `slice()` to keep them.
   */
  data?(connection: ModelConnection<State>, bytes: Uint8Array): void;
  /** The peer has ended its half. Bytes that are written here are still sent; then the connection is closed. */
  end?(connection: ModelConnection<State>): void;
  /** The connection is closed. No other handler is called for it. @param error - The error, if it failed. */
  close?(connection: ModelConnection<State>, error?: Error): void;
}

/**
 * The event loop for a module that sets up its own server, with `prefork` and `event`.
 *
 * @remarks
 * `serve` of `polloi/http` takes it as `worker`.
 *
 * @typeParam Input - The type of `data` in {@link ModelOptions}.
 */
export interface ModelLoop<Input = unknown> {
  /** For timers, watches, clients and other listeners. */
  readonly reactor: Reactor;
  readonly data: Input;
  /**
   * Serves the address of the model with these handlers. The model counts the connections, and ends them when it stops.
   *
   * @throws TypeError `ERR_INVALID_OPTION` when it is served already.
   */
  listen<Data = unknown>(options: ServeOptions<Data>): Listener;
  /** Sends a message to the main process: any value that can be written as JSON. `message` of {@link ModelOptions} receives it. */
  post(message: unknown): void;
}

/** Sets up a server, and may return how to stop it. */
// biome-ignore lint/suspicious/noConfusingVoidType: what a function without a return gives
export type StartOn = (loop: ModelLoop<never>) => void | Stoppable | Promise<void | Stoppable>;

/**
 * The module that a model serves: its exports.
 *
 * @remarks
 * Either handlers; or `start`, which is called with `data` of {@link ModelOptions} and returns handlers; or `startOn`,
 * which sets up a server of its own, for example for HTTP. `startOn` needs an event loop, so it is for `prefork` and
 * `event`. Its handlers may await.
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
  /** Called once in each child with `data` of the options. Returns the handlers. */
  start?(data: Input): ModelHandlers<never> | Promise<ModelHandlers<never>>;
}

/** @param purpose - Completes the error for a wrong module. @throws `ERR_INVALID_OPTION` */
export function moduleUrl(module: URL | string, purpose: string): string {
  if (module instanceof URL) return module.href;
  if (typeof module !== "string" || module === "") {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot run ${show(module)} ${purpose}: give the URL or the path of a module`,
    );
  }
  return /^[a-z][a-z\d+.-]+:/i.test(module) ? module : pathToFileURL(resolve(module)).href;
}

/** The position of a mistake in the errors of Bun's compiler. */
interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/**
 * Imports a module.
 *
 * @throws what the module throws. A syntax error names the file: those of V8 and Bun do not, and a pool may have
 * imported any of several.
 */
export async function importModule(url: string): Promise<object> {
  try {
    return (await import(url)) as object;
  } catch (error) {
    throw namingFile(error, url);
  }
}

function namingFile(error: unknown, url: string): unknown {
  const file = url.startsWith("file:") ? fileURLToPath(url) : url;
  // On Bun, several mistakes are an AggregateError.
  const [mistake] = error instanceof AggregateError ? (error.errors as unknown[]) : [error];
  const { message, stack, position } = mistake as Partial<Error> & { position?: Position | null };
  const isOfCompiler = mistake instanceof SyntaxError || (position ?? null) !== null;
  if (!isOfCompiler || message?.includes(file) || stack?.includes(file)) return error;
  const at = position ? ` (${position.file}:${position.line}:${position.column})` : "";
  const named = new SyntaxError(`Cannot import ${file}: ${message}${at}`, { cause: error });
  // V8 keeps the line for the report of an uncaught error.
  const hint = `node --check ${file} shows the line, unless the mistake is in a module that it imports`;
  return position ? named : Object.assign(named, { hint });
}

/**
 * Loads a module for an event loop: its `startOn`, or its handlers.
 *
 * @throws as {@link loadHandlers}.
 */
export async function loadForLoop(
  url: string,
  data: unknown,
  starting?: () => void,
): Promise<StartOn | ModelHandlers> {
  const { startOn } = (await importModule(url)) as ModelModule;
  return startOn ?? loadHandlers(url, data, starting);
}

/**
 * Loads the handlers of a module.
 *
 * @param starting - Called when the module is imported, before its `start`.
 * @throws TypeError `ERR_INVALID_OPTION` when it has none; what importing or starting it throws.
 */
export async function loadHandlers(
  url: string,
  data: unknown,
  starting: () => void = () => {},
): Promise<ModelHandlers> {
  const module = (await importModule(url)) as ModelModule<unknown>;
  if (module.start !== undefined) starting();
  const handlers = module.start === undefined ? module : await module.start(data);
  const { open, data: received } = handlers ?? {};
  if (typeof open === "function" || typeof received === "function") {
    // The handlers of one module agree on the type of a connection's state.
    return handlers as ModelHandlers;
  }
  const why =
    module.startOn === undefined
      ? "it has neither an open nor a data handler"
      : "its startOn needs an event loop, so give prefork or event as the model";
  throw typeError("ERR_INVALID_OPTION", `Cannot serve the module ${show(url)}: ${why}`);
}

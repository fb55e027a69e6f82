import { type NamesOf, optionsOf } from "../base/argument.ts";
import type { EngineChoice } from "../engine/choose.ts";
import type { EngineName, Reporting, Trigger } from "../engine/engine.ts";
import {
  CONNECTION_OPTIONS,
  type ConnectionOptions,
  type Handlers,
} from "../reactor/connection.ts";
import type { Listener, ListenOptions } from "../reactor/listener.ts";
import type { Reactor } from "../reactor/reactor.ts";

/** What a worker does with the connections of its pool, and how they are treated. */
export type ServeOptions<Data = unknown> = Handlers<Data> &
  ConnectionOptions &
  Pick<ListenOptions<Data>, "maxConnections" | "acceptError">;

const SERVE_OPTIONS: NamesOf<ServeOptions> = {
  ...CONNECTION_OPTIONS,
  maxConnections: true,
  acceptError: true,
};

/**
 * The handlers and options in `from`, which may be an instance of a class, or a module that exports much else.
 *
 * @throws TypeError `ERR_INVALID_OPTION`
 */
export function serveOptionsOf<Data>(from: ServeOptions<Data>): ServeOptions<Data> {
  const given = optionsOf(from, "listen()", SERVE_OPTIONS) as Readonly<Record<string, unknown>>;
  const options: Record<string, unknown> = {};
  for (const name of Object.keys(SERVE_OPTIONS)) {
    const value = given[name];
    if (value !== undefined) options[name] = typeof value === "function" ? value.bind(from) : value;
  }
  return options;
}

/**
 * One worker of a pool, as its module sees it.
 *
 * @typeParam Input - What `data` of {@link WorkersOptions} is.
 */
export interface PoolWorker<Input = unknown> {
  /** From 0 up. A worker that replaces a crashed one has its index. */
  readonly index: number;
  /** How many workers the pool has. */
  readonly count: number;
  /** This worker's own: for timers, watches, clients, listeners of other kinds. */
  readonly reactor: Reactor;
  /** A copy of what the pool was given; a `SharedArrayBuffer` in it is shared. */
  readonly data: Input;
  /**
   * Serves the address of the pool with these handlers. Its connections are counted, and looked after
   * when the pool stops.
   *
   * @throws TypeError `ERR_INVALID_OPTION` when the pool has no address, or is served by this worker already.
   */
  listen<Data = unknown>(options: ServeOptions<Data>): Listener;
  /** Sends a message to the pool: it goes to `message` of {@link WorkersOptions}. */
  post(message: unknown): void;
}

/** What `start` may give back: how to end what it began. */
export interface Stoppable {
  /**
   * Ends gently: lets connections come to their end. Before this is called the pool's listener has accepted what
   * waited, and is closed. What is open after `graceMs` is cut off; connections that this leaves open before are
   * ended as by `Listener.stop`.
   */
  stop(graceMs: number): void | PromiseLike<void>;
}

/**
 * The module that every worker of a pool runs: what it exports, by name.
 *
 * @remarks
 * Either handlers, as for `listen`, with the options of connections beside them if need be
 * (`export const zeroCopy = true`). Or `start`, which is given its worker and does the rest. The first
 * is short for the second: without a `start` it is `(worker) => worker.listen(module)`.
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
  // biome-ignore lint/suspicious/noConfusingVoidType: what a function without a return gives
  start?(worker: PoolWorker<Input>): void | Stoppable | Promise<void | Stoppable>;
}

/** What a worker thread is given when it starts. */
export interface WorkerInput {
  /** The URL of the module. */
  readonly module: string;
  readonly index: number;
  readonly count: number;
  readonly engine: EngineChoice | undefined;
  readonly trigger: Trigger | undefined;
  /** A descriptor of the pool's listener, which is the worker's; -1 when the pool has no address. */
  readonly listener: number;
  /** The end of a pipe that wakes the worker to look at its board. */
  readonly doorbell: number;
  readonly board: SharedArrayBuffer;
  readonly ledger: SharedArrayBuffer;
  readonly data: unknown;
}

/** The engine that a worker has. */
export interface WorkerEngine {
  readonly engine: EngineName;
  readonly trigger: Reporting;
}

/** What a worker thread says to the main thread. */
export type WorkerMessage =
  | ({ readonly type: "ready" } & WorkerEngine)
  | { readonly type: "failed"; readonly error: FailedStart }
  | { readonly type: "post"; readonly message: unknown }
  | { readonly type: "stopped" };

/** An error on its way to the main thread: what a person or a program may want of it. */
export interface FailedStart {
  readonly message: string;
  readonly stack: string | undefined;
  readonly code: unknown;
  readonly hint: unknown;
}

/**
 * Servers and clients for thousands of connections on one thread.
 *
 * @packageDocumentation
 */
import type { Connection } from "./reactor/connection.ts";
import type { ConnectOptions } from "./reactor/connector.ts";
import type { Listener, ListenOptions } from "./reactor/listener.ts";
import { connectOn, listenOn, type ReactorChoice, reactorFor } from "./reactor/reactor.ts";

export { ERRNO, type ErrnoCode } from "./base/errno.ts";
export { SysError } from "./base/sys-error.ts";
export { type EngineChoice, type EngineReport, probeEngines } from "./engine/choose.ts";
export type { EngineName, Reporting, Trigger } from "./engine/engine.ts";
export type {
  Connection,
  ConnectionOptions,
  ConnectionState,
  Handlers,
  OutgoingFile,
} from "./reactor/connection.ts";
export type { ConnectOptions } from "./reactor/connector.ts";
export type { Listener, ListenOptions } from "./reactor/listener.ts";
export {
  defaultReactor,
  Reactor,
  type ReactorChoice,
  type ReactorConstructor,
  type ReactorOptions,
} from "./reactor/reactor.ts";
export type { Timer } from "./reactor/timers.ts";
export type { Watch, WatchCallback } from "./reactor/watch.ts";

/**
 * Listens on the default reactor: see {@link Reactor.listen}.
 *
 * @example
 * ```ts
 * listen({ port: 7788, data: (connection, bytes) => connection.write(bytes) });
 * ```
 */
export function listen<Data = unknown>(options: ListenOptions<Data> & ReactorChoice): Listener {
  return listenOn(reactorFor(options), options);
}

/** Connects on the default reactor: see {@link Reactor.connect}. */
export function connect<Data = unknown>(
  options: ConnectOptions<Data> & ReactorChoice,
): Connection<Data> {
  return connectOn(reactorFor(options), options);
}

/**
 * Servers and clients for thousands of connections on one thread.
 *
 * @packageDocumentation
 */
import type { EngineChoice } from "./engine/choose.ts";
import type { Trigger } from "./engine/engine.ts";
import type { Connection } from "./reactor/connection.ts";
import type { ConnectOptions } from "./reactor/connector.ts";
import type { Listener, ListenOptions } from "./reactor/listener.ts";
import { Reactor } from "./reactor/reactor.ts";

export { ERRNO, type ErrnoCode } from "./base/errno.ts";
export { SysError } from "./base/sys-error.ts";
export { type EngineChoice, type EngineReport, probeEngines } from "./engine/choose.ts";
export type { EngineName, Reporting, Trigger } from "./engine/engine.ts";
export type { Connection, ConnectionState } from "./reactor/connection.ts";
export type { ConnectOptions } from "./reactor/connector.ts";
export type { ConnectionOptions, Handlers } from "./reactor/handlers.ts";
export type { Listener, ListenOptions } from "./reactor/listener.ts";
export { Reactor, type ReactorOptions } from "./reactor/reactor.ts";
export type { Timer } from "./reactor/timers.ts";
export type { Watch, WatchCallback } from "./reactor/watch.ts";

/** Which reactor: one for each engine and trigger, made when it is first asked for. */
interface ReactorChoice {
  readonly engine?: EngineChoice | undefined;
  readonly trigger?: Trigger | undefined;
}

const reactors = new Map<string, Reactor>();

/** This thread's reactor for an engine and a trigger: what `listen` and `connect` use. */
export function defaultReactor({ engine = "auto", trigger }: ReactorChoice = {}): Reactor {
  const key = `${engine} ${trigger ?? "by default"}`;
  let reactor = reactors.get(key);
  if (reactor === undefined) {
    reactor = new Reactor({ engine, trigger });
    reactors.set(key, reactor);
  }
  return reactor;
}

/**
 * Listens on the default reactor: see {@link Reactor.listen}.
 *
 * @example
 * ```ts
 * listen({ port: 7788, data: (connection, bytes) => connection.write(bytes) });
 * ```
 */
export function listen<Data = unknown>(options: ListenOptions<Data> & ReactorChoice): Listener {
  return defaultReactor(options).listen(options);
}

/** Connects on the default reactor: see {@link Reactor.connect}. */
export function connect<Data = unknown>(
  options: ConnectOptions<Data> & ReactorChoice,
): Connection<Data> {
  return defaultReactor(options).connect(options);
}

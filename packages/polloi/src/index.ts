/// <reference lib="esnext.disposable" preserve="true" />
/**
 * Servers and clients for tens of thousands of connections on one thread, over TCP and unix sockets, on select, poll,
 * epoll or io_uring.
 *
 * @packageDocumentation
 */
import { fromCaller } from "./base/misuse.ts";
import type { Connection } from "./reactor/connection.ts";
import type { ConnectOptions } from "./reactor/connector.ts";
import type { DatagramOptions, DatagramSocket } from "./reactor/datagrams.ts";
import type { Listener, ListenOptions } from "./reactor/listener.ts";
import {
  bindDatagramsOn,
  connectOn,
  listenOn,
  type ReactorChoice,
  reactorFor,
} from "./reactor/reactor.ts";

export { ERRNO, type ErrnoCode } from "./base/errno.ts";
export { SysError } from "./base/sys-error.ts";
export { type EngineChoice, type EngineReport, probeEngines } from "./engine/choose.ts";
export type { EngineName, Reporting, Trigger } from "./engine/engine.ts";
export type { ProxyFailure, ProxyHeader, ProxyTlv } from "./proxy/header.ts";
export type { OutgoingProxyHeader } from "./proxy/write-header.ts";
export type {
  Connection,
  ConnectionOptions,
  ConnectionState,
  Handlers,
  OutgoingFile,
} from "./reactor/connection.ts";
export type { ConnectOptions } from "./reactor/connector.ts";
export type { DatagramHandlers, DatagramOptions, DatagramSocket } from "./reactor/datagrams.ts";
export type { Listener, ListenOptions } from "./reactor/listener.ts";
export type { ProxyProtocolOptions, ProxyRefusal } from "./reactor/proxied.ts";
export {
  defaultReactor,
  Reactor,
  type ReactorChoice,
  type ReactorConstructor,
  type ReactorOptions,
} from "./reactor/reactor.ts";
export {
  type ConnectionDuplex,
  type DuplexOptions,
  type SocketMembers,
  toDuplex,
} from "./reactor/streams/duplex.ts";
export type { Timer } from "./reactor/timers.ts";
export type { Watch, WatchCallback } from "./reactor/watch.ts";
export type {
  Pem,
  TlsCertificate,
  TlsClientOptions,
  TlsOptions,
  TlsServerOptions,
  TlsVersion,
} from "./tls/options.ts";
export type { TlsInfo } from "./tls/session.ts";
export { TlsError } from "./tls/tls-error.ts";

/**
 * Listens on an address with the default reactor of this thread, and serves every connection with the handlers in
 * `options`.
 *
 * @param options - The address, the handlers, and `engine` or `trigger` to choose the reactor.
 * @returns The listener. It keeps the process alive until it is stopped or closed.
 * @throws SysError `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`, `EMFILE`; TypeError or RangeError for an invalid option.
 *
 * @example
 * ```ts
 * listen({ port: 7788, data: (connection, bytes) => connection.write(bytes) });
 * ```
 */
export function listen<Data = unknown>(options: ListenOptions<Data> & ReactorChoice): Listener {
  return fromCaller(listen, () => listenOn(reactorFor(options), options));
}

/**
 * Connects to an address with the default reactor of this thread, and serves the connection with the handlers in
 * `options`: see {@link Reactor.connect}.
 *
 * @param options - The address, the handlers, and `engine` or `trigger` to choose the reactor.
 * @returns The connection, which can be written to at once.
 * @throws TypeError or RangeError for an invalid option. A connect that fails calls `error` and `close`.
 *
 * @example
 * ```ts
 * connect({
 *   host: "127.0.0.1",
 *   port: 7788,
 *   open: (connection) => connection.write("hello"),
 *   data: (connection, bytes) => console.log(bytes.length),
 * });
 * ```
 */
export function connect<Data = unknown>(
  options: ConnectOptions<Data> & ReactorChoice,
): Connection<Data> {
  return fromCaller(connect, () => connectOn(reactorFor(options), options));
}

/**
 * Opens a datagram socket, of UDP or unix, with the default reactor of this thread: see {@link Reactor.bindDatagrams}.
 *
 * @param options - The address, the handlers, and `engine` or `trigger` to choose the reactor.
 * @returns The socket. It keeps the process alive until it is closed.
 * @throws SysError `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`, `EMFILE`; TypeError or RangeError for an invalid option.
 *
 * @example
 * ```ts
 * bindDatagrams({ port: 7788, message: (socket, bytes, from) => socket.send(bytes, from) });
 * ```
 */
export function bindDatagrams(options: DatagramOptions & ReactorChoice): DatagramSocket {
  return fromCaller(bindDatagrams, () => bindDatagramsOn(reactorFor(options), options));
}

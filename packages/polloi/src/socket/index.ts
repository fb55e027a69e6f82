/// <reference lib="esnext.disposable" preserve="true" />
/**
 * BSD sockets: `polloi/socket`.
 *
 * @module
 */

export { SysError } from "../base/sys-error.ts";
export {
  type AddressFamily,
  formatAddress,
  type InetAddress,
  type SocketAddress,
  type UnixAddress,
} from "./address.ts";
export {
  type AncillaryMessage,
  ancillaryLength,
  ancillarySpace,
  type CredentialsMessage,
  type RawAncillaryMessage,
  type RightsMessage,
} from "./ancillary.ts";
export * from "./constants.ts";
export {
  type CreateConnectionOptions,
  type CreateServerOptions,
  createConnection,
  createServer,
  socketpair,
} from "./create.ts";
export { interfaceIndex, interfaceName } from "./interface.ts";
export type { ListenOptions } from "./listener.ts";
export { type Credentials, SocketOptions } from "./options.ts";
export { type ReceivedFds, receiveFds, sendFds } from "./pass-fds.ts";
export { ResolveError, type ResolveOptions, resolve } from "./resolve.ts";
export { type Accepted, Socket } from "./socket.ts";
export type { SocketInit } from "./socket-handle.ts";
export type { ReceivedFrom, ReceivedInto, ReceivedMessage } from "./socket-transfer.ts";
export type { TcpInfo, TcpState } from "./tcp-info.ts";

/// <reference lib="esnext.disposable" preserve="true" />
/**
 * `polloi/uring`: an io_uring, for files, timeouts and sockets.
 *
 * @module
 */
export type { FileObject, HasFileno } from "../base/descriptor.ts";
export { SysError } from "../base/sys-error.ts";
export type { SocketAddress } from "../socket/address.ts";
export { BufferRing, type BufferRingOptions, type Received } from "./buffer-ring.ts";
export { Completion } from "./completion.ts";
export * from "./constants.ts";
export { Mapped } from "./mapped.ts";
export type { RingOptions } from "./raw-ring.ts";
export { type FileOptions, Ring, type SubmitOptions } from "./ring.ts";

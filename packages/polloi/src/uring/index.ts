/**
 * `polloi/uring`: the ring itself, for files, timeouts and sockets.
 *
 * @module
 */
export type { FileObject, HasFileno } from "../base/descriptor.ts";
export { SysError } from "../base/sys-error.ts";
export type { SocketAddress } from "../socket/address.ts";
export { Completion } from "./completion.ts";
export * from "./constants.ts";
export { Mapped } from "./mapped.ts";
export { Ring } from "./public-ring.ts";
export type { RingOptions } from "./ring.ts";
export type { FileOptions, RingOperations, SubmitOptions } from "./ring-operations.ts";
export { BufferRing, type BufferRingOptions, type Received } from "./shared-buffers.ts";

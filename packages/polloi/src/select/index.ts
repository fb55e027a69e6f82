/// <reference lib="esnext.disposable" preserve="true" />
/**
 * `polloi/select`: select, poll and epoll as the kernel has them.
 *
 * @module
 */
export type { FileObject, HasFileno } from "../base/descriptor.ts";
export { SysError } from "../base/sys-error.ts";
export * from "./constants.ts";
export { Epoll, type EpollOptions } from "./epoll.ts";
export { Poll } from "./poll.ts";
export { select } from "./select.ts";
export { SignalFd, type SignalFdOptions, type SignalName } from "./signal-fd.ts";

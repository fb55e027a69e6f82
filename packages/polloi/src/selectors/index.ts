/// <reference lib="esnext.disposable" preserve="true" />
/**
 * `polloi/selectors`: waiting for readiness of many descriptors, over epoll, poll or select.
 *
 * @module
 */
export type { FileObject, HasFileno } from "../base/descriptor.ts";
export { SysError } from "../base/sys-error.ts";
export { SelectorBatch } from "./batch.ts";
export {
  EVENT_ALL,
  EVENT_ERROR,
  EVENT_HANGUP,
  EVENT_PEER_CLOSED,
  EVENT_PRIORITY,
  EVENT_READ,
  EVENT_WRITE,
} from "./events.ts";
export type { DataArguments, SelectorKey, WatchOptions } from "./key.ts";
export type { PassedOver } from "./open-poller.ts";
export type { PollerCapabilities, PollerName } from "./poller.ts";
export type { SelectorMap } from "./registry.ts";
export {
  DefaultSelector,
  EpollSelector,
  PollSelector,
  type Selector,
  type SelectorOptions,
  SelectSelector,
} from "./selector.ts";
export { Waker, type WakerOptions } from "./waker.ts";

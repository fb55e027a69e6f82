import type { Kernel } from "../sys/kernel.ts";
import { kernelOf } from "../sys/kernel-option.ts";
import { openBestPoller, openPoller, type PassedOver } from "./open-poller.ts";
import { Selector } from "./selector.ts";

/** How to make a selector. */
export interface SelectorOptions {
  /** The kernel to call; by default the one of this thread. */
  readonly kernel?: Kernel;
}

/** A {@link Selector} over select(2): descriptors below 1024, level-triggered. */
export class SelectSelector<Data = unknown> extends Selector<Data> {
  constructor(options: SelectorOptions = {}) {
    super(openPoller("select", kernelOf(options)));
  }
}

/** A {@link Selector} over poll(2): any descriptor, level-triggered, a cost for each that is watched. */
export class PollSelector<Data = unknown> extends Selector<Data> {
  /** @throws SysError `ENOMEM`. */
  constructor(options: SelectorOptions = {}) {
    super(openPoller("poll", kernelOf(options)));
  }
}

/** A {@link Selector} over epoll(7): everything, at a cost for each that is ready. */
export class EpollSelector<Data = unknown> extends Selector<Data> {
  /** @throws SysError `EMFILE`, `ENFILE` or `ENOMEM` when there is no descriptor or memory for it. */
  constructor(options: SelectorOptions = {}) {
    super(openPoller("epoll", kernelOf(options)));
  }
}

/**
 * A {@link Selector} over io_uring's polls: everything, regular files too, and any number of changes in
 * the one call that waits.
 *
 * @remarks
 * A descriptor that is watched is held open by the kernel: one that is closed before it is unregistered
 * stays open until it is. It belongs to the thread that made it.
 */
export class UringSelector<Data = unknown> extends Selector<Data> {
  /**
   * @throws SysError of io_uring_setup: `EPERM` where it is forbidden, `ENOSYS` where there is none,
   * `EINVAL` before Linux 6.1; `EMFILE`, `ENFILE`, `ENOMEM`.
   */
  constructor(options: SelectorOptions = {}) {
    super(openPoller("io_uring", kernelOf(options)));
  }
}

/**
 * A {@link Selector} over the best engine that works here: epoll, else poll, else select.
 *
 * @remarks
 * Never io_uring: for readiness epoll has less to do, and where io_uring works it does too.
 *
 * @example
 * ```ts
 * using selector = new DefaultSelector<() => void>();
 * selector.register(socket, EVENT_READ, () => console.log("readable"));
 * for (const [key] of selector.select(1000)) key.data();
 * ```
 */
export class DefaultSelector<Data = unknown> extends Selector<Data> {
  /** The engines that were tried before and do not work here, and why. */
  readonly passedOver: readonly PassedOver[];

  /** @throws SysError `EMFILE`, `ENFILE` or `ENOMEM` when there is no descriptor or memory for it. */
  constructor(options: SelectorOptions = {}) {
    const { poller, passedOver } = openBestPoller(kernelOf(options));
    super(poller);
    this.passedOver = passedOver;
  }
}

import type { Kernel } from "../sys/kernel.ts";
import { kernelOf } from "../sys/open.ts";
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
    super(openPoller("select", kernelOf(options, "new SelectSelector()")));
  }
}

/** A {@link Selector} over poll(2): any descriptor, level-triggered, a cost for each that is watched. */
export class PollSelector<Data = unknown> extends Selector<Data> {
  /** @throws SysError `ENOMEM`. */
  constructor(options: SelectorOptions = {}) {
    super(openPoller("poll", kernelOf(options, "new PollSelector()")));
  }
}

/** A {@link Selector} over epoll(7): everything, at a cost for each that is ready. */
export class EpollSelector<Data = unknown> extends Selector<Data> {
  /** @throws SysError `EMFILE`, `ENFILE` or `ENOMEM` when there is no descriptor or memory for it. */
  constructor(options: SelectorOptions = {}) {
    super(openPoller("epoll", kernelOf(options, "new EpollSelector()")));
  }
}

/**
 * A {@link Selector} over the best engine that works here: epoll, else poll, else select.
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
    const { poller, passedOver } = openBestPoller(kernelOf(options, "new DefaultSelector()"));
    super(poller);
    this.passedOver = passedOver;
  }
}

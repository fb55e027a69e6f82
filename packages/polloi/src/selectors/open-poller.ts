import { ERRNO } from "../base/errno.ts";
import { check, SysError } from "../base/sys-error.ts";
import { POLLIN } from "../select/constants.ts";
import { EFD_CLOEXEC } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";
import { type Poller, type PollerName, ReadyBatch } from "./poller.ts";
import { EpollPoller } from "./pollers/epoll-poller.ts";
import { PollPoller } from "./pollers/poll-poller.ts";
import { SelectPoller } from "./pollers/select-poller.ts";

/** The pollers, the best first: the order in which they are tried where none is asked for. */
export const POLLER_NAMES: readonly PollerName[] = ["epoll", "poll", "select"];

const MAKE: Readonly<Record<PollerName, (kernel: Kernel) => Poller>> = {
  select: (kernel) => new SelectPoller(kernel),
  poll: (kernel) => new PollPoller(kernel),
  epoll: (kernel) => new EpollPoller(kernel),
};

/** Errors that say that there is no room, not that the engine does not work here. */
const NO_ROOM: readonly number[] = [-ERRNO.EMFILE, -ERRNO.ENFILE, -ERRNO.ENOMEM];

/** @throws SysError when the engine cannot be had. */
export function openPoller(name: PollerName, kernel: Kernel): Poller {
  return MAKE[name](kernel);
}

/** An engine that does not work here, and why. */
export interface PassedOver {
  readonly name: PollerName;
  readonly reason: string;
}

/**
 * Opens the best engine that works here, found by trying.
 *
 * @returns The engine, and those that were passed over for it.
 * @throws SysError `EMFILE`, `ENFILE` or `ENOMEM` when there is no room for any; the error of the last
 * one when none works.
 */
export function openBestPoller(kernel: Kernel): { poller: Poller; passedOver: PassedOver[] } {
  const passedOver: PassedOver[] = [];
  let last: SysError | undefined;
  for (const name of POLLER_NAMES) {
    try {
      return { poller: openTried(name, kernel), passedOver };
    } catch (error) {
      if (!(error instanceof SysError) || NO_ROOM.includes(error.errno)) throw error;
      passedOver.push({ name, reason: error.hint ?? error.message });
      last = error;
    }
  }
  throw last;
}

/** Why an engine does not work here, found by trying; undefined when it does. */
export function whyNot(name: PollerName, kernel: Kernel): string | undefined {
  try {
    openTried(name, kernel).close();
    return undefined;
  } catch (error) {
    if (error instanceof SysError) return error.hint ?? error.message;
    throw error;
  }
}

/** Opens an engine and has it report a counter that is readable. */
function openTried(name: PollerName, kernel: Kernel): Poller {
  const { libc } = kernel;
  const poller = openPoller(name, kernel);
  const fd = libc.eventfd(1, EFD_CLOEXEC);
  try {
    check(fd, "eventfd");
    // A number that select has no bit for says nothing of the engine.
    if (fd <= poller.capabilities.maxFd) {
      check(poller.add(fd, POLLIN, 0), name);
      const found = check(poller.wait(new ReadyBatch(1), 0), name);
      check(poller.remove(fd), name);
      if (found !== 1) throw new SysError(name, ERRNO.EIO, { hint: "it did not report readiness" });
    }
    return poller;
  } catch (error) {
    poller.close();
    throw error;
  } finally {
    if (fd >= 0) libc.close(fd);
  }
}

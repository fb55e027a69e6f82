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

/** Errors that report a lack of descriptors or memory, not that the poller does not work on this system. */
const NO_ROOM: readonly number[] = [-ERRNO.EMFILE, -ERRNO.ENFILE, -ERRNO.ENOMEM];

/** @throws SysError of the poller's first call. */
export function openPoller(name: PollerName, kernel: Kernel): Poller {
  return MAKE[name](kernel);
}

/** A poller that does not work on this system, and the reason. */
export interface PassedOver {
  readonly name: PollerName;
  readonly reason: string;
}

/**
 * Opens the best poller that works on this system, found by trying.
 *
 * @returns The poller, and those that were tried before it.
 * @throws SysError `EMFILE`, `ENFILE` or `ENOMEM` when there are no descriptors or no memory; the error of
 * the last poller when none works.
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

/** Why a poller does not work on this system, found by trying; undefined when it does. */
export function whyNot(name: PollerName, kernel: Kernel): string | undefined {
  try {
    openTried(name, kernel).close();
    return undefined;
  } catch (error) {
    if (error instanceof SysError) return error.hint ?? error.message;
    throw error;
  }
}

/** Opens a poller and checks that it reports a readable descriptor. */
function openTried(name: PollerName, kernel: Kernel): Poller {
  const { libc } = kernel;
  const poller = openPoller(name, kernel);
  const fd = libc.eventfd(1, EFD_CLOEXEC);
  try {
    check(fd, "eventfd");
    // select has no bit for a higher number, which says nothing about the poller.
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

import { check, ERRNO, type LoopWatch, POLLERR, POLLHUP, POLLIN } from "polloi/internal/pure";
import type { Waiter } from "../base/wait-queue.ts";
import type { Process } from "./process.ts";

const READABLE: number = POLLIN | POLLERR | POLLHUP;

/**
 * Watches a descriptor as the event loop of a runtime does: calls `onReadable` while it is readable, each time as a
 * task.
 *
 * @throws SysError `EBADF`
 */
export function watchDescriptor(
  { descriptors, world }: Process,
  fd: number,
  onReadable: () => boolean,
): LoopWatch {
  const file = descriptors.get(fd);
  if (file === undefined) {
    check(-ERRNO.EBADF, "watch", { fd });
    throw new RangeError(`Cannot watch descriptor ${fd}: it is not open`);
  }
  let isStopped = false;
  let isScheduled = false;
  const isReadable = () => (file.poll() & READABLE) !== 0;
  const schedule = () => {
    if (isScheduled || isStopped || !isReadable()) return;
    isScheduled = true;
    world.scheduleTask(0, () => {
      isScheduled = false;
      if (isStopped || !isReadable()) return;
      try {
        onReadable();
      } finally {
        schedule();
      }
    });
  };
  const waiter: Waiter = {
    isExclusive: false,
    wake() {
      schedule();
      return true;
    },
  };
  file.waiters.add(waiter);
  schedule();
  return {
    ref() {},
    unref() {},
    stop() {
      isStopped = true;
      file.waiters.remove(waiter);
    },
  };
}

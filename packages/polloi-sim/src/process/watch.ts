import { check, ERRNO, type LoopWatch, POLLERR, POLLHUP, POLLIN } from "polloi/internal/pure";
import type { Waiter } from "../base/wait-queue.ts";
import type { Process } from "./process.ts";

const READABLE: number = POLLIN | POLLERR | POLLHUP;
/** An iteration of the loop takes time. If nothing else did, a loop that spins would stop the clock. */
const IDLE_MS = 0.01;

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
  const schedule = (delayMs = 0) => {
    if (isScheduled || isStopped || !isReadable()) return;
    isScheduled = true;
    world.scheduleTask(delayMs, () => {
      isScheduled = false;
      if (isStopped || !isReadable()) return;
      let hasFound = true;
      try {
        hasFound = onReadable();
      } finally {
        schedule(hasFound ? 0 : IDLE_MS);
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

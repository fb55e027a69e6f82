import { type FileObject, filenoOf } from "../base/descriptor.ts";
import { ERRNO } from "../base/errno.ts";
import { show, typeError } from "../base/misuse.ts";
import { SysError } from "../base/sys-error.ts";
import { naturalTimeoutOf } from "../base/timeout.ts";
import { FD_SETSIZE } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";
import { checkKernel, kernel as defaultKernel } from "../sys/open.ts";
import { EXCEPTIONAL, fdTooLarge, READERS, SelectSets, WRITERS } from "./select-sets.ts";

/**
 * Waits until a descriptor of three lists is ready, and returns the ready ones.
 *
 * @remarks
 * It blocks the thread, as the system call does. Timers, promises and the runtime's signal handlers run when the
 * event loop runs again, which is never in a loop that only waits. A signal does not end the wait, which continues
 * with the remaining time; a `SignalFd` among the readers does. Regular files are always ready. Each list is read
 * once, from the front, and never changed; changes that a `fileno()` makes to it while it is read count.
 *
 * @param readers - Wait until these can be read: data, a connection to accept, or the end of the stream.
 * @param writers - Wait until these can be written to, or their connect has finished.
 * @param exceptional - Wait for conditions that poll(2) calls priority, such as urgent data of TCP.
 * @param timeoutMs - Milliseconds from 0 up, fractions count; 0 does not wait, `undefined` means no timeout.
 * @param kernel - The kernel to call. Default: the kernel of this thread.
 * @returns Three new arrays with the objects that were passed in and are ready, in their order. All are empty
 * after a timeout.
 * @throws RangeError `ERR_FD_TOO_LARGE` for a descriptor of 1024 or above; TypeError or RangeError
 * `ERR_INVALID_FD` for a value that is no descriptor; TypeError or RangeError `ERR_INVALID_TIMEOUT` for a timeout
 * that is no number, negative, NaN or out of range; TypeError `ERR_INVALID_OPTION` for the kernel; SysError `EBADF`
 * with the number of a descriptor that is closed.
 * @example
 * ```ts
 * const [readable] = select([socket], [], [], 1000);
 * if (readable.length === 0) console.log("no data within a second");
 * ```
 * Source: select(2).
 */
export function select<
  R extends FileObject = FileObject,
  W extends FileObject = FileObject,
  X extends FileObject = FileObject,
>(
  readers: Iterable<R>,
  writers: Iterable<W>,
  exceptional: Iterable<X>,
  timeoutMs?: number | null,
): [readers: R[], writers: W[], exceptional: X[]];
/** @internal */
export function select<
  R extends FileObject = FileObject,
  W extends FileObject = FileObject,
  X extends FileObject = FileObject,
>(
  readers: Iterable<R>,
  writers: Iterable<W>,
  exceptional: Iterable<X>,
  timeoutMs?: number | null,
  kernel?: Kernel,
): [readers: R[], writers: W[], exceptional: X[]];
export function select<
  R extends FileObject = FileObject,
  W extends FileObject = FileObject,
  X extends FileObject = FileObject,
>(
  readers: Iterable<R>,
  writers: Iterable<W>,
  exceptional: Iterable<X>,
  timeoutMs?: number | null,
  kernel: Kernel = defaultKernel,
): [readers: R[], writers: W[], exceptional: X[]] {
  checkKernel(kernel);
  const timeout = naturalTimeoutOf(timeoutMs);
  // Every fileno() is called before the sets are filled, because it may run any code.
  const asked = [watched(readers), watched(writers), watched(exceptional)] as const;
  const sets = new SelectSets(kernel);
  for (const { fd } of asked[0]) sets.add(READERS, fd);
  for (const { fd } of asked[1]) sets.add(WRITERS, fd);
  for (const { fd } of asked[2]) sets.add(EXCEPTIONAL, fd);

  const found = sets.wait(timeout);
  // The kernel ignores bits above the highest descriptor that the process has had, and leaves them set, so that
  // closed descriptors look ready. Only the count shows it.
  if (found === -ERRNO.EBADF || (found >= 0 && found !== sets.countReady())) {
    const fd = sets.findClosed();
    throw new SysError("select", ERRNO.EBADF, { fd: fd < 0 ? undefined : fd });
  }
  if (found < 0) throw new SysError("select", found);
  return [
    readyOf(asked[0], READERS, sets),
    readyOf(asked[1], WRITERS, sets),
    readyOf(asked[2], EXCEPTIONAL, sets),
  ];
}

interface Watched<T> {
  readonly fileObject: T;
  readonly fd: number;
}

function watched<T extends FileObject>(list: Iterable<T>): Watched<T>[] {
  if (typeof list?.[Symbol.iterator] !== "function" || typeof list === "string") {
    throw typeError("ERR_INVALID_FD", `Cannot select on ${show(list)}: give a list of descriptors`);
  }
  const all: Watched<T>[] = [];
  for (const fileObject of list) {
    const fd = filenoOf(fileObject);
    if (fd >= FD_SETSIZE) throw fdTooLarge(fd);
    all.push({ fileObject, fd });
  }
  return all;
}

function readyOf<T>(asked: readonly Watched<T>[], set: number, sets: SelectSets): T[] {
  const ready: T[] = [];
  for (const { fileObject, fd } of asked) if (sets.isReady(set, fd)) ready.push(fileObject);
  return ready;
}

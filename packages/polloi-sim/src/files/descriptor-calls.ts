/** Calls on descriptors of every kind, and those that open a file without a name. */
import {
  CLOCK_MONOTONIC,
  EFD_CLOEXEC,
  EFD_NONBLOCK,
  ERRNO,
  F_DUPFD_CLOEXEC,
  F_GETFD,
  F_GETFL,
  F_SETFD,
  F_SETFL,
  FD_CLOEXEC,
  type Libc,
  O_APPEND,
  O_CLOEXEC,
  O_NONBLOCK,
  TFD_CLOEXEC,
  TFD_NONBLOCK,
} from "polloi/internal/pure";
import {
  CLOCK_BOOTTIME,
  CLOCK_BOOTTIME_ALARM,
  CLOCK_REALTIME,
  CLOCK_REALTIME_ALARM,
  EFD_SEMAPHORE,
  F_DUPFD,
  FIOCLEX,
  FIONBIO,
  FIONCLEX,
  O_DIRECT,
  O_NOATIME,
  TFD_TIMER_ABSTIME,
  TFD_TIMER_CANCEL_ON_SET,
} from "../process/abi.ts";
import type { Process } from "../process/process.ts";
import { EventFile } from "./event-file.ts";
import { FEW_PIPE_BUFFERS, PIPE_BUFFERS, PipeEnd } from "./pipe.ts";
import { TimerFile, type TimerSetting } from "./timer-file.ts";

/** The flags that F_SETFL changes. Source: fs/fcntl.c, SETFL_MASK. */
const CHANGEABLE: number = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME;
const ARGUMENT_BYTES = 64;
const NS_PER_S = 1_000_000_000;
/** Longer times count as this long, in seconds. Source: include/linux/ktime.h, KTIME_SEC_MAX. */
const MAX_SECONDS = 9_000_000;
const ITIMERSPEC_BYTES = 32;
const CLOCKS: readonly number[] = [CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME];

type Calls =
  | "close"
  | "fcntl"
  | "ioctl"
  | "pipe2"
  | "dup3"
  | "eventfd"
  | "timerfd_create"
  | "timerfd_settime";

/** Source of each call: section 2 of the man pages; fs/fcntl.c, fs/ioctl.c, fs/file.c. */
export function descriptorCalls(process: Process): Pick<Libc, Calls> {
  const { descriptors, memory, world } = process;

  /** Whether the kernel finds no memory for a new file. */
  const isOutOfMemory = (): boolean => world.faults.happens("noMemory");

  return {
    close: (fd) => descriptors.close(fd),

    fcntl(fd, command, argument) {
      const file = descriptors.getAny(fd);
      if (file === undefined) return -ERRNO.EBADF;
      switch (command) {
        case F_DUPFD:
        case F_DUPFD_CLOEXEC:
          if (argument < 0 || argument >= descriptors.limit) return -ERRNO.EINVAL;
          return process.open(file, command === F_DUPFD_CLOEXEC, argument);
        case F_GETFD:
          return descriptors.flags(fd);
        case F_SETFD:
          return descriptors.setFlags(fd, argument);
        case F_GETFL:
          return file.statusFlags | file.accessMode;
        default:
          break;
      }
      if (file.isPathOnly) return -ERRNO.EBADF;
      if (command !== F_SETFL) return -ERRNO.EINVAL;
      file.statusFlags = (file.statusFlags & ~CHANGEABLE) | (argument & CHANGEABLE);
      return 0;
    },

    ioctl(fd, request, argument) {
      const file = descriptors.get(fd);
      if (file === undefined) return -ERRNO.EBADF;
      if (request === FIOCLEX) return descriptors.setFlags(fd, FD_CLOEXEC);
      if (request === FIONCLEX) return descriptors.setFlags(fd, 0);
      const view = viewFrom(process, argument);
      if (request === FIONBIO) {
        if (view === undefined) return -ERRNO.EFAULT;
        if (view.getInt32(0, true) !== 0) file.statusFlags |= O_NONBLOCK;
        else file.statusFlags &= ~O_NONBLOCK;
        return 0;
      }
      if (view !== undefined) return file.ioctl(request, view);
      // A file that does not know the request does not read its argument.
      const result = file.ioctl(request, new DataView(new ArrayBuffer(ARGUMENT_BYTES)));
      return result < 0 ? result : -ERRNO.EFAULT;
    },

    pipe2(fds, flags) {
      // O_DIRECT is a pipe of packets, which polloi does not use.
      if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) return -ERRNO.EINVAL;
      if (isOutOfMemory()) return -ERRNO.ENFILE;
      const capacity = world.faults.happens("shortWrite") ? FEW_PIPE_BUFFERS : PIPE_BUFFERS;
      const [reader, writer] = PipeEnd.pair(flags & O_NONBLOCK, capacity);
      const isCloseOnExec = (flags & O_CLOEXEC) !== 0;
      const readerFd = process.open(reader, isCloseOnExec);
      if (readerFd < 0) {
        writer.hold().drop();
        return readerFd;
      }
      const writerFd = process.open(writer, isCloseOnExec);
      const view = writerFd < 0 ? undefined : memory.view(fds, 8);
      if (view === undefined) {
        descriptors.close(readerFd);
        if (writerFd < 0) return writerFd;
        descriptors.close(writerFd);
        return -ERRNO.EFAULT;
      }
      view.setInt32(0, readerFd, true);
      view.setInt32(4, writerFd, true);
      return 0;
    },

    dup3(oldFd, newFd, flags) {
      if ((flags & ~O_CLOEXEC) !== 0 || oldFd === newFd) return -ERRNO.EINVAL;
      if (newFd < 0 || newFd >= descriptors.limit) return -ERRNO.EBADF;
      const file = descriptors.getAny(oldFd);
      if (file === undefined) return -ERRNO.EBADF;
      return descriptors.replace(newFd, file, (flags & O_CLOEXEC) !== 0);
    },

    eventfd(value, flags) {
      if ((flags & ~(EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK)) !== 0) return -ERRNO.EINVAL;
      if (isOutOfMemory()) return -ERRNO.ENOMEM;
      const isSemaphore = (flags & EFD_SEMAPHORE) !== 0;
      const file = new EventFile(value, isSemaphore, flags & EFD_NONBLOCK);
      return process.open(file, (flags & EFD_CLOEXEC) !== 0);
    },

    timerfd_create(clock, flags) {
      // All clocks begin when the machine starts. The alarm clocks need a capability.
      if (clock === CLOCK_REALTIME_ALARM || clock === CLOCK_BOOTTIME_ALARM) return -ERRNO.EPERM;
      if (!CLOCKS.includes(clock)) return -ERRNO.EINVAL;
      if ((flags & ~(TFD_CLOEXEC | TFD_NONBLOCK)) !== 0) return -ERRNO.EINVAL;
      if (isOutOfMemory()) return -ERRNO.ENOMEM;
      return process.open(new TimerFile(world, flags & TFD_NONBLOCK), (flags & TFD_CLOEXEC) !== 0);
    },

    timerfd_settime(fd, flags, value, oldValue) {
      const view = memory.view(value, ITIMERSPEC_BYTES);
      if (view === undefined) return -ERRNO.EFAULT;
      const [interval, first] = [nanosecondsAt(view, 0), nanosecondsAt(view, 16)];
      if (interval < 0 || first < 0) return -ERRNO.EINVAL;
      if ((flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) !== 0) return -ERRNO.EINVAL;
      const file = descriptors.get(fd);
      if (file === undefined) return -ERRNO.EBADF;
      if (!(file instanceof TimerFile)) return -ERRNO.EINVAL;
      const isAbsolute = (flags & TFD_TIMER_ABSTIME) !== 0;
      const previous = file.set({ value: first, interval }, isAbsolute);
      if (oldValue === 0) return 0;
      const old = memory.view(oldValue, ITIMERSPEC_BYTES);
      if (old === undefined) return -ERRNO.EFAULT;
      setTimer(old, previous);
      return 0;
    },
  };
}

/** The memory from an address on: 64 bytes, or less at the end of mapped memory. */
function viewFrom({ memory }: Process, address: number): DataView | undefined {
  const arena = memory.find(address);
  if (arena === undefined) return undefined;
  const left = arena.address + arena.byteLength - address;
  return left < 4 ? undefined : memory.view(address, Math.min(left, ARGUMENT_BYTES));
}

/** A timespec in nanoseconds; -1 when it is invalid. Source: include/linux/time64.h, timespec64_valid. */
function nanosecondsAt(view: DataView, offset: number): number {
  const high = view.getInt32(offset + 4, true);
  const seconds = high * 0x1_0000_0000 + view.getUint32(offset, true);
  const nanoseconds = view.getUint32(offset + 8, true);
  if (seconds < 0 || nanoseconds >= NS_PER_S || view.getUint32(offset + 12, true) !== 0) return -1;
  return Math.min(seconds, MAX_SECONDS) * NS_PER_S + nanoseconds;
}

function setTimer(view: DataView, { value, interval }: TimerSetting): void {
  for (const [offset, time] of [
    [0, interval],
    [16, value],
  ] as const) {
    const seconds = Math.floor(time / NS_PER_S);
    view.setUint32(offset, seconds, true);
    view.setUint32(offset + 4, 0, true);
    view.setUint32(offset + 8, time - seconds * NS_PER_S, true);
    view.setUint32(offset + 12, 0, true);
  }
}

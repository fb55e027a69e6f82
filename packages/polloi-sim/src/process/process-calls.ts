/** Calls on a process itself: its memory, its limits, its number, its cores and its signals. */
import {
  ERRNO,
  type Libc,
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_FIXED,
  type Native,
  O_NONBLOCK,
  PAGE_SIZE,
  PR_SET_PDEATHSIG,
  RLIMIT_NOFILE,
  SIGACTION,
  SYS,
  SysError,
} from "polloi/internal/pure";
import { OpenFile } from "./open-file.ts";
import type { Process } from "./process.ts";

/** The most descriptors of any process. Source: proc_sys_fs(5), nr_open. */
const MAX_DESCRIPTORS = 1_048_576;
/** The resources that have a limit. Source: getrlimit(2), RLIM_NLIMITS. */
const RESOURCES = 16;
const RLIMIT_BYTES = 16;
/** RLIM_INFINITY, in halves of 32 bits. */
const INFINITE = 0xffff_ffff;

/** The bytes of the kernel's own mask of cores, of 64 cores. */
const CORE_MASK_BYTES = 8;

/** GRND_NONBLOCK, GRND_RANDOM and GRND_INSECURE. Source: getrandom(2). */
const KNOWN_RANDOM_FLAGS = 7;

const SIGNALS = 64;
const SIGKILL = 9;
const SIGSTOP = 19;
/** Signals that the threads library keeps for itself. Source: nptl(7). */
const LIBRARY_SIGNALS: readonly number[] = [32, 33];

// Source: section 2 of the man pages, under the name of each call.

export function memoryCalls({ memory }: Process): Pick<Libc, "mmap" | "madvise"> {
  return {
    mmap(_address, length, _protection, flags, fd, offset) {
      if (offset % PAGE_SIZE !== 0 || length === 0) return -ERRNO.EINVAL;
      if ((flags & MAP_FIXED) !== 0) {
        throw new Error("The simulated kernel does not map at an address: it has its own arenas");
      }
      try {
        const isAnonymous = (flags & MAP_ANONYMOUS) !== 0;
        const arena = isAnonymous
          ? memory.mapPermanent(length)
          : memory.mapFile(fd, offset, length);
        return arena.address;
      } catch (error) {
        if (error instanceof SysError) return error.errno;
        throw error;
      }
    },

    madvise(address, length, advice) {
      if (advice !== MADV_DONTNEED || address % PAGE_SIZE !== 0) return -ERRNO.EINVAL;
      const bytes = memory.bytes(address, Math.ceil(length / PAGE_SIZE) * PAGE_SIZE);
      if (bytes === undefined) return -ERRNO.ENOMEM;
      bytes.fill(0);
      return 0;
    },
  };
}

export function limitCalls({
  descriptors,
  memory,
}: Process): Pick<Libc, "getrlimit" | "setrlimit"> {
  return {
    getrlimit(resource, address) {
      if (resource < 0 || resource >= RESOURCES) return -ERRNO.EINVAL;
      const view = memory.view(address, RLIMIT_BYTES);
      if (view === undefined) return -ERRNO.EFAULT;
      const isLimited = resource === RLIMIT_NOFILE;
      const limits = [descriptors.limit, descriptors.hardLimit] as const;
      for (const [i, limit] of limits.entries()) {
        view.setUint32(8 * i, isLimited ? limit : INFINITE, true);
        view.setUint32(8 * i + 4, isLimited ? 0 : INFINITE, true);
      }
      return 0;
    },

    setrlimit(resource, address) {
      const view = memory.view(address, RLIMIT_BYTES);
      if (view === undefined) return -ERRNO.EFAULT;
      if (resource < 0 || resource >= RESOURCES) return -ERRNO.EINVAL;
      const [soft, hard] = [wordAt(view, 0), wordAt(view, 8)];
      if (soft > hard) return -ERRNO.EINVAL;
      if (resource !== RLIMIT_NOFILE) return 0;
      if (hard > MAX_DESCRIPTORS || hard > descriptors.hardLimit) return -ERRNO.EPERM;
      descriptors.limit = soft;
      descriptors.hardLimit = hard;
      return 0;
    },
  };
}

export function signalCalls({ memory, pid }: Process): Pick<Libc, "getpgrp" | "sigaction"> {
  /** The actions of signals that have one. No signal is ever delivered. */
  const actions = new Map<number, Uint8Array>();
  return {
    getpgrp: () => pid,

    sigaction(signal, action, oldAction) {
      if (signal < 1 || signal > SIGNALS || LIBRARY_SIGNALS.includes(signal)) return -ERRNO.EINVAL;
      const isFixed = signal === SIGKILL || signal === SIGSTOP;
      if (action !== 0 && isFixed) return -ERRNO.EINVAL;
      const wanted = action === 0 ? undefined : memory.bytes(action, SIGACTION.size)?.slice();
      if (action !== 0 && wanted === undefined) return -ERRNO.EFAULT;
      if (oldAction !== 0) {
        const old = memory.bytes(oldAction, SIGACTION.size);
        if (old === undefined) return -ERRNO.EFAULT;
        old.fill(0);
        const known = actions.get(signal);
        if (known !== undefined) old.set(known);
      }
      if (wanted !== undefined) actions.set(signal, wanted);
      return 0;
    },
  };
}

export function identityCalls(process: Process): Record<number, Native> {
  const { memory, pid } = process;
  /** The cores of the process. */
  let cores = 0b11;
  const isOwn = (id: number): boolean => id === 0 || id === pid;
  return {
    [SYS.gettid]: () => pid,

    [SYS.prctl]: (option = 0, value = 0) =>
      option === PR_SET_PDEATHSIG && value >= 0 && value <= SIGNALS ? 0 : -ERRNO.EINVAL,

    [SYS.sched_getaffinity](id = 0, length = 0, address = 0) {
      if (length < CORE_MASK_BYTES || length % 8 !== 0) return -ERRNO.EINVAL;
      if (!isOwn(id)) return -ERRNO.ESRCH;
      const view = memory.view(address, CORE_MASK_BYTES);
      if (view === undefined) return -ERRNO.EFAULT;
      view.setUint32(0, cores, true);
      view.setUint32(4, 0, true);
      return CORE_MASK_BYTES;
    },

    [SYS.sched_setaffinity](id = 0, length = 0, address = 0) {
      const mask = memory.bytes(address, length);
      if (mask === undefined) return -ERRNO.EFAULT;
      if (!isOwn(id)) return -ERRNO.ESRCH;
      const wanted = (mask[0] ?? 0) & 0b11;
      if (wanted === 0) return -ERRNO.EINVAL;
      cores = wanted;
      return 0;
    },

    [SYS.pidfd_open](id = 0, flags = 0) {
      if (id <= 0 || (flags & ~O_NONBLOCK) !== 0) return -ERRNO.EINVAL;
      return id === pid ? process.open(new PidFile(), true) : -ERRNO.ESRCH;
    },
  };
}

export function randomCalls({ memory, world }: Process): Record<number, Native> {
  return {
    [SYS.getrandom](address = 0, length = 0, flags = 0) {
      if ((flags & ~KNOWN_RANDOM_FLAGS) !== 0) return -ERRNO.EINVAL;
      const target = memory.bytes(address, length);
      if (target === undefined) return -ERRNO.EFAULT;
      let state = world.choices.below(2 ** 32);
      for (let i = 0; i < length; i++) {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        target[i] = state >>> 24;
      }
      return length;
    },
  };
}

/** A process as a file. It becomes readable when the process ends, which this one has not. Source: pidfd_open(2). */
class PidFile extends OpenFile {
  override readonly kind = "anon_inode:[pidfd]";

  poll(): number {
    return 0;
  }

  protected released(): void {}
}

function wordAt(view: DataView, offset: number): number {
  return view.getUint32(offset + 4, true) * 0x1_0000_0000 + view.getUint32(offset, true);
}

import { ERRNO, type Libc, type Native, PAGE_SIZE, SYS } from "polloi/internal/pure";
import type { Process } from "../process/process.ts";
import { areEnterFlags, enter } from "./enter.ts";
import { register } from "./register.ts";
import { RingFile } from "./ring-file.ts";
import { setUp } from "./setup.ts";
import { Submission } from "./submission.ts";

/** The calls that operations of a ring make. */
interface OtherCalls {
  readonly open: Libc["open"];
  readonly socket: Libc["socket"];
}

/**
 * The calls of io_uring of a process.
 *
 * @param others - The calls that operations of the same names make.
 */
export function uringCalls(process: Process, others: OtherCalls): Record<number, Native> {
  const calls = { open: openPathWith(process, others.open), socket: others.socket };
  const submissions: WeakMap<RingFile, Submission> = new WeakMap();
  /** Returns the ring of a descriptor, or `-errno`. */
  const ringOf = (fd: number): RingFile | number => {
    const file = process.descriptors.get(fd);
    if (file === undefined) return -ERRNO.EBADF;
    return file instanceof RingFile ? file : -ERRNO.EOPNOTSUPP;
  };
  return {
    [SYS.io_uring_setup]: (entries = 0, params = 0) => {
      const ring = setUp(process, entries, params);
      if (typeof ring === "number") return ring;
      submissions.set(ring, new Submission(ring, calls));
      return process.open(ring, true);
    },
    [SYS.io_uring_enter]: (
      fd = -1,
      toSubmit = 0,
      minComplete = 0,
      flags = 0,
      argument = 0,
      argumentBytes = 0,
    ) => {
      if (!areEnterFlags(flags)) return -ERRNO.EINVAL;
      const ring = ringOf(fd);
      if (typeof ring === "number") return ring;
      // A ring belongs to the process that has made it.
      if (ring.process !== process) return -ERRNO.EEXIST;
      const submission = submissions.get(ring) as Submission;
      const args = { toSubmit, minComplete, flags, argument, argumentBytes };
      const result = enter(ring, submission, args);
      ring.returning();
      return result;
    },
    [SYS.io_uring_register]: (fd = -1, operation = 0, argument = 0, count = 0) => {
      const ring = ringOf(fd);
      if (typeof ring === "number") return ring;
      if (ring.process !== process) return -ERRNO.EEXIST;
      const result = register(ring, operation, argument, count);
      ring.returning();
      return result;
    },
  };
}

/** Returns open(2) of a path that is not in the memory of the process. */
function openPathWith(process: Process, open: Libc["open"]) {
  return (path: Uint8Array, flags: number, mode: number): number => {
    const arena = process.memory.map(PAGE_SIZE);
    arena.u8.set(path);
    const fd = open(arena.address, flags, mode);
    process.memory.release(arena);
    return fd;
  };
}

import { check, ERRNO } from "polloi/internal/pure";
import type { World } from "../base/world.ts";
import { Descriptors } from "./descriptors.ts";
import { type MappedFile, Memory } from "./memory.ts";
import type { OpenFile } from "./open-file.ts";

/** RLIMIT_NOFILE of a new process: the soft limit, and the hard limit. */
const DEFAULT_LIMIT = 1024;
const DEFAULT_HARD_LIMIT = 65_536;

/**
 * A simulated process: its descriptors, its memory and its limits.
 */
export class Process {
  readonly world: World;
  /** The number of the process, of its thread and of its process group. */
  readonly pid: number;
  readonly memory: Memory;
  readonly descriptors: Descriptors;

  /** @param limit - RLIMIT_NOFILE, which the process cannot raise. By default it can raise it from 1024. */
  constructor(world: World, limit?: number, pid = 1) {
    this.world = world;
    this.pid = pid;
    this.descriptors = new Descriptors(limit ?? DEFAULT_LIMIT, limit ?? DEFAULT_HARD_LIMIT);
    this.memory = new Memory(
      (fd, offset, byteLength) => this.#mapped(fd, offset, byteLength),
      () => world.faults.happens("noPages"),
    );
  }

  /**
   * Makes a descriptor of a file, from `lowest` on. A new file is released when there is no descriptor for it.
   */
  open(file: OpenFile, isCloseOnExec: boolean, lowest = 0): number {
    const { choices, faults } = this.world;
    if (faults.happens("noDescriptors")) {
      // The system has no more open files, either. A duplicate needs none.
      const isNew = file.isReleased;
      file.hold().drop();
      return isNew && choices.below(2) === 1 ? -ERRNO.ENFILE : -ERRNO.EMFILE;
    }
    const fd = this.descriptors.add(file, isCloseOnExec, lowest);
    if (fd < 0) file.hold().drop();
    return fd;
  }

  /**
   * Makes a call that may wait: `attempt` is repeated until it returns something else than `-EAGAIN`.
   *
   * @param timeoutMs - The longest wait; 0 does not wait, `Infinity` has no limit.
   * @returns The result of `attempt`; `-EAGAIN` after the timeout; `-EINTR`.
   */
  blocking(attempt: () => number, timeoutMs: number): number {
    let result = attempt();
    if (result !== -ERRNO.EAGAIN || timeoutMs === 0) return result;
    if (this.world.faults.happens("interrupt")) return -ERRNO.EINTR;
    this.world.waitUntil(() => {
      result = attempt();
      return result !== -ERRNO.EAGAIN;
    }, this.world.timeIn(timeoutMs));
    return result;
  }

  /** Ends the process: closes all descriptors. */
  end(): void {
    this.descriptors.closeAll();
    this.memory.unmap();
  }

  #mapped(fd: number, offset: number, byteLength: number): MappedFile {
    const file = this.descriptors.get(fd);
    // Memory that is shared with a file can be read and written. Source: mm/mmap.c, do_mmap
    const isAllowed = file === undefined || (file.canRead && file.canWrite);
    const memory = isAllowed ? (file?.mapped(offset, byteLength) ?? -ERRNO.EBADF) : -ERRNO.EACCES;
    if (file === undefined || typeof memory === "number") {
      check(typeof memory === "number" ? memory : -ERRNO.EBADF, "mmap", { fd });
      throw new RangeError(`Cannot map descriptor ${fd}: its file has returned no memory`);
    }
    return { file, memory };
  }
}

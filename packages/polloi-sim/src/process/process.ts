import { check, ERRNO } from "polloi/internal/pure";
import type { World } from "../base/world.ts";
import { Descriptors } from "./descriptors.ts";
import { Memory } from "./memory.ts";
import type { OpenFile } from "./open-file.ts";

/** RLIMIT_NOFILE of a new process. */
const DEFAULT_LIMIT = 1024;

/**
 * A simulated process: its descriptors, its memory and its limits.
 */
export class Process {
  readonly world: World;
  /** The number of the process, of its thread and of its process group. */
  readonly pid: number;
  readonly memory: Memory;
  readonly descriptors: Descriptors;

  constructor(world: World, limit: number = DEFAULT_LIMIT, pid = 1) {
    this.world = world;
    this.pid = pid;
    this.descriptors = new Descriptors(limit);
    this.memory = new Memory((fd, offset, byteLength) => {
      const file = this.descriptors.get(fd);
      const memory = file?.mapped(offset, byteLength) ?? -ERRNO.EBADF;
      if (file === undefined || typeof memory === "number") {
        check(typeof memory === "number" ? memory : -ERRNO.EBADF, "mmap", { fd });
        throw new RangeError(`Cannot map descriptor ${fd}: its file has returned no memory`);
      }
      return { file, memory };
    });
  }

  /**
   * Makes a descriptor of a file, from `lowest` on. A new file is released when there is no descriptor for it.
   */
  open(file: OpenFile, isCloseOnExec: boolean, lowest = 0): number {
    if (this.world.faults.happens("noDescriptors")) {
      file.hold().drop();
      return -ERRNO.EMFILE;
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
}

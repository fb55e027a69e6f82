import type { Kernel } from "polloi/internal/pure";
import type { World } from "../base/world.ts";
import { libcOf } from "../process/calls.ts";
import { Process } from "../process/process.ts";
import { watchDescriptor } from "../process/watch.ts";

/** The bytes of the arguments and results of one call. */
const SCRATCH_BYTES = 64 * 1024;

/** A process and its kernel. */
export interface Running {
  readonly process: Process;
  /** For everything in polloi that takes a kernel. */
  readonly kernel: Kernel;
}

/** A simulated machine. Its processes share time, network and files. */
export class Machine {
  readonly world: World;

  constructor(world: World) {
    this.world = world;
  }

  /**
   * Starts a process.
   *
   * @param descriptorLimit - RLIMIT_NOFILE.
   */
  start(descriptorLimit?: number): Running {
    const { world } = this;
    const process = new Process(world, descriptorLimit);
    const { memory } = process;
    const libc = libcOf([], () => world.catchUp());
    const kernel: Kernel = {
      runtime: "node",
      runtimeVersion: "20.0.0",
      libc,
      arenas: memory,
      scratch: memory.map(SCRATCH_BYTES),
      watch: (fd, onReadable) => watchDescriptor(process, fd, onReadable),
      now: () => world.now(),
      soon: (callback) => void world.schedule(0, callback),
      after(delayMs, callback) {
        const scheduled = world.schedule(delayMs, callback);
        return { ref() {}, unref() {}, cancel: () => scheduled.cancel() };
      },
    };
    return { process, kernel };
  }
}

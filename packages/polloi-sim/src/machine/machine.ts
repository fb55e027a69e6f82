import type { Kernel } from "polloi/internal/pure";
import type { World } from "../base/world.ts";
import { fileCalls } from "../files/file-calls.ts";
import { FileTree } from "../files/file-tree.ts";
import { timeOfDay } from "../files/nodes.ts";
import { openCalls } from "../files/open-calls.ts";
import { libcOf } from "../process/calls.ts";
import { Process } from "../process/process.ts";
import { processCalls } from "../process/process-calls.ts";
import { watchDescriptor } from "../process/watch.ts";
import { readinessCalls } from "../readiness/readiness-calls.ts";
import { socketCalls } from "../sockets/calls.ts";
import { Network } from "../sockets/network.ts";
import { uringCalls } from "../uring/uring-calls.ts";

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
  readonly files: FileTree;
  readonly network: Network;
  readonly #processes: Process[] = [];
  #nextPid: number;

  /** @param firstPid - The number of the first process. */
  constructor(world: World, firstPid = 1) {
    this.world = world;
    this.#nextPid = firstPid;
    this.files = new FileTree(world);
    this.network = new Network(world);
    this.network.unix.places = this.files;
  }

  /**
   * Starts a process.
   *
   * @param descriptorLimit - RLIMIT_NOFILE, which the process cannot raise; by default it can, from 1024.
   */
  start(descriptorLimit?: number): Running {
    const { world } = this;
    const process = new Process(world, descriptorLimit, this.#nextPid++);
    this.#processes.push(process);
    const { memory } = process;
    const sockets = socketCalls(process, this.network);
    const groups = [
      // The only ones of which a program makes many calls by number.
      uringCalls(process, () => ({
        open: openCalls(process, this.files).calls.open,
        socket: sockets.calls?.socket,
      })),
      ...processCalls(process),
      ...fileCalls(process, this.files),
      ...readinessCalls(process),
      sockets,
    ];
    const libc = libcOf(groups, world);
    const kernel: Kernel = {
      runtime: "node",
      runtimeVersion: "20.0.0",
      libc,
      arenas: memory,
      scratch: memory.map(SCRATCH_BYTES),
      watch: (fd, onReadable) => watchDescriptor(process, fd, onReadable),
      now: () => world.now(),
      realtime: () => timeOfDay(world),
      soon: (callback) => void world.scheduleTask(0, callback),
      after(delayMs, callback) {
        const scheduled = world.scheduleTask(delayMs, callback);
        return { ref() {}, unref() {}, cancel: () => scheduled.cancel() };
      },
    };
    return { process, kernel };
  }

  /**
   * Gives the memory of its processes and connections to other machines. Nothing may run on it any more.
   *
   * @remarks
   * A ring has 32 MiB of buffers, and the garbage collector runs whenever as much is allocated.
   */
  end(): void {
    for (const { memory } of this.#processes) memory.unmap();
    this.network.bytes.release();
  }
}

import type { Kernel } from "polloi/internal/pure";
import type { World } from "../base/world.ts";
import { descriptorCalls } from "../files/descriptor-calls.ts";
import { FileTree } from "../files/file-tree.ts";
import { timeOfDay } from "../files/nodes.ts";
import { openCalls } from "../files/open-calls.ts";
import { statusCalls } from "../files/status-calls.ts";
import { positionCalls, transferCalls } from "../files/transfer-calls.ts";
import { libcOf } from "../process/calls.ts";
import { Process } from "../process/process.ts";
import {
  identityCalls,
  limitCalls,
  memoryCalls,
  randomCalls,
  signalCalls,
} from "../process/process-calls.ts";
import { watchDescriptor } from "../process/watch.ts";
import { epollCalls } from "../readiness/epoll-calls.ts";
import { pollCalls } from "../readiness/poll-calls.ts";
import { selectCalls } from "../readiness/select-calls.ts";
import { messageCalls, socketCalls } from "../sockets/calls.ts";
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
    const opening = openCalls(process, this.files);
    const epoll = epollCalls(process);
    const sockets = socketCalls(process, this.network);
    const libc = libcOf(
      {
        memory: memoryCalls(process),
        limits: limitCalls(process),
        signals: signalCalls(process),
        descriptors: descriptorCalls(process),
        transfers: transferCalls(process),
        opening: opening.calls,
        select: selectCalls(process),
        poll: pollCalls(process),
        epoll: epoll.calls,
        sockets,
      },
      [
        // Those of which a program makes many are first.
        () => uringCalls(process, { open: opening.calls.open, socket: sockets.socket }),
        epoll.numbered,
        () => messageCalls(process),
        () => identityCalls(process),
        () => randomCalls(process),
        () => statusCalls(process, this.files),
        () => positionCalls(process),
        opening.numbered,
      ],
      world,
    );
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

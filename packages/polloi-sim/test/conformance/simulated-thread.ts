/**
 * Makes a simulated kernel the kernel of this thread. Import it before any module of the library that needs a kernel.
 */
import process from "node:process";
import { SysError } from "../../../polloi/src/base/sys-error.ts";
import type { Kernel } from "../../../polloi/src/sys/kernel.ts";
import { provideKernel } from "../../../polloi/src/sys/provided.ts";
import { Choices } from "../../src/base/choices.ts";
import { RealClock } from "../../src/base/clock.ts";
import { Faults } from "../../src/base/faults.ts";
import { World } from "../../src/base/world.ts";
import { Machine, type Running } from "../../src/machine/machine.ts";
import { simulateFiles } from "./simulated-files.ts";

const choices: Choices = Choices.plain();

/** The world of the simulated kernel. Its clock is that of the machine, because cases compare it with their own. */
export const world: World = new World(choices, new Faults(choices), new RealClock());

const machine = new Machine(world, process.pid);

/** The process that this thread is. */
export const running: Running = machine.start();

simulateFiles(running, machine.files);

/** Runs `body`. The simulation has a copy of the library's errors, and the cases compare classes. */
function translated<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    const { name, syscall, errno, fd } = error as SysError;
    throw name === "SysError" ? new SysError(syscall, errno, { fd }) : error;
  }
}

const { arenas, watch } = running.kernel;

/** The simulated kernel, under the name of this runtime, which the cases compare. */
export const kernel: Kernel = {
  ...running.kernel,
  runtime: "node",
  runtimeVersion: process.versions.node,
  arenas: {
    map: (byteLength) => translated(() => arenas.map(byteLength)),
    mapPermanent: (byteLength) => translated(() => arenas.mapPermanent(byteLength)),
    mapFile: (fd, offset, byteLength) => translated(() => arenas.mapFile(fd, offset, byteLength)),
    release: (arena) => arenas.release(arena),
    unmap: () => arenas.unmap(),
  },
  watch: (fd, onReadable) => translated(() => watch(fd, onReadable)),
};

provideKernel(kernel);

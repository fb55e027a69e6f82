/** A worker thread that a watch wakes once, or that starts and stops watches until it is terminated. */
import { parentPort, workerData } from "node:worker_threads";
import { EFD_CLOEXEC, EFD_NONBLOCK } from "../../src/sys/abi.ts";
import { kernel } from "../../src/sys/open.ts";

const eventfd = (): number => kernel.libc.eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

function once(fd: number): void {
  const watch = kernel.watch(fd, () => {
    watch.stop();
    kernel.libc.close(fd);
    parentPort?.postMessage("served");
    return false;
  });
}

function forever(fd: number): void {
  for (let i = 0; i < 20; i++) kernel.watch(fd, () => false).stop();
  setImmediate(forever, fd);
}

try {
  once(eventfd());
  if (workerData === "forever") forever(eventfd());
} catch (error) {
  parentPort?.postMessage((error as { code: string }).code);
}

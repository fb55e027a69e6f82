import { parentPort } from "node:worker_threads";
import { EFD_CLOEXEC, EFD_NONBLOCK } from "../../src/sys/abi.ts";
import { kernel } from "../../src/sys/open.ts";

const fd = kernel.libc.eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
try {
  const watch = kernel.watch(fd, () => {
    watch.stop();
    parentPort?.postMessage("served");
    return false;
  });
} catch (error) {
  parentPort?.postMessage((error as { code: string }).code);
}

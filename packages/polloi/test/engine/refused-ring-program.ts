/** A hosted reactor whose io_uring_enter keeps failing: how the process learns of it. */

import { kernelWith } from "../../../../test/support/descriptors.ts";
import { ERRNO } from "../../src/base/errno.ts";
import { Reactor, type SysError } from "../../src/index.ts";
import { SYS } from "../../src/sys/abi.ts";
import { kernel } from "../../src/sys/open.ts";

let failing = false;
const refusing = kernelWith({
  syscall: (number, ...args) =>
    failing && number === SYS.io_uring_enter ? -ERRNO.EAGAIN : kernel.libc.syscall(number, ...args),
});
const reactor = new Reactor({ engine: "io_uring", kernel: refusing });
const listener = reactor.listen({
  host: "127.0.0.1",
  port: 0,
  open: () => {
    failing = true;
  },
});
process.on("uncaughtException", (error: SysError) => {
  console.log(`${error.syscall} ${error.code}, listening on ${listener.port}`);
});
// The rest of the process continues, and the reactor does not keep it alive.
setTimeout(() => console.log("alive"), 1500);
reactor.connect({ host: "127.0.0.1", port: listener.port, error: () => {} });

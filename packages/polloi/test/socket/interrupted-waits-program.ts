/**
 * Waits in each way while its parent process sends it SIGUSR1, and prints the results as JSON.
 */
import { writeSync } from "node:fs";
import { kernelWith, Opened } from "../../../../test/support/descriptors.ts";
import { ERRNO } from "../../src/base/errno.ts";
import { EPOLLIN, Epoll, POLLIN, Poll, select } from "../../src/select/index.ts";
import { kernel } from "../../src/sys/open.ts";

const TIMEOUT_MS = 150;

let interruptions = 0;
function counting<A extends number[]>(call: (...args: A) => number): (...args: A) => number {
  return (...args) => {
    const result = call(...args);
    if (result === -ERRNO.EINTR) interruptions++;
    return result;
  };
}
const { pselect, ppoll, epoll_wait, syscall } = kernel.libc;
const counted = kernelWith({
  pselect: counting(pselect),
  ppoll: counting(ppoll),
  epoll_wait: counting(epoll_wait),
  syscall: counting(syscall),
});

const { reader } = new Opened().pipe();
const poll = new Poll({ kernel: counted });
poll.register(reader, POLLIN);
const epoll = new Epoll({ kernel: counted });
epoll.register(reader, EPOLLIN);

const waits = {
  select: () => select([reader], [], [], TIMEOUT_MS, counted)[0].length,
  poll: () => poll.poll(TIMEOUT_MS).length,
  epoll: () => epoll.poll(TIMEOUT_MS).length,
};

process.on("SIGUSR1", () => {});
writeSync(1, "waiting\n");
const report = Object.entries(waits).map(([call, wait]) => {
  interruptions = 0;
  const start = performance.now();
  const ready = wait();
  return { call, ready, early: performance.now() - start < TIMEOUT_MS, interruptions };
});
writeSync(1, JSON.stringify(report));
process.exit(0);

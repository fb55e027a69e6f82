/** The worker that waits for Bun, asleep in epoll_wait. See bun-thread.ts. */
import { exit } from "node:process";
import { parentPort, workerData } from "node:worker_threads";
import { openBun } from "./bun.ts";
import { END, MAX_READY, tagsOf } from "./thread-watch.ts";

const { libc, scratch } = openBun();
const epoll = workerData as number;
let tags: number[] = [];
parentPort?.postMessage(tags);
while (!tags.includes(END)) {
  const count = libc.epoll_wait(epoll, scratch.address, MAX_READY, -1);
  tags = tagsOf(scratch.u32, Math.max(count, 0));
  if (tags.length > 0) parentPort?.postMessage(tags);
}
exit();

/** The thread that waits for Bun: a worker asleep in epoll_wait. See thread-watch.ts. */
import { exit } from "node:process";
import { parentPort, workerData } from "node:worker_threads";
import { openBun } from "./bun.ts";
import { END, MAX_READY, tagsOf } from "./thread-watch.ts";

const { libc, scratch } = openBun();
const epoll = workerData as number;
let tags: number[];
do {
  tags = tagsOf(scratch.u32, libc.epoll_wait(epoll, scratch.address, MAX_READY, -1));
  if (tags.length > 0) parentPort?.postMessage(tags);
} while (!tags.includes(END));
exit();

import { Worker } from "node:worker_threads";
import type { Arena } from "./arena.ts";
import type { Libc } from "./libc.ts";
import { END, MAX_READY, tagsOf, type WaitingThread } from "./thread-watch.ts";

/** How often the set is looked at before there is a worker, and how many looks it takes to get one. */
const LOOK_EVERY_MS = 1;
const LOOKS_BEFORE_WORKER = 20;

/**
 * A worker that sleeps in epoll_wait and posts what is ready (bun-waiter.ts).
 *
 * @remarks
 * Bun's loop takes no foreign descriptor, and its `uv_poll_*` are stubs. What wakes it from another
 * thread costs about the same whatever it is (docs/decisions/0002), so this is the documented way.
 *
 * A worker takes some 30 ms to start, a core busy with it. So a watch begins without one: a timer looks
 * at the set each millisecond, and what is watched for a short time only never costs more than that.
 * Both may look at the set at once, as its one-shot entries are given to one of them.
 */
export class BunThread implements WaitingThread {
  readonly #epoll: number;
  readonly #onReady: (tags: readonly number[]) => void;
  readonly #libc: Libc;
  readonly #scratch: Arena;
  readonly #timer: NodeJS.Timeout;
  #worker: Worker | undefined;
  #looks = 0;
  #referenced = true;

  constructor(
    { libc, scratch }: { readonly libc: Libc; readonly scratch: Arena },
    epoll: number,
    onReady: (tags: readonly number[]) => void,
  ) {
    this.#libc = libc;
    this.#scratch = scratch;
    this.#epoll = epoll;
    this.#onReady = onReady;
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
  }

  ref(): void {
    this.#referenced = true;
    this.#timer.ref();
    this.#worker?.ref();
  }

  unref(): void {
    this.#referenced = false;
    this.#timer.unref();
    this.#worker?.unref();
  }

  #look(): void {
    const { address, u32 } = this.#scratch;
    const count = this.#libc.epoll_wait(this.#epoll, address, MAX_READY, 0);
    const tags = tagsOf(u32, Math.max(count, 0));
    if (this.#worker !== undefined) {
      // The end is the worker's to see: it must be out of the set before that is closed.
      this.#onReady(tags.filter((tag) => tag !== END));
    } else if (tags.includes(END)) {
      clearInterval(this.#timer);
      this.#onReady(tags);
    } else {
      this.#onReady(tags);
      if (++this.#looks === LOOKS_BEFORE_WORKER) this.#startWorker();
    }
  }

  #startWorker(): void {
    const url = new URL("./bun-waiter.js", import.meta.url);
    const worker = new Worker(url, { workerData: this.#epoll });
    // The first message says no more than that it is there.
    worker.once("message", () => {
      clearInterval(this.#timer);
      worker.on("message", this.#onReady);
    });
    if (!this.#referenced) worker.unref();
    this.#worker = worker;
  }
}

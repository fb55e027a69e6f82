import { Worker } from "node:worker_threads";
import { check } from "../base/sys-error.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";
import { Board } from "../workers/board.ts";
import { type ChildEvents, type ChildUnit, OVERTIME_MS } from "./child-unit.ts";
import { type ChildInput, type ChildMessage, errorOf } from "./messages.ts";
import type { ThreadInput } from "./thread.ts";

/** How often a thread that is told to end at once is given a moment to do so by itself. */
const AT_ONCE_MS = 100;

/** Starts threads that block, and can be told to stop all the same. */
export class Threads {
  readonly #kernel: Kernel;
  readonly #input: ChildInput;
  readonly #board = new Board();
  readonly #bell: number;
  #nextId = 1;

  /** @throws SysError `EMFILE` */
  constructor(kernel: Kernel, input: ChildInput) {
    this.#kernel = kernel;
    this.#input = input;
    this.#bell = check(kernel.libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
  }

  /**
   * Starts a thread.
   *
   * @param fd - What it is to serve. It stays the caller's, who must not close it before the thread has ended.
   * @throws what cannot be cloned.
   */
  start(serves: "connection" | "listener", fd: number, events: ChildEvents): ChildUnit {
    const inHand = new SharedArrayBuffer(4);
    new Int32Array(inHand)[0] = -1;
    const workerData: ThreadInput = {
      ...this.#input,
      serves,
      fd,
      bell: this.#bell,
      board: this.#board.memory,
      inHand,
    };
    const thread = new Worker(new URL("./thread.js", import.meta.url), { workerData });
    return new StartedThread(this.#nextId++, thread, {
      message: (message) => events.message(message),
      ended: (why) => {
        const left = Atomics.load(new Int32Array(inHand), 0);
        if (left >= 0) this.#kernel.libc.close(left);
        events.ended(why);
      },
    });
  }

  /** Tells all threads, those of the future too, to stop within `graceMs`. */
  ring(graceMs: number): void {
    const { libc, scratch } = this.#kernel;
    this.#board.stopWithinMs = graceMs;
    scratch.setWord(0, 1);
    libc.write(this.#bell, scratch.address, 8);
  }

  /** Closes the bell. All threads must have ended. */
  close(): void {
    this.#kernel.libc.close(this.#bell);
  }
}

/** One thread. */
class StartedThread implements ChildUnit {
  readonly kind = "thread";
  readonly id: number;
  readonly #thread: Worker;
  #failed: Error | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(id: number, thread: Worker, events: ChildEvents) {
    this.id = id;
    this.#thread = thread;
    thread.on("message", (message: ChildMessage) => {
      if (message.type === "failed") this.#failed ??= errorOf(message.error);
      events.message(message);
    });
    thread.on("error", (error: unknown) => {
      this.#failed ??= error instanceof Error ? error : new Error(String(error));
    });
    thread.once("exit", (code) => {
      clearTimeout(this.#timer);
      const byItself = new Error(`it ended by itself, with exit code ${code}`);
      events.ended(
        code === 0 && this.#failed === undefined ? undefined : (this.#failed ?? byItself),
      );
    });
  }

  /** It has been told by the bell. */
  stop(graceMs: number): void {
    clearTimeout(this.#timer);
    const overtimeMs = graceMs === 0 ? AT_ONCE_MS : OVERTIME_MS;
    // One that is in a loop of its own. What sleeps in the kernel has been woken.
    this.#timer = setTimeout(() => void this.#thread.terminate(), graceMs + overtimeMs);
  }
}

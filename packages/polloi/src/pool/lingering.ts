import { existsSync } from "node:fs";
import { SYS } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";

/** How often it is looked whether a thread has gone. */
const LOOK_MS = 20;

/** The number of this thread, as the kernel knows it. Source: gettid(2). */
export function threadNumber({ libc }: Kernel): number {
  return libc.syscall(SYS.gettid, 0, 0, 0, 0, 0, 0);
}

/**
 * Threads that were ended from outside, and are there all the same.
 *
 * @remarks
 * Deno cannot end a thread that is in a loop of its own, and says that it has; when the loop is over the thread goes
 * on. No runtime ends a thread that sleeps in a call of the kernel which nothing wakes. What such a thread was given
 * stays open until it is gone: were it closed, its descriptor numbers would be reused, and the thread would send to,
 * receive from and close what is not its own.
 */
export class Lingering {
  readonly #kernel: Kernel;
  readonly #threads = new Set<number>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /**
   * Thread `number` was ended from outside.
   *
   * @param exited - Whether its runtime says that it has ended, which only Deno says too early.
   * @returns Whether it is there.
   */
  add(number: number, exited = true): boolean {
    if (exited && this.#kernel.runtime !== "deno") return false;
    if (number === 0 || !isThere(number)) return false;
    this.#threads.add(number);
    return true;
  }

  /** Whether any was there when it was last looked. */
  get any(): boolean {
    return this.#threads.size > 0;
  }

  /** Calls back when none of them is left: at once, if there is none. */
  whenGone(then: () => void): void {
    for (const number of this.#threads) if (!isThere(number)) this.#threads.delete(number);
    if (this.#threads.size === 0) then();
    else setTimeout(() => this.whenGone(then), LOOK_MS).unref();
  }
}

function isThere(number: number): boolean {
  return existsSync(`/proc/self/task/${number}`);
}

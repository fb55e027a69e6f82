import { readdirSync } from "node:fs";
import { SYS } from "./abi.ts";
import type { Kernel } from "./kernel.ts";

/** A bit for each of 8192 cores, the most that Linux supports. */
const MASK_BYTES = 1024;

/**
 * Returns the cores that this thread may run on, in ascending order. The list is empty if the call fails.
 *
 * @source sched_getaffinity(2)
 */
export function allowedCores({ libc, scratch }: Kernel): number[] {
  const bytes = libc.syscall(SYS.sched_getaffinity, 0, MASK_BYTES, scratch.address, 0, 0, 0);
  const cores: number[] = [];
  for (let core = 0; core < 8 * bytes; core++) {
    if (((scratch.u8[core >> 3] as number) >> (core & 7)) & 1) cores.push(core);
  }
  return cores;
}

/**
 * Pins all threads of a process to some cores. Threads and processes that they start inherit this.
 *
 * @returns Whether the kernel pinned all of them.
 * @source sched_setaffinity(2), which is for one thread
 */
export function pinToCores(
  { libc, scratch }: Kernel,
  { pid, cores }: { readonly pid: number | "self"; readonly cores: readonly number[] },
): boolean {
  scratch.u8.fill(0, 0, MASK_BYTES);
  for (const core of cores)
    scratch.u8[core >> 3] = (scratch.u8[core >> 3] as number) | (1 << (core & 7));
  return readdirSync(`/proc/${pid}/task`).every(
    (thread) =>
      libc.syscall(SYS.sched_setaffinity, Number(thread), MASK_BYTES, scratch.address, 0, 0, 0) ===
      0,
  );
}

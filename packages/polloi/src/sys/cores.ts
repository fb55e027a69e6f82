import { readdirSync } from "node:fs";
import { SYS } from "./abi.ts";
import type { Kernel } from "./kernel.ts";

/** Room for 8192 cores, which is the most that Linux is built for. */
const MASK_BYTES = 1024;

/**
 * The cores that this thread may run on, ascending; none where the kernel does not tell.
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
 * Keeps every thread of a process to these cores; threads and processes that they start inherit it.
 *
 * @returns Whether the kernel did so for all of them.
 * @source sched_setaffinity(2), which is of a thread, and not of a process
 */
export function keepToCores(
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

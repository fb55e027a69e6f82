/** What /proc says of the time and memory of processes. */
import { readdirSync, readFileSync } from "node:fs";

const TICKS_PER_SECOND = 100;
const MS_PER_TICK: number = 1000 / TICKS_PER_SECOND;

/**
 * CPU time of all threads of these processes so far, user and system, in milliseconds.
 *
 * @remarks
 * To the nanosecond where the kernel keeps that account; else by its clock ticks, of which a second has a
 * hundred. What threads that have ended took is in the latter only.
 *
 * @source proc_pid_stat(5); /proc/PID/task/TID/schedstat: time on the processor, time in wait, slices
 */
export function cpuMsOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuMsOfOne(pid), 0);
}

function cpuMsOfOne(pid: number): number {
  let ns = 0;
  for (const thread of threadsOf(pid)) {
    ns += Number(textOf(`/proc/${pid}/task/${thread}/schedstat`).split(" ")[0]);
  }
  if (ns > 0) return ns / 1e6;
  const stat = textOf(`/proc/${pid}/stat`);
  // Its name, in brackets, may hold anything.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * MS_PER_TICK;
}

/** How many threads these processes have. */
export function threadCount(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + threadsOf(pid).length, 0);
}

/**
 * Proportional set size of these processes in KiB: their own memory, and of what several have mapped a share
 * each. Null where the kernel does not tell.
 *
 * @source /proc/PID/smaps_rollup
 */
export function pssKiBOf(pids: readonly number[]): number | null {
  let sum = 0;
  for (const pid of pids) {
    const [, kib] = /^Pss:\s+(\d+)/m.exec(textOf(`/proc/${pid}/smaps_rollup`)) ?? [];
    if (kib !== undefined) sum += Number(kib);
  }
  return sum === 0 ? null : sum;
}

/** How often the main threads of these processes were taken off a core for another. @source proc_pid_status(5) */
export function interruptionsOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const [, count] =
      /^nonvoluntary_ctxt_switches:\s+(\d+)/m.exec(textOf(`/proc/${pid}/status`)) ?? [];
    return sum + Number(count ?? 0);
  }, 0);
}

/** How long these cores have been idle, all together. @source proc_stat(5) */
export function idleMsOf(cores: readonly number[]): number {
  const stat = textOf("/proc/stat");
  return cores.reduce((sum, core) => {
    const [, line = ""] = new RegExp(`^cpu${core} (.*)$`, "m").exec(stat) ?? [];
    const [, , , idle = 0, wait = 0] = line.split(" ").map(Number);
    return sum + (idle + wait) * MS_PER_TICK;
  }, 0);
}

/** What could be given to processes without swapping, in KiB. @source proc_meminfo(5) */
export function availableKiB(): number | null {
  const [, kib] = /^MemAvailable:\s+(\d+)/m.exec(textOf("/proc/meminfo")) ?? [];
  return kib === undefined ? null : Number(kib);
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

/** Empty when the process has ended, or the kernel has no such file. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** CPU time and memory of processes and of the machine, read from /proc. */
import { readdirSync, readFileSync } from "node:fs";

const TICKS_PER_SECOND = 100;
const MS_PER_TICK: number = 1000 / TICKS_PER_SECOND;

/**
 * CPU time of all threads of these processes so far, user and system, in milliseconds.
 *
 * @remarks
 * Precise to the nanosecond where the kernel keeps scheduler statistics. Otherwise it is counted in clock ticks, of
 * which a second has 100. Only the latter include threads that have ended.
 *
 * @source proc_pid_stat(5); /proc/PID/task/TID/schedstat: time on the CPU, time in the run queue, time slices
 */
export function cpuMsOf(pids: readonly number[]): number {
  return sumOf(pids, (pid) => {
    const ns = sumOf(threadsOf(pid), (thread) =>
      Number(textOf(`/proc/${pid}/task/${thread}/schedstat`).split(" ")[0]),
    );
    if (ns > 0) return ns / 1e6;
    const stat = textOf(`/proc/${pid}/stat`);
    // The name in parentheses may contain any character, so fields are counted from the last parenthesis.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * MS_PER_TICK;
  });
}

/** The number of threads of these processes. */
export function threadCount(pids: readonly number[]): number {
  return sumOf(pids, (pid) => threadsOf(pid).length);
}

/**
 * Proportional set size of these processes in KiB: their private memory, and a share of what several processes map.
 * Null where the kernel does not report it.
 *
 * @source /proc/PID/smaps_rollup
 */
export function pssKiBOf(pids: readonly number[]): number | null {
  const kib = sumOf(pids, (pid) => kiBIn(`/proc/${pid}/smaps_rollup`, "Pss"));
  return kib === 0 ? null : kib;
}

/** Private memory of a process in bytes: resident pages that are neither file-backed nor shared. @source proc_pid_status(5) */
export function privateBytesOf(pid: number): number {
  const [all, file, shared] = ["VmRSS", "RssFile", "RssShmem"].map((name) =>
    kiBIn(`/proc/${pid}/status`, name),
  ) as [number, number, number];
  return (all - file - shared) * 1024;
}

/** Involuntary context switches of the main threads of these processes. @source proc_pid_status(5) */
export function involuntarySwitchesOf(pids: readonly number[]): number {
  const pattern = /^nonvoluntary_ctxt_switches:\s+(\d+)/m;
  return sumOf(pids, (pid) => Number(pattern.exec(textOf(`/proc/${pid}/status`))?.[1] ?? 0));
}

/** Idle time of these cores so far, summed up. @source proc_stat(5) */
export function idleMsOf(cores: readonly number[]): number {
  const stat = textOf("/proc/stat");
  return sumOf(cores, (core) => {
    const [, line = ""] = new RegExp(`^cpu${core} (.*)$`, "m").exec(stat) ?? [];
    const [, , , idle = 0, wait = 0] = line.split(" ").map(Number);
    return (idle + wait) * MS_PER_TICK;
  });
}

/** Memory in KiB that processes can get without swapping; null where the kernel does not report it. @source proc_meminfo(5) */
export function availableKiB(): number | null {
  const kib = kiBIn("/proc/meminfo", "MemAvailable");
  return kib === 0 ? null : kib;
}

/** Clock ticks of all processors since boot. */
export interface Ticks {
  readonly stolen: number;
  readonly all: number;
}

/**
 * How the machine has spent its time so far; null where the kernel does not report it.
 *
 * @source proc_stat(5): user nice system idle iowait irq softirq steal
 */
export function machineTicks(): Ticks | null {
  const [, first = ""] = /^cpu +(.+)$/m.exec(textOf("/proc/stat")) ?? [];
  // The last two fields, for guests, are included in user and nice.
  const ticks = first.split(" ").slice(0, 8).map(Number);
  const [stolen] = ticks.slice(7);
  if (stolen === undefined || ticks.some(Number.isNaN)) return null;
  return { stolen, all: sumOf(ticks, (each) => each) };
}

/** The share of the machine's time that its hypervisor gave to other machines between two readings. */
export function stolenShare(before: Ticks | null, after: Ticks | null): number | null {
  if (before === null || after === null || after.all <= before.all) return null;
  return (after.stolen - before.stolen) / (after.all - before.all);
}

/** A text file, such as those of /proc and /sys; empty when it cannot be read. */
export function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** A line `NAME:  123 kB`; 0 where there is none. */
function kiBIn(path: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(textOf(path))?.[1] ?? 0);
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

function sumOf<T>(values: readonly T[], of: (value: T) => number): number {
  return values.reduce((sum, value) => sum + of(value), 0);
}

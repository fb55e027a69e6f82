/** What /proc says of CPU time, for loads that are not in C; measure.c reads the same. */
import { readdirSync, readFileSync } from "node:fs";

const TICKS_PER_SECOND = 100;

/** What all threads of a process have run; 0 without one. */
export function serverCpuSeconds(pid: number): number {
  if (pid <= 0) return 0;
  const tasks = `/proc/${pid}/task`;
  const ns = readdirSync(tasks).map((thread) => {
    return Number(textOf(`${tasks}/${thread}/schedstat`).split(" ")[0]);
  });
  const total = ns.reduce((sum, each) => sum + each, 0);
  if (total > 0) return total / 1e9;
  // A kernel that keeps no such account counts ticks.
  const stat = textOf(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** How long a core has been idle. */
export function coreIdleSeconds(core: number): number {
  const line = textOf("/proc/stat").match(new RegExp(`^cpu${core} (.*)$`, "m"));
  const fields = line?.[1]?.split(" ").map(Number) ?? [];
  return ((fields[3] ?? 0) + (fields[4] ?? 0)) / TICKS_PER_SECOND;
}

/** Empty when a thread has ended meanwhile, or the kernel has no such file. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Whether the machine has the memory, the threads and the time for as many processes or threads as a measurement starts. */
import { availableKiB, textOf } from "../measure/process-stats.ts";
import { bytesText, whole } from "../measure/table.ts";

/** The measured cost of one process or thread that serves a connection. */
export interface ChildCost {
  readonly kind: "process" | "thread";
  readonly kib: number;
  /** From connecting to the first answer, divided by the number that started at the same time. */
  readonly startMs: number;
  /** Operating system threads. */
  readonly threads: number;
}

/** The available resources; null if the kernel does not report them. */
export interface Capacity {
  readonly freeKiB: number | null;
  /** Threads that may still be started, and the limit that says so. */
  readonly threads: { readonly left: number; readonly limit: string } | null;
  /** How long it may take to start all of them. */
  readonly withinMs: number;
}

/** The share of free memory that is not used. */
const RESERVE = 0.25;

const PLURAL = { process: "processes", thread: "threads" } as const;

/** Why `count` of them cannot be started here, with the figures; undefined when they can. */
export function whyTooMany(count: number, cost: ChildCost, capacity: Capacity): string | undefined {
  const { kind, kib, startMs, threads } = cost;
  const counted = `${whole(count)} ${count === 1 ? kind : PLURAL[kind]}`;
  const needed = count * kib;
  const { freeKiB } = capacity;
  if (freeKiB !== null && needed > freeKiB * (1 - RESERVE)) {
    return `${counted} of ${kibText(kib)} need ${kibText(needed)}; ${kibText(freeKiB)} are free, of which a quarter is kept in reserve`;
  }
  if (capacity.threads !== null && count * threads > capacity.threads.left) {
    const each = threads === 1 ? "" : ` of ${threads} threads`;
    return `${counted}${each} are more than the ${whole(capacity.threads.left)} threads that ${capacity.threads.limit} leaves`;
  }
  if (count * startMs > capacity.withinMs) {
    return `${counted} take ${secondsText(count * startMs)} to start, at ${Math.round(startMs)} ms each; a cell may take ${secondsText(capacity.withinMs)} (--patience)`;
  }
  return undefined;
}

/** Returns the resources that are available now. */
export function capacityNow(withinMs: number): Capacity {
  return { freeKiB: availableKiB(), threads: threadsLeft(), withinMs };
}

/** The lowest of the limits on threads: of the system, of the user, of the control group. */
function threadsLeft(): Capacity["threads"] {
  const running = Number(/\/(\d+) \d+$/.exec(textOf("/proc/loadavg").trim())?.[1] ?? 0);
  const group = /^0::(.*)$/m.exec(textOf("/proc/self/cgroup"))?.[1] ?? "/";
  const inGroup = (file: string): string => textOf(`/sys/fs/cgroup${group}/${file}`).trim();
  const limits: [limit: string, most: string, used: number][] = [
    ["kernel.threads-max", textOf("/proc/sys/kernel/threads-max"), running],
    ["kernel.pid_max", textOf("/proc/sys/kernel/pid_max"), running],
    [
      "the limit of processes (ulimit -u)",
      /^Max processes\s+(\S+)/m.exec(textOf("/proc/self/limits"))?.[1] ?? "",
      running,
    ],
    ["the control group (pids.max)", inGroup("pids.max"), Number(inGroup("pids.current"))],
  ];
  const left = limits
    .filter(([, most]) => /^\d+$/.test(most.trim()))
    .map(([limit, most, used]) => ({ limit, left: Math.max(0, Number(most) - used) }))
    .sort((one, other) => one.left - other.left);
  return left[0] ?? null;
}

function kibText(kib: number): string {
  return bytesText(1024 * kib);
}

function secondsText(ms: number): string {
  return `${ms < 9950 ? Number((ms / 1000).toPrecision(2)) : Math.round(ms / 1000)} s`;
}

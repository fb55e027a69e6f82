/** Whether the machine has room for as many processes or threads as a measurement would start. */
import { readFileSync } from "node:fs";
import { availableKiB } from "../measure/process-stats.ts";
import { sizeText, whole } from "../measure/table.ts";

/** What one process or thread, started for a connection, was seen to cost. */
export interface ChildCost {
  readonly kind: "process" | "thread";
  readonly kib: number;
  /** From its connection to its first answer, with as many others starting as there were. */
  readonly startMs: number;
  /** Threads of the system that it has. */
  readonly threads: number;
}

/** What there is room for; null where nothing says. */
export interface Room {
  readonly freeKiB: number | null;
  /** Threads that may still be started, and by which limit. */
  readonly threads: { readonly left: number; readonly limit: string } | null;
  /** How long all of them together may take to start. */
  readonly withinMs: number;
}

/** So much of what is free is left alone: the measured is not all that a machine has to do. */
const TO_LEAVE = 0.25;

const PLURAL = { process: "processes", thread: "threads" } as const;

/** Why `count` of them are not to be started here, with the arithmetic; undefined when they fit. */
export function whyNoRoom(count: number, cost: ChildCost, room: Room): string | undefined {
  const { kind, kib, startMs, threads } = cost;
  const many = `${whole(count)} ${count === 1 ? kind : PLURAL[kind]}`;
  const needed = count * kib;
  const { freeKiB } = room;
  if (freeKiB !== null && needed > freeKiB * (1 - TO_LEAVE)) {
    return `${many} of ${sizeText(kib)} need ${sizeText(needed)}; ${sizeText(freeKiB)} are free, of which a quarter is left alone`;
  }
  if (room.threads !== null && count * threads > room.threads.left) {
    const each = threads === 1 ? "" : ` of ${threads} threads`;
    return `${many}${each} are more than the ${whole(room.threads.left)} threads that ${room.threads.limit} leaves`;
  }
  if (count * startMs > room.withinMs) {
    return `${many} take ${secondsText(count * startMs)} to start, at ${Math.round(startMs)} ms each; a cell may take ${secondsText(room.withinMs)} (--patience)`;
  }
  return undefined;
}

/** What there is room for now. */
export function roomNow(withinMs: number): Room {
  return { freeKiB: availableKiB(), threads: threadsLeft(), withinMs };
}

/** The nearest of the limits of threads: of the system, of the user, of the control group. */
function threadsLeft(): Room["threads"] {
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

function secondsText(ms: number): string {
  return `${ms < 9950 ? Number((ms / 1000).toPrecision(2)) : Math.round(ms / 1000)} s`;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

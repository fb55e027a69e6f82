import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { inOut } from "./places.ts";
import { endWithThisProcess, gist } from "./processes.ts";

/** How long strace may take to attach, and to let go. */
const PATIENCE_MS = 10_000;
const LOOK_MS = 10;

/** How often each system call was made. */
export type Calls = Readonly<Record<string, number>>;

/** A process whose system calls are being counted. */
export interface Traced {
  /** Lets it go, and says what was called meanwhile. */
  detach(): Promise<Calls>;
}

/**
 * Counts the system calls of a process, all its threads, from when this returns until it is detached.
 *
 * @throws Error with strace's own line when it may not attach: strace(1), ptrace(2).
 */
export async function attach(strace: string, pid: number): Promise<Traced> {
  mkdirSync(inOut(""), { recursive: true });
  const out = inOut(`strace.${pid}`);
  const child = spawn(strace, ["-c", "-f", "-p", `${pid}`, "-o", out], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint += text;
  });
  const gone = endWithThisProcess(child);
  // Without a listener a failed start would end the bench.
  child.on("error", () => {});
  const stop = async (): Promise<void> => {
    // strace lets go of the process at SIGINT, and writes its summary.
    child.kill("SIGINT");
    const patience = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
    await gone;
    clearTimeout(patience);
  };
  for (const until = Date.now() + PATIENCE_MS; !isTraced(pid); await sleep(LOOK_MS)) {
    if (child.exitCode === null && Date.now() < until) continue;
    await stop();
    throw new Error(gist(complaint) ?? "strace does not attach");
  }
  return {
    async detach() {
      await stop();
      const calls = parseSummary(readFileSync(out, "utf8"));
      rmSync(out);
      return calls;
    },
  };
}

/** Whether every thread of a process has a tracer. */
function isTraced(pid: number): boolean {
  const folder = `/proc/${pid}/task`;
  return readdirSync(folder).every((thread) => {
    try {
      const status = readFileSync(`${folder}/${thread}/status`, "utf8");
      return !/^TracerPid:\s+0$/m.test(status);
    } catch {
      // It has ended since.
      return true;
    }
  });
}

/**
 * The calls of a summary by `strace -c`.
 *
 * @remarks The last two of its columns may be an error count and a name, or a name alone:
 * `% time  seconds  usecs/call  calls  errors  syscall`.
 */
export function parseSummary(text: string): Calls {
  const rows = text.matchAll(/^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?([a-z_]\w*)$/gm);
  const calls: Record<string, number> = {};
  for (const [, count, name] of rows) if (name !== "total") calls[name as string] = Number(count);
  return calls;
}

/** All of them together. */
export function totalOf(calls: Calls): number {
  return Object.values(calls).reduce((sum, count) => sum + count, 0);
}

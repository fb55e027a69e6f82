import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { endWithThisProcess, errorLine } from "../packages/polloi-tools/src/measure/child.ts";
import { textOf } from "../packages/polloi-tools/src/measure/process-stats.ts";
import { inOut } from "./places.ts";

/** How long strace may take to attach and to detach. */
const LIMIT_MS = 10_000;
const CHECK_MS = 10;

/** The number of calls of each system call. */
export type Calls = Readonly<Record<string, number>>;

/** A process whose system calls are being counted. */
export interface Traced {
  /** Stops counting. @returns The calls since it was attached. */
  detach(): Promise<Calls>;
}

/**
 * Counts the system calls of a process, all its threads, from when this returns until it is detached.
 *
 * @throws Error with the message of strace when it may not attach: strace(1), ptrace(2).
 */
export async function attach(strace: string, pid: number): Promise<Traced> {
  mkdirSync(inOut(""), { recursive: true });
  const out = inOut(`strace.${pid}`);
  const child = spawn(strace, ["-c", "-f", "-p", `${pid}`, "-o", out], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const closed = endWithThisProcess(child);
  // Without a listener a failed start would end the benchmark.
  child.on("error", () => {});
  const stop = async (): Promise<void> => {
    // strace detaches at SIGINT and writes its summary.
    child.kill("SIGINT");
    const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
    await closed;
    clearTimeout(timer);
  };
  for (const until = Date.now() + LIMIT_MS; !isTraced(pid); await sleep(CHECK_MS)) {
    if (child.exitCode === null && Date.now() < until) continue;
    await stop();
    throw new Error(errorLine(stderr) ?? "strace does not attach");
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

/** Whether every thread of a process has a tracer. A thread without a status has ended. */
function isTraced(pid: number): boolean {
  const folder = `/proc/${pid}/task`;
  return readdirSync(folder).every(
    (thread) => !/^TracerPid:\s+0$/m.test(textOf(`${folder}/${thread}/status`)),
  );
}

/**
 * Parses a summary of `strace -c`.
 *
 * @remarks The last two columns are an error count and a name, or the name alone:
 * `% time  seconds  usecs/call  calls  errors  syscall`.
 */
export function parseSummary(text: string): Calls {
  const rows = text.matchAll(/^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?([a-z_]\w*)$/gm);
  const calls: Record<string, number> = {};
  for (const [, count, name] of rows) if (name !== "total") calls[name as string] = Number(count);
  return calls;
}

/** The number of all calls. */
export function totalOf(calls: Calls): number {
  return Object.values(calls).reduce((sum, count) => sum + count, 0);
}

/** wrk as a load generator: for cross-checks, and where there is no compiler. */
import { spawn } from "node:child_process";
import { kernel, pinToCores } from "polloi/internal";
import { endWithThisProcess } from "../packages/polloi-tools/src/measure/child.ts";
import { cpuMsOf, idleMsOf } from "../packages/polloi-tools/src/measure/process-stats.ts";
import type { Load, LoadGenerator, LoadOptions, LoadResult } from "./load.ts";
import { findLoad } from "./load.ts";
import { inRepository } from "./places.ts";
import type { Tools } from "./tools.ts";

/** The values of `--load`. */
export const LOAD_NAMES = ["c", "wrk"] as const;
export type LoadName = (typeof LOAD_NAMES)[number];

/**
 * The load generator for HTTP: the one in C, or wrk on request or where there is no compiler.
 *
 * @throws Error when neither is available.
 */
export function findHttpLoad(
  tools: Tools,
  cores: readonly number[] | undefined,
  name: LoadName | undefined,
): LoadGenerator {
  const { wrk } = tools;
  const inC = name === "wrk" ? undefined : findLoad(tools, cores);
  if (inC !== undefined && inC.warning === undefined) return inC;
  const without = tools.gcc.missing ?? "the load generator in C does not build";
  if (name === "c") throw new Error(without);
  if (wrk.missing !== undefined) {
    throw new Error(name === "wrk" ? wrk.missing : `${without}, and ${wrk.missing}`);
  }
  const generator: LoadGenerator = {
    command: [wrk.path],
    cores,
    turn: { seconds: 1, settle: 0 },
    open: (options) => openWrk(wrk.path, cores, options),
  };
  const warning = `${without}: the load is wrk, whose turns last a second`;
  return inC === undefined ? generator : { ...generator, warning };
}

/** The report of wrk, without CPU times of the server. */
export type WrkReport = Pick<LoadResult, "messages" | "seconds" | "lost" | "mismatches"> & {
  readonly bytes: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly cpuSeconds: number;
};

const UNITS: Readonly<Record<string, number>> = { us: 1, ms: 1e3, s: 1e6, m: 6e7 };
const BYTES: Readonly<Record<string, number>> = { B: 1, KB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30 };

/**
 * Parses the output of `wrk --latency` and of the shell's `times`.
 *
 * @throws Error for any other output.
 */
export function parseWrk(text: string): WrkReport {
  const done = text.match(/(\d+) requests in ([\d.]+)(us|ms|s|m), ([\d.]+)([KMG]?B) read/);
  if (done === null) throw new Error(`wrk failed: ${text.trim().split("\n").at(-1)}`);
  const [, messages, time, unit = "s", amount, size = "B"] = done;
  const latency = (percent: number): number => {
    const [, value, of = "us"] = text.match(`\\s${percent}%\\s+([\\d.]+)(us|ms|s|m)`) ?? [];
    return Number(value ?? 0) * (UNITS[of] as number);
  };
  const errors =
    text
      .match(/Socket errors: (.*)/)?.[1]
      ?.match(/\d+/g)
      ?.map(Number) ?? [];
  // The second line of `times` is that of child processes: user and system time, as in 0m0.93s.
  const times = [...text.matchAll(/(\d+)m([\d.]+)s/g)].slice(-2);
  return {
    messages: Number(messages),
    seconds: (Number(time) * (UNITS[unit] as number)) / 1e6,
    bytes: Number(amount) * (BYTES[size] as number),
    lost: errors.reduce((sum, each) => sum + each, 0),
    mismatches: Number(text.match(/Non-2xx or 3xx responses: (\d+)/)?.[1] ?? 0),
    p50Us: latency(50),
    p99Us: latency(99),
    cpuSeconds: times.reduce((sum, [, m, s]) => sum + Number(m) * 60 + Number(s), 0),
  };
}

/** The script for requests that wrk cannot make by itself, and its arguments. */
function scriptFor({ depth, sentBytes = 0 }: LoadOptions): { script: string[]; more: string[] } {
  const run = (name: string, argument: number): { script: string[]; more: string[] } => ({
    script: ["-s", inRepository(`bench/load/${name}.lua`)],
    more: ["--", `${argument}`],
  });
  if (sentBytes > 0) return run("post", sentBytes);
  return depth > 1 ? run("pipeline", depth) : { script: [], more: [] };
}

/** wrk opens its connections in each window, and runs for whole seconds only. */
function openWrk(wrk: string, cores: readonly number[] | undefined, options: LoadOptions): Load {
  const { port, serverPid, serverCore, connections, depth, path = "/" } = options;
  const { script, more } = scriptFor(options);
  const url = `http://127.0.0.1:${port}${path}`;
  const common = { side: "wrk", engine: "epoll", connections, depth, size: 0, idle: 0 };
  let total: LoadResult = { ...common, ...NOTHING };
  return {
    async run({ warmup, seconds }) {
      const time = Math.max(1, Math.round(seconds === 0 ? warmup : seconds));
      const args = [wrk, "-t1", `-c${connections}`, `-d${time}s`, "--latency", ...script, url];
      const [cpuMs, idleMs] = [cpuMsOf([serverPid]), idleMsOf([serverCore])];
      const report = parseWrk(await outputOf([...args, ...more], cores));
      total = {
        ...total,
        messages: total.messages + report.messages,
        seconds: total.seconds + report.seconds,
        bytes: total.bytes + report.bytes,
        lost: total.lost + report.lost,
        mismatches: total.mismatches + report.mismatches,
        // Of the last window: percentiles cannot be added.
        latencyUs: { ...total.latencyUs, p50: report.p50Us, p99: report.p99Us },
        cpuSeconds: total.cpuSeconds + report.cpuSeconds,
        serverCpuSeconds: total.serverCpuSeconds + (cpuMsOf([serverPid]) - cpuMs) / 1000,
        coreIdleSeconds: total.coreIdleSeconds + (idleMsOf([serverCore]) - idleMs) / 1000,
      };
      if (seconds === 0) total = { ...common, ...NOTHING };
      return total;
    },
    stop: async () => {},
  };
}

const NOTHING = {
  seconds: 0,
  messages: 0,
  bytes: 0,
  // wrk checks the status and the length of an answer, and not its bytes.
  compared: 0,
  mismatches: 0,
  lost: 0,
  connectMs: 0,
  latencyUs: { p50: 0, p90: 0, p99: 0, p999: 0, max: 0 },
  cpuSeconds: 0,
  serverCpuSeconds: 0,
  coreIdleSeconds: 0,
};

/** The output of a command, followed by its CPU time. */
async function outputOf(
  command: readonly string[],
  cores: readonly number[] | undefined,
): Promise<string> {
  const timed = ["-c", '"$@"; times', "sh", ...command];
  const child = spawn("/bin/sh", timed, { stdio: ["ignore", "pipe", "pipe"] });
  if (cores !== undefined && child.pid !== undefined) pinToCores(kernel, { pid: child.pid, cores });
  const closed = endWithThisProcess(child);
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
  }
  await closed;
  return text;
}

/** wrk as a load: the literal reading of "requests per second by wrk", and what there is without a compiler. */
import { spawn } from "node:child_process";
import { coreIdleSeconds, serverCpuSeconds } from "./load/cpu-time.ts";
import type { Load, LoadOptions, LoadResult, LoadSide } from "./load.ts";
import { findLoad } from "./load.ts";
import { inRepository } from "./places.ts";
import { endWithThisProcess } from "./processes.ts";
import type { Tools } from "./tools.ts";

/** What `--load` takes. */
export const LOAD_NAMES = ["c", "wrk"] as const;
export type LoadName = (typeof LOAD_NAMES)[number];

/**
 * The load for HTTP: the one in C, or wrk where that is asked for or there is no compiler.
 *
 * @throws Error when there is neither.
 */
export function findHttpLoad(
  tools: Tools,
  cores: string | undefined,
  name: LoadName | undefined,
): LoadSide {
  const { wrk } = tools;
  const inC = name === "wrk" ? undefined : findLoad(tools, cores);
  if (inC !== undefined && inC.warning === undefined) return inC;
  const without = tools.gcc.missing ?? "the load in C does not build";
  if (name === "c") throw new Error(without);
  if (wrk.missing !== undefined) {
    throw new Error(name === "wrk" ? wrk.missing : `${without}, and ${wrk.missing}`);
  }
  const side: LoadSide = {
    command: [wrk.path],
    cores,
    turn: { seconds: 1, settle: 0 },
    open: (options) => openWrk(wrk.path, cores, options),
  };
  const warning = `${without}: the load falls back to wrk, whose turns last a second`;
  return inC === undefined ? side : { ...side, warning };
}

/** What wrk says of a run, without what /proc says. */
export type WrkReport = Pick<LoadResult, "messages" | "seconds" | "lost" | "mismatches"> & {
  readonly bytes: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly cpuSeconds: number;
};

const UNITS: Readonly<Record<string, number>> = { us: 1, ms: 1e3, s: 1e6, m: 6e7 };
const BYTES: Readonly<Record<string, number>> = { B: 1, KB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30 };

/**
 * Reads what `wrk --latency` and the shell's `times` have printed.
 *
 * @throws Error when it is something else.
 */
export function parseWrk(text: string): WrkReport {
  const done = text.match(/(\d+) requests in ([\d.]+)(us|ms|s|m), ([\d.]+)([KMG]?B) read/);
  if (done === null) throw new Error(`wrk said: ${text.trim().split("\n").at(-1)}`);
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
  // The second line of `times` is of the children: user and system, 0m0.93s each.
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

/** wrk connects anew in each window, and takes whole seconds only. */
function openWrk(wrk: string, cores: string | undefined, options: LoadOptions): Load {
  const { port, serverPid, serverCore, connections, depth, path = "/" } = options;
  const script = depth > 1 ? ["-s", inRepository("bench/load/pipeline.lua")] : [];
  const url = `http://127.0.0.1:${port}${path}`;
  const more = depth > 1 ? ["--", `${depth}`] : [];
  const common = { side: "wrk", engine: "epoll", connections, depth, size: 0, idle: 0 };
  let total: LoadResult = { ...common, ...NOTHING };
  return {
    async run({ warmup, seconds }) {
      const time = Math.max(1, Math.round(seconds === 0 ? warmup : seconds));
      const args = [wrk, "-t1", `-c${connections}`, `-d${time}s`, "--latency", ...script, url];
      const before = { cpu: serverCpuSeconds(serverPid), idle: coreIdleSeconds(serverCore) };
      const report = parseWrk(await outputOf([...args, ...more], cores));
      total = {
        ...total,
        messages: total.messages + report.messages,
        seconds: total.seconds + report.seconds,
        bytes: total.bytes + report.bytes,
        lost: total.lost + report.lost,
        mismatches: total.mismatches + report.mismatches,
        // Of the last window: wrk does not say enough to add them up.
        latencyUs: { ...total.latencyUs, p50: report.p50Us, p99: report.p99Us },
        cpuSeconds: total.cpuSeconds + report.cpuSeconds,
        serverCpuSeconds: total.serverCpuSeconds + serverCpuSeconds(serverPid) - before.cpu,
        coreIdleSeconds: total.coreIdleSeconds + coreIdleSeconds(serverCore) - before.idle,
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
  // It looks at the status, and for the end of an answer.
  compared: 0,
  mismatches: 0,
  lost: 0,
  connectMs: 0,
  latencyUs: { p50: 0, p90: 0, p99: 0, p999: 0, max: 0 },
  cpuSeconds: 0,
  serverCpuSeconds: 0,
  coreIdleSeconds: 0,
};

/** What a command prints, and behind it the CPU time that it took. */
async function outputOf(command: readonly string[], cores: string | undefined): Promise<string> {
  const timed = ["/bin/sh", "-c", '"$@"; times', "sh", ...command];
  const [program, ...args] = cores === undefined ? timed : ["taskset", "-c", cores, ...timed];
  const child = spawn(program as string, args, { stdio: ["ignore", "pipe", "pipe"] });
  const gone = endWithThisProcess(child);
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
  }
  await gone;
  return text;
}

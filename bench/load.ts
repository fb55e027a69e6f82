import { compiled } from "./places.ts";
import { type Running, start } from "./processes.ts";
import { build, type Tools } from "./tools.ts";

/** What the load side reports of one run. */
export interface LoadResult {
  /** `c` or `node`. */
  readonly side: string;
  readonly engine: string;
  readonly connections: number;
  readonly idle: number;
  readonly size: number;
  readonly depth: number;
  /** The length of the measured window. */
  readonly seconds: number;
  readonly messages: number;
  readonly bytes: number;
  /** The share of bytes that was compared; the rest was counted. */
  readonly compared: number;
  readonly mismatches: number;
  /** Connections that the server ended. */
  readonly lost: number;
  readonly connectMs: number;
  readonly latencyUs: Readonly<Record<"p50" | "p90" | "p99" | "p999" | "max", number>>;
  readonly cpuSeconds: number;
  readonly serverCpuSeconds: number;
  readonly coreIdleSeconds: number;
}

/** The load program: in C, or in Node where there is no compiler. */
export interface LoadSide {
  readonly command: readonly string[];
  readonly core: number | undefined;
  /** What to tell the reader when it is not the C one. */
  readonly warning?: string;
}

/** One run against a server. */
export interface LoadOptions {
  readonly port: number;
  readonly serverPid: number;
  readonly serverCore: number;
  readonly connections: number;
  readonly idle: number;
  readonly size: number;
  readonly depth: number;
  readonly seconds: number;
  readonly warmup: number;
}

/** Builds the load side, or says what it falls back to. */
export function findLoad(tools: Tools, core: number | undefined): LoadSide {
  const fallback = [process.execPath, compiled("load/node-load")];
  const slower = "the load side falls back to Node, which is slower than most servers here";
  if (tools.gcc.missing !== undefined) {
    return { command: fallback, core, warning: `${tools.gcc.missing}: ${slower}` };
  }
  try {
    const command = [tools.gcc.path, "-O2", "-Wall", "-Wextra", "-o", "OUT"];
    return { command: [build({ command, sources: "bench/load", binary: "echo-load" })], core };
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    const reason = `the C load side does not build (${(stderr || message).trim()})`;
    return { command: fallback, core, warning: `${reason}: ${slower}` };
  }
}

/**
 * Runs the load against a server.
 *
 * @throws Error when it cannot connect, or an answer does not come.
 */
export async function runLoad(side: LoadSide, options: LoadOptions): Promise<LoadResult> {
  const { port, serverPid, serverCore, connections, idle, size, depth, seconds, warmup } = options;
  const flags = ["-p", port, "-P", serverPid, "-C", serverCore, "-c", connections, "-i", idle];
  flags.push("-s", size, "-n", depth, "-d", seconds, "-w", warmup);
  const load = await start({
    command: [...side.command, ...flags.map(String)],
    core: side.core,
    readyMs: (seconds + warmup + 60) * 1000,
  });
  await load.stop();
  return load.first as unknown as LoadResult;
}

/** Opens `count` connections that say hello and then nothing; they last until `stop`. */
export async function holdConnections(
  side: LoadSide,
  port: number,
  count: number,
): Promise<Running> {
  const flags = ["-m", "hold", "-p", port, "-i", count];
  return await start({ command: [...side.command, ...flags.map(String)], core: side.core });
}

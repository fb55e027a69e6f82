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
  /** Messages a second that were to be sent; 0 for as many as come back. */
  readonly rate?: number;
  /** Connections that were opened, used and closed within the window, in churn. */
  readonly lives?: number;
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
  readonly cores: string | undefined;
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
  /** `churn`: connections end after {@link life} messages and are replaced. Default: `echo`. */
  readonly mode?: "echo" | "churn";
  /** Messages of one connection, in churn. */
  readonly life?: number;
  /** Messages a second, sent when they are due; latency counts from then. */
  readonly rate?: number;
  /** Where to run it instead of on the side's own core. */
  readonly cores?: string;
}

/** What the C side has and the fallback lacks. */
export function whyNotInNode(side: LoadSide, what: string): string | undefined {
  return side.warning && `${what} needs the load in C: ${side.warning}`;
}

const SOURCES = "churn echo-load epoll measure open pace ring uring".split(" ");

/** Builds the load side, or says what it falls back to. */
export function findLoad(tools: Pick<Tools, "gcc">, cores: string | undefined): LoadSide {
  const fallback = [process.execPath, compiled("load/node-load")];
  const slower = "the load side falls back to Node, which is slower than most servers here";
  if (tools.gcc.missing !== undefined) {
    return { command: fallback, cores, warning: `${tools.gcc.missing}: ${slower}` };
  }
  try {
    const command = [tools.gcc.path, "-O2", "-Wall", "-Wextra", "-o", "OUT"];
    const sources = [...SOURCES.map((name) => `${name}.c`), "load.h", "ring.h"].map(
      (name) => `bench/load/${name}`,
    );
    return { command: [build({ command, sources, binary: "echo-load" })], cores };
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    const reason = `the C load side does not build (${(stderr || message).trim()})`;
    return { command: fallback, cores, warning: `${reason}: ${slower}` };
  }
}

/**
 * Runs the load against a server.
 *
 * @throws Error when it cannot connect, or an answer does not come.
 */
export async function runLoad(side: LoadSide, options: LoadOptions): Promise<LoadResult> {
  const { seconds, warmup } = options;
  const load = await start({
    command: [...side.command, ...flagsFor(options)],
    cores: options.cores ?? side.cores,
    readyMs: (seconds + warmup + 60) * 1000,
  });
  await load.stop();
  return load.first as unknown as LoadResult;
}

function flagsFor(options: LoadOptions): string[] {
  const { port, serverPid, serverCore, connections, idle, size, depth, seconds, warmup } = options;
  const flags = ["-p", port, "-P", serverPid, "-C", serverCore, "-c", connections, "-i", idle];
  flags.push("-s", size, "-n", depth, "-d", seconds, "-w", warmup);
  if (options.mode !== undefined) flags.push("-m", options.mode);
  if (options.life !== undefined) flags.push("-l", options.life);
  if (options.rate !== undefined) flags.push("-r", Math.round(options.rate));
  return flags.map(String);
}

/** A load that is connected and waits to be told to begin. */
export interface GatedLoad {
  /** Sends all messages, and waits until the last is back. The connections stay open. */
  go(): Promise<LoadResult>;
  stop(): Promise<void>;
}

/** Opens connections that will each send `perConnection` messages, and nothing else. */
export async function openGated(
  side: LoadSide,
  options: LoadOptions,
  perConnection: number,
): Promise<GatedLoad> {
  const more = ["-G", "-M", `${perConnection}`];
  const load = await start({
    command: [...side.command, ...flagsFor({ ...options, warmup: 0 }), ...more],
    cores: side.cores,
  });
  return {
    async go() {
      return (await load.ask("go", (options.seconds + 30) * 1000)) as unknown as LoadResult;
    },
    stop: load.stop,
  };
}

/** Opens `count` connections that say hello and then nothing; they last until `stop`. */
export async function holdConnections(
  side: LoadSide,
  port: number,
  count: number,
): Promise<Running> {
  const flags = ["-m", "hold", "-p", port, "-i", count];
  return await start({ command: [...side.command, ...flags.map(String)], cores: side.cores });
}

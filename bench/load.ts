import { compiled } from "./places.ts";
import { start } from "./processes.ts";
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
  /** The length of all measured windows. */
  readonly seconds: number;
  readonly messages: number;
  /** Messages a second that were to be sent in the last window; 0 for as many as come back. */
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
  readonly latencyUs: Readonly<Record<"p50" | "p90" | "p99" | "p999" | "max", number>> & {
    /** Corrected as wrk corrects its own: of polloi's own load. */
    readonly p99AsWrk?: number;
  };
  readonly cpuSeconds: number;
  readonly serverCpuSeconds: number;
  readonly coreIdleSeconds: number;
}

/** How long a turn lasts, and how long a server is given to get under way before it, in seconds. */
export interface Turn {
  readonly seconds: number;
  readonly settle: number;
}

/** The load program: in C, or in Node where there is no compiler. */
export interface LoadSide {
  readonly command: readonly string[];
  readonly cores: string | undefined;
  /** Loads a server in another way than by {@link command}. */
  open?(options: LoadOptions): Load;
  /** Turns that it can take, where it cannot take any. */
  readonly turn?: Turn;
  /** What to tell the reader when it is not the C one. */
  readonly warning?: string;
}

/** What a load does, and to whom. */
export interface LoadOptions {
  readonly port: number;
  readonly serverPid: number;
  readonly serverCore: number;
  readonly connections: number;
  readonly idle: number;
  readonly size: number;
  readonly depth: number;
  /** `churn`: connections end after {@link life} messages and are replaced. Default: `echo`. */
  readonly mode?: "echo" | "churn" | "http";
  /** What is asked for, in http. */
  readonly path?: string;
  /** A file with the body that is to be answered, in http. */
  readonly body?: string;
  /** Messages of one connection, in churn. */
  readonly life?: number;
  /** Messages of one connection in a window, which ends with the last answer. */
  readonly perConnection?: number;
  /** Where to run it instead of on the side's own core. */
  readonly cores?: string;
}

/** One stretch of load. */
export interface Window {
  /** So long is not counted. */
  readonly warmup: number;
  /** So long is. With 0, all that came before is forgotten. */
  readonly seconds: number;
  /** Messages a second, sent when they are due; latency counts from then. */
  readonly rate?: number;
}

/** A load that is connected, and sends only within windows. */
export interface Load {
  /**
   * Runs a window, after which nothing is in flight.
   *
   * @returns What all windows have come to together, since the last one of 0 seconds.
   */
  run(window: Window): Promise<LoadResult>;
  stop(): Promise<void>;
}

/** What the C side has and the fallback lacks. */
export function whyNotInNode(side: LoadSide, what: string): string | undefined {
  return side.warning && `${what} needs the load in C: ${side.warning}`;
}

const SOURCES = "churn epoll http load measure open pace ring uring".split(" ");

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
    return { command: [build({ command, sources, binary: "load" })], cores };
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    const reason = `the C load side does not build (${(stderr || message).trim()})`;
    return { command: fallback, cores, warning: `${reason}: ${slower}` };
  }
}

/** How long answers may take to come back after a window, and a line to be printed. */
const PATIENCE_SECONDS = 30;

/**
 * Connects a load to a server.
 *
 * @throws Error when it cannot connect; `run` throws when an answer does not come.
 */
export async function openLoad(side: LoadSide, options: LoadOptions): Promise<Load> {
  if (side.open !== undefined) return side.open(options);
  const load = await start({
    command: [...side.command, ...flagsFor(options)],
    cores: options.cores ?? side.cores,
  });
  return {
    async run({ warmup, seconds, rate = 0 }) {
      const line = `${warmup} ${seconds} ${Math.round(rate)}`;
      const result = await load.ask(line, (warmup + seconds + PATIENCE_SECONDS) * 1000);
      return result as unknown as LoadResult;
    },
    stop: load.stop,
  };
}

function flagsFor(options: LoadOptions): string[] {
  const { port, serverPid, serverCore, connections, idle, size, depth } = options;
  const flags = ["-p", port, "-P", serverPid, "-C", serverCore, "-c", connections, "-i", idle];
  flags.push("-s", size, "-n", depth);
  if (options.mode !== undefined) flags.push("-m", options.mode);
  if (options.path !== undefined) flags.push("-u", options.path);
  if (options.body !== undefined) flags.push("-b", options.body);
  if (options.life !== undefined) flags.push("-l", options.life);
  if (options.perConnection !== undefined) flags.push("-M", options.perConnection);
  return flags.map(String);
}

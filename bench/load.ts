import { start } from "./children.ts";
import { compiled } from "./places.ts";
import { build, type Tools } from "./tools.ts";

/** The report of a load generator: the sums of its windows. */
export interface LoadResult {
  /** The generator: `c`, `polloi` or `wrk`. */
  readonly side: string;
  readonly engine: string;
  readonly connections: number;
  readonly idle: number;
  readonly size: number;
  readonly depth: number;
  /** The length of all measured windows. */
  readonly seconds: number;
  readonly messages: number;
  /** The requested messages/s of the last window; 0 in a closed loop. */
  readonly rate?: number;
  /** Connections that were opened, used and closed within the windows, in churn. */
  readonly lives?: number;
  readonly bytes: number;
  /** The share of bytes that were compared; the others were counted. */
  readonly compared: number;
  readonly mismatches: number;
  /** Connections that the server closed. */
  readonly lost: number;
  readonly connectMs: number;
  readonly latencyUs: Readonly<Record<"p50" | "p90" | "p99" | "p999" | "max", number>> & {
    /** Corrected for coordinated omission as wrk does; only from polloi's own load. */
    readonly p99AsWrk?: number;
  };
  readonly cpuSeconds: number;
  readonly serverCpuSeconds: number;
  readonly coreIdleSeconds: number;
}

/** The length of a turn, and of the part before it that is not counted, in seconds. */
export interface Turn {
  readonly seconds: number;
  readonly settle: number;
}

/** A load generator: the one in C, polloi's own where there is no compiler, or wrk. */
export interface LoadGenerator {
  readonly command: readonly string[];
  readonly cores: readonly number[] | undefined;
  /** Opens a load in another way than by {@link command}. */
  open?(options: LoadOptions): Load;
  /** Its turns, where it cannot run shorter ones. */
  readonly turn?: Turn;
  /** A message for the reader when it is not the one in C. */
  readonly warning?: string;
}

/** The load on a server, independent of where the server is. */
export interface LoadPlan {
  readonly connections: number;
  readonly idle: number;
  readonly size: number;
  readonly depth: number;
  /** `churn`: connections close after {@link life} messages and are replaced. Default: `echo`. */
  readonly mode?: "echo" | "churn" | "http" | "http-churn";
  /** The path to request, in http. */
  readonly path?: string;
  /** A file with the expected body, in http. */
  readonly body?: string;
  /** The length of the body of each request, in http: then it is POST. */
  readonly sentBytes?: number;
  /** Between windows each connection sends a message after this time, because the server closes idle ones. */
  readonly keepSeconds?: number;
  /** With TLS: each connection of churn resumes the session of the one that it replaces. */
  readonly resume?: boolean;
  /** Messages per connection, in churn. */
  readonly life?: number;
  /** Messages per connection in a window, which then ends with the last answer. */
  readonly perConnection?: number;
  /** The cores to run on. Default: those of the generator. */
  readonly cores?: readonly number[];
}

/** The messages of a load, whatever the number of its connections. */
export type MessagePlan = Omit<LoadPlan, "connections" | "idle">;

/** Messages of 64 B that come back, one at a time. */
export const ECHO: MessagePlan = { size: 64, depth: 1 };

/** A load and its server. */
export interface LoadOptions extends LoadPlan {
  readonly port: number;
  readonly serverPid: number;
  readonly serverCore: number;
}

/** A period of load. */
export interface Window {
  /** Seconds that are not counted. */
  readonly warmup: number;
  /** Seconds that are counted. 0 resets the counters. */
  readonly seconds: number;
  /** Messages/s in an open loop: sent when they are due, and latency counts from then. */
  readonly rate?: number;
}

/** A load that is connected, and sends only within windows. */
export interface Load {
  /**
   * Runs a window, after which nothing is in flight.
   *
   * @returns The sums of all windows since the last one of 0 seconds.
   */
  run(window: Window): Promise<LoadResult>;
  stop(): Promise<void>;
}

const SOURCES = "churn epoll http load measure open pace ring uring".split(" ");

/** A handshake takes as long as ten messages, so turns are longer. */
const TLS_TURN: Turn = { seconds: 0.2, settle: 0.07 };

function compile(gcc: string, { tls }: { readonly tls: boolean }): string {
  const command = [gcc, "-O2", "-Wall", "-Wextra", ...(tls ? ["-DLOAD_TLS"] : []), "-o", "OUT"];
  const files = [...SOURCES, ...(tls ? ["tls"] : [])]
    .map((name) => `${name}.c`)
    .concat("load.h", "ring.h");
  const sources = files.map((name) => `bench/load/${name}`);
  const libraries = tls ? ["-lssl", "-lcrypto"] : [];
  return build({ command, sources, libraries, binary: tls ? "load-tls" : "load" });
}

/**
 * Builds the load generator for TLS.
 *
 * @throws Error without a compiler and the headers of OpenSSL.
 */
export function findTlsLoad(
  tools: Pick<Tools, "gcc">,
  cores: readonly number[] | undefined,
): LoadGenerator {
  if (tools.gcc.missing !== undefined) throw new Error(tools.gcc.missing);
  try {
    return { command: [compile(tools.gcc.path, { tls: true }), "-t"], cores, turn: TLS_TURN };
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    const reason = (stderr || message).trim().split("\n")[0];
    throw new Error(`the load generator needs the headers of OpenSSL (libssl-dev): ${reason}`);
  }
}

/** Builds the load generator in C. Without a compiler it is polloi's own, with a warning. */
export function findLoad(
  tools: Pick<Tools, "gcc">,
  cores: readonly number[] | undefined,
): LoadGenerator {
  const fallback = (reason: string): LoadGenerator => ({
    command: [process.execPath, compiled("load/polloi-echo")],
    cores,
    warning: `${reason}: the load is polloi's own client, which is slower than some servers`,
  });
  if (tools.gcc.missing !== undefined) return fallback(tools.gcc.missing);
  try {
    return { command: [compile(tools.gcc.path, { tls: false })], cores };
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    return fallback(`the load generator in C does not build (${(stderr || message).trim()})`);
  }
}

/** How long the last answers of a window and the report may take. */
const ANSWER_SECONDS = 30;

/**
 * Connects a load to a server.
 *
 * @throws ChildFailed when it cannot connect; `run` throws it when an answer is missing.
 */
export async function openLoad(generator: LoadGenerator, options: LoadOptions): Promise<Load> {
  if (generator.open !== undefined) return generator.open(options);
  const command = [...generator.command, ...flagsFor(options)];
  const load = await start(command, options.cores ?? generator.cores);
  return {
    async run({ warmup, seconds, rate = 0 }) {
      const line = `${warmup} ${seconds} ${Math.round(rate)}`;
      const result = await load.ask(line, (warmup + seconds + ANSWER_SECONDS) * 1000);
      return result as unknown as LoadResult;
    },
    stop: () => load.stop(),
  };
}

function flagsFor(options: LoadOptions): string[] {
  const { port, serverPid, serverCore, connections, idle, size, depth } = options;
  const flags = ["-p", port, "-P", serverPid, "-C", serverCore, "-c", connections, "-i", idle];
  flags.push("-s", size, "-n", depth);
  if (options.mode !== undefined) flags.push("-m", options.mode);
  if (options.path !== undefined) flags.push("-u", options.path);
  if (options.body !== undefined) flags.push("-b", options.body);
  if (options.sentBytes !== undefined) flags.push("-B", options.sentBytes);
  if (options.keepSeconds !== undefined) flags.push("-k", options.keepSeconds);
  if (options.resume === true) flags.push("-r");
  if (options.life !== undefined) flags.push("-l", options.life);
  if (options.perConnection !== undefined) flags.push("-M", options.perConnection);
  return flags.map(String);
}

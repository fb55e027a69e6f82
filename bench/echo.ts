import { type LoadOptions, type LoadResult, type LoadSide, runLoad } from "./load.ts";
import { type Machine, whyNotFit } from "./machine.ts";
import { type Peer, type SkippedPeer, thatHold } from "./peers.ts";
import { YARDSTICK } from "./plans.ts";
import { type Running, start } from "./processes.ts";
import { orderOf, pairedRatio, pairedRatios, type Spread, spreadOf } from "./statistics.ts";

/** What of one server was measured in one round. */
export interface Round {
  readonly messagesPerSecond: number;
  /** In churn only. */
  readonly connectionsPerSecond?: number;
  /** Server CPU time per message, all threads, in microseconds. */
  readonly serverCpuUs: number;
  /** The server's CPU time as a share of the window: 1 is all of one core. */
  readonly serverBusy: number;
  /** The share of the window in which the server's core had nothing to do. */
  readonly coreIdle: number;
  readonly loadBusy: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly connectMs: number;
  readonly compared: number;
  readonly mismatches: number;
  readonly lost: number;
  readonly loadEngine: string;
}

/** One server in one cell. A round that failed is `null`, and `failures` says why. */
export interface Row {
  readonly name: string;
  readonly label: string;
  readonly rounds: (Round | null)[];
  readonly failures: string[];
}

/** All servers at one number of connections and one message size. */
export interface Cell {
  readonly connections: number;
  readonly size: number;
  readonly rows: readonly Row[];
}

/** What every result has, whatever was measured. */
export interface Published {
  readonly machine: Machine;
  readonly warnings: readonly string[];
  readonly skipped: readonly SkippedPeer[];
}

/** A whole run of the echo or the churn benchmark, as it is written to JSON. */
export interface EchoResult extends Published {
  readonly benchmark: "echo" | "churn";
  readonly settings: EchoSettings;
  readonly cells: Cell[];
}

/** How often and for how long. */
export interface Times {
  readonly rounds: number;
  readonly seconds: number;
  readonly warmup: number;
}

/** What to measure and for how long. */
export interface EchoSettings extends Times {
  readonly connections: readonly number[];
  readonly sizes: readonly number[];
  readonly depth: number;
  /** Messages of one connection's life: churn. */
  readonly life?: number;
}

/** Who is told how far it is. */
export interface EchoProgress {
  /** Something is measured next. */
  step(text: string): void;
  /** A cell is complete. */
  cell(cell: Cell): void;
}

/** What a benchmark works with. */
export interface Bench {
  readonly machine: Machine;
  readonly load: LoadSide;
  readonly peers: Peer[];
}

/**
 * Measures every cell: in each round every server once, in turn, each freshly started.
 *
 * @remarks
 * Servers alternate within a round, so that whatever the machine does for a minute falls on all of
 * them, and ratios are taken within a round.
 */
export async function measureEcho(
  bench: Bench,
  settings: EchoSettings,
  progress: EchoProgress,
): Promise<string[]> {
  const warnings: string[] = [];
  for (const size of settings.sizes) {
    for (const connections of settings.connections) {
      const reason = whyNotFit(bench.machine, connections);
      if (reason === undefined) {
        progress.cell(await measureCell(bench, settings, { size, connections, progress }));
      } else {
        warnings.push(`skipped: ${reason}`);
      }
    }
  }
  return warnings;
}

interface CellPlan {
  readonly size: number;
  readonly connections: number;
  readonly progress: EchoProgress;
}

async function measureCell(
  bench: Bench,
  settings: EchoSettings,
  { size, connections, progress }: CellPlan,
): Promise<Cell> {
  const { life } = settings;
  const mode = life === undefined ? {} : ({ mode: "churn", life } as const);
  const options = { ...settings, ...mode, size, connections, idle: 0 };
  const { peers, skipped } = thatHold(connections, { peers: bench.peers, skipped: [] });
  const rows = await inRounds(peers, settings.rounds, (peer, round) => {
    const where = `${size} B x ${connections}, round ${round} of ${settings.rounds}`;
    progress.step(`${where}: ${peer.label}`);
    return measureOnce(bench, peer, options);
  });
  const none = skipped.map(({ name, label, reason }) => ({
    name,
    label,
    rounds: [],
    failures: [reason],
  }));
  return { connections, size, rows: [...rows, ...none] };
}

/** What was measured of a server in each round; `null` for a round that failed. */
export interface RowOf<T> {
  readonly name: string;
  readonly label: string;
  readonly rounds: (T | null)[];
  readonly failures: string[];
}

/** Measures every server once in each round, to and fro. */
export async function inRounds<T>(
  peers: readonly Peer[],
  rounds: number,
  measure: (peer: Peer, round: number) => Promise<T>,
): Promise<RowOf<T>[]> {
  const rows = peers.map(
    ({ name, label }): RowOf<T> => ({ name, label, rounds: [], failures: [] }),
  );
  for (let round = 1; round <= rounds; round++) {
    for (const [i, peer] of orderOf([...peers.entries()], round)) {
      const row = rows[i] as RowOf<T>;
      try {
        row.rounds.push(await measure(peer, round));
      } catch (error) {
        row.rounds.push(null);
        row.failures.push((error as Error).message);
      }
    }
  }
  return rows;
}

/** One measurement of one server: all of it but where the server is. */
export type OnceOptions = Omit<LoadOptions, "port" | "serverPid" | "serverCore">;

/** Starts a server, loads it, and ends it. */
export async function measureOnce(bench: Bench, peer: Peer, options: OnceOptions): Promise<Round> {
  return await withServer(bench, peer, async (server) =>
    roundFrom(await loadServer(bench, server, options)),
  );
}

/** Starts a server on its core, and ends it however `use` ends. */
export async function withServer<T>(
  { machine }: Bench,
  { command }: Pick<Peer, "command">,
  use: (server: Running) => Promise<T>,
  cores: string | undefined = machine.pinned ? `${machine.serverCore}` : undefined,
): Promise<T> {
  const server = await start({ command, cores });
  try {
    return await use(server);
  } finally {
    await server.stop();
  }
}

/** Loads a server that runs. @throws Error when nothing came back. */
export async function loadServer(
  { machine, load }: Bench,
  { pid, first }: Running,
  options: OnceOptions,
): Promise<LoadResult> {
  const port = Number(first.port);
  const { serverCore } = machine;
  const result = await runLoad(load, { ...options, port, serverPid: pid, serverCore });
  if (result.messages > 0) return result;
  throw new Error("not one message came back within the window");
}

/** The figures of a window. */
export function roundFrom(result: LoadResult): Round {
  const { messages, seconds, latencyUs, lives = 0 } = result;
  return {
    messagesPerSecond: messages / seconds,
    ...(lives > 0 ? { connectionsPerSecond: lives / seconds } : {}),
    serverCpuUs: (result.serverCpuSeconds / messages) * 1e6,
    serverBusy: result.serverCpuSeconds / seconds,
    coreIdle: result.coreIdleSeconds / seconds,
    loadBusy: result.cpuSeconds / seconds,
    p50Us: latencyUs.p50,
    p99Us: latencyUs.p99,
    connectMs: result.connectMs,
    compared: result.compared,
    mismatches: result.mismatches,
    lost: result.lost,
    loadEngine: `${result.side} ${result.engine}`,
  };
}

/** The figures of a row over its rounds. */
export interface RowSummary {
  readonly rate: Spread | undefined;
  readonly cpuUs: Spread | undefined;
  /** Messages/s by those of the yardstick, round by round. */
  readonly ratio: Spread | undefined;
  /**
   * Messages per second of server CPU by those of the yardstick. The same as `ratio` where every server
   * fills its core, and all that counts where it could not, for what else ran on the machine.
   */
  readonly cpuRatio: Spread | undefined;
  /** {@link ratio} and {@link cpuRatio}, a figure a round. */
  readonly ratios: readonly number[];
  readonly cpuRatios: readonly number[];
  readonly connections: Spread | undefined;
  readonly serverBusy: number | undefined;
  readonly coreIdle: number | undefined;
  readonly loadBusy: number | undefined;
  readonly p50Us: number | undefined;
  readonly p99Us: number | undefined;
  /** Bytes came back changed, or connections were lost. */
  readonly faulty: boolean;
}

/** Sums up a row, with ratios to `reference`: the yardstick of its cell unless another is named. */
export function summarize(cell: Cell, row: Row, reference: string = YARDSTICK): RowSummary {
  const rounds = row.rounds.filter((round) => round !== null);
  const spread = (key: keyof Round): Spread | undefined =>
    spreadOf(rounds.flatMap((round) => (typeof round[key] === "number" ? [round[key]] : [])));
  const yardstick = cell.rows.find(({ name }) => name === reference);
  const rates = (of: Row | undefined): (number | undefined)[] =>
    of?.rounds.map((round) => round?.messagesPerSecond) ?? [];
  const costs = (of: Row | undefined): (number | undefined)[] =>
    of?.rounds.map((round) => round?.serverCpuUs) ?? [];
  return {
    rate: spread("messagesPerSecond"),
    cpuUs: spread("serverCpuUs"),
    ratio: pairedRatio(rates(row), rates(yardstick)),
    cpuRatio: pairedRatio(costs(yardstick), costs(row)),
    ratios: pairedRatios(rates(row), rates(yardstick)),
    cpuRatios: pairedRatios(costs(yardstick), costs(row)),
    connections: spread("connectionsPerSecond"),
    serverBusy: spread("serverBusy")?.median,
    coreIdle: spread("coreIdle")?.median,
    loadBusy: spread("loadBusy")?.median,
    p50Us: spread("p50Us")?.median,
    p99Us: spread("p99Us")?.median,
    faulty: rounds.some((round) => round.mismatches > 0 || round.lost > 0),
  };
}

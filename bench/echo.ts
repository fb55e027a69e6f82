import { type LoadSide, runLoad } from "./load.ts";
import { type Machine, whyNotFit } from "./machine.ts";
import { type Peer, type SkippedPeer, YARDSTICK } from "./peers.ts";
import { start } from "./processes.ts";
import { pairedRatio, type Spread, spreadOf } from "./statistics.ts";

/** What of one server was measured in one round. */
export interface Round {
  readonly messagesPerSecond: number;
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

/** A whole run of the echo benchmark, as it is written to `echo.json`. */
export interface EchoResult {
  readonly benchmark: "echo";
  readonly machine: Machine;
  readonly settings: EchoSettings;
  readonly warnings: readonly string[];
  readonly skipped: readonly SkippedPeer[];
  readonly cells: Cell[];
}

/** What to measure and for how long. */
export interface EchoSettings {
  readonly connections: readonly number[];
  readonly sizes: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
  readonly warmup: number;
  readonly depth: number;
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
  readonly peers: readonly Peer[];
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
  const rows: Row[] = bench.peers.map(({ name, label }) => ({
    name,
    label,
    rounds: [],
    failures: [],
  }));
  for (let round = 1; round <= settings.rounds; round++) {
    for (const [i, peer] of bench.peers.entries()) {
      const row = rows[i] as Row;
      const where = `${size} B x ${connections}, round ${round} of ${settings.rounds}`;
      progress.step(`${where}: ${peer.label}`);
      try {
        row.rounds.push(
          await measureOnce(bench, peer, { ...settings, size, connections, idle: 0 }),
        );
      } catch (error) {
        row.rounds.push(null);
        row.failures.push((error as Error).message);
      }
    }
  }
  return { connections, size, rows };
}

/** One measurement of one server. */
export interface OnceOptions {
  readonly size: number;
  readonly connections: number;
  readonly idle: number;
  readonly seconds: number;
  readonly warmup: number;
  readonly depth: number;
}

/** Starts a server, loads it, and ends it. */
export async function measureOnce(
  { machine, load }: Bench,
  peer: Peer,
  options: OnceOptions,
): Promise<Round> {
  const { serverCore } = machine;
  const core = machine.pinned ? serverCore : undefined;
  const server = await start({ command: peer.command, core });
  try {
    const port = Number(server.first.port);
    const result = await runLoad(load, { ...options, port, serverPid: server.pid, serverCore });
    const { messages, seconds, latencyUs } = result;
    if (messages === 0) throw new Error("not one message came back within the window");
    return {
      messagesPerSecond: messages / seconds,
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
  } finally {
    await server.stop();
  }
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
  const middle = (key: keyof Round): number | undefined =>
    spreadOf(rounds.map((round) => round[key] as number))?.median;
  const yardstick = cell.rows.find(({ name }) => name === reference);
  const rates = (of: Row | undefined): (number | undefined)[] =>
    of?.rounds.map((round) => round?.messagesPerSecond) ?? [];
  const costs = (of: Row | undefined): (number | undefined)[] =>
    of?.rounds.map((round) => round?.serverCpuUs) ?? [];
  return {
    rate: spreadOf(rounds.map((round) => round.messagesPerSecond)),
    cpuUs: spreadOf(rounds.map((round) => round.serverCpuUs)),
    ratio: pairedRatio(rates(row), rates(yardstick)),
    cpuRatio: pairedRatio(costs(yardstick), costs(row)),
    serverBusy: middle("serverBusy"),
    coreIdle: middle("coreIdle"),
    loadBusy: middle("loadBusy"),
    p50Us: middle("p50Us"),
    p99Us: middle("p99Us"),
    faulty: rounds.some((round) => round.mismatches > 0 || round.lost > 0),
  };
}

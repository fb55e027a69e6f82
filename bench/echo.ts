import { orderOf } from "../packages/polloi-tools/src/measure/rounds.ts";
import {
  pairedRatio,
  pairedRatios,
  type Spread,
  spreadOf,
} from "../packages/polloi-tools/src/measure/spread.ts";
import { Field, type Outcome } from "./field.ts";
import {
  type Load,
  type LoadOptions,
  type LoadResult,
  type LoadSide,
  openLoad,
  type Window,
} from "./load.ts";
import { type Machine, whyNotFit } from "./machine.ts";
import { type Peer, type SkippedPeer, thatHold } from "./peers.ts";
import { YARDSTICK } from "./plans.ts";
import { portOf, type Running, start } from "./processes.ts";

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

/** A whole run of the echo, the churn or the trace benchmark, as it is written to JSON. */
export interface EchoResult extends Published {
  readonly benchmark: "echo" | "churn" | "trace";
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
 * Measures every cell: in each round every server is started anew, and all of them are loaded in turns
 * of a fraction of a second.
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
  { rounds, seconds, warmup, depth, life }: EchoSettings,
  { size, connections, progress }: CellPlan,
): Promise<Cell> {
  const mode = life === undefined ? {} : ({ mode: "churn", life } as const);
  const loads = [{ ...mode, size, connections, depth, idle: 0 }];
  const { peers, skipped } = thatHold(connections, { peers: bench.peers, skipped: [] });
  const entries = peers.map(({ command }) => ({ command, loads }));
  const rows = rowsOf<Round>(peers);
  for (let round = 1; round <= rounds; round++) {
    progress.step(`${size} B x ${connections}, round ${round} of ${rounds}`);
    const field = await Field.open(bench, entries);
    try {
      await field.warmUp(warmup);
      const results = await field.measure({ seconds, round });
      results.forEach((result, i) => {
        note(rows[i] as RowOf<Round>, result instanceof Error ? result : roundOf(result));
      });
    } finally {
      await field.close();
    }
  }
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

/** A row for each server, still empty. */
export function rowsOf<T>(peers: readonly Pick<Peer, "name" | "label">[]): RowOf<T>[] {
  return peers.map(({ name, label }) => ({ name, label, rounds: [], failures: [] }));
}

/** Notes what a round gave. */
export function note<T>(row: RowOf<T>, outcome: Outcome<T>): void {
  const failed = outcome instanceof Error;
  row.rounds.push(failed ? null : outcome);
  if (failed) row.failures.push(outcome.message);
}

/** Measures every server by itself once in each round, to and fro. */
export async function inRounds<T, P extends Pick<Peer, "name" | "label"> = Peer>(
  peers: readonly P[],
  rounds: number,
  measure: (peer: P, round: number) => Promise<T>,
): Promise<RowOf<T>[]> {
  const rows = rowsOf<T>(peers);
  for (let round = 1; round <= rounds; round++) {
    for (const [i, peer] of orderOf([...peers.entries()], round)) {
      const outcome = await measure(peer, round).catch((error: Error) => error);
      note(rows[i] as RowOf<T>, outcome);
    }
  }
  return rows;
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

/** One measurement of one server: all of it but where the server is. */
export type OnceOptions = Omit<LoadOptions, "port" | "serverPid" | "serverCore"> & Window;

/** Loads a server that runs, once. @throws Error when nothing came back. */
export async function loadServer(
  { machine: { serverCore }, load: side }: Bench,
  { pid, first }: Running,
  { warmup, seconds, rate = 0, ...options }: OnceOptions,
): Promise<LoadResult> {
  const where = { port: portOf({ first }), serverPid: pid, serverCore };
  const load = await openLoad(side, { ...options, ...where });
  try {
    const result = await load.run({ warmup, seconds, rate });
    if (result.messages > 0) return result;
    throw new Error("not one message came back within the window");
  } finally {
    await load.stop();
  }
}

/** Opens `count` connections that say hello and then nothing; they last until `stop`. */
export async function holdConnections(
  { machine: { serverCore }, load: side }: Bench,
  { pid, first }: Running,
  count: number,
): Promise<Load> {
  const where = { port: portOf({ first }), serverPid: pid, serverCore };
  return await openLoad(side, { ...where, connections: 0, idle: count, size: 64, depth: 1 });
}

/**
 * One round of loads that ran at the same time, each of which has seen all of the server's CPU time
 * and its own messages.
 */
export function roundOf(results: readonly LoadResult[]): Round {
  return together(results.map(roundFrom));
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

function together(rounds: readonly Round[]): Round {
  const [first] = rounds;
  if (first === undefined) throw new Error("no load has run");
  const sum = (key: "messagesPerSecond" | "mismatches" | "lost" | "loadBusy"): number =>
    rounds.reduce((total, round) => total + round[key], 0);
  const most = (key: "p50Us" | "p99Us" | "connectMs"): number =>
    Math.max(...rounds.map((round) => round[key]));
  const serverBusy = rounds.reduce((total, round) => total + round.serverBusy, 0) / rounds.length;
  const messagesPerSecond = sum("messagesPerSecond");
  return {
    ...first,
    messagesPerSecond,
    serverBusy,
    serverCpuUs: (serverBusy / messagesPerSecond) * 1e6,
    loadBusy: sum("loadBusy"),
    p50Us: most("p50Us"),
    p99Us: most("p99Us"),
    connectMs: most("connectMs"),
    mismatches: sum("mismatches"),
    lost: sum("lost"),
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
export function summarize(
  cell: Pick<Cell, "rows">,
  row: Row,
  reference: string = YARDSTICK,
): RowSummary {
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

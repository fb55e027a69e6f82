import {
  type Bench,
  inRounds,
  loadServer,
  type Published,
  type Round,
  type RowOf,
  roundFrom,
  withServer,
} from "./echo.ts";
import { holdConnections } from "./load.ts";
import type { Machine } from "./machine.ts";
import type { Peer, SkippedPeer } from "./peers.ts";
import { compiled } from "./places.ts";
import { type Running, start } from "./processes.ts";

/** A run of the worker benchmark, as it is written to `workers.json`. */
export interface WorkersResult extends Published {
  readonly benchmark: "workers";
  readonly settings: WorkersSettings;
  readonly cores: WorkersCores;
  readonly rows: RowOf<WorkersRound>[];
}

/** What to measure. */
export interface WorkersSettings {
  readonly engines: readonly string[];
  /** How many workers are compared with one. */
  readonly workers: number;
  /** Of each load. */
  readonly connections: number;
  readonly size: number;
  /** Connections over which the balance of the workers is looked at. */
  readonly balance: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly warmup: number;
}

/** Where everything runs. */
export interface WorkersCores {
  readonly one: Layout;
  readonly many: Layout;
  /** Whether the load shares the cores of the workers, for want of others. */
  readonly shared: boolean;
}

/** A server and what loads it, by cores as taskset takes them. */
export interface Layout {
  readonly server: string;
  /** A load for each. */
  readonly loads: readonly string[];
}

/** One worker and several, one after the other, in one round. */
export interface WorkersRound {
  readonly one: Round;
  readonly many: Round;
  /** How many of the held connections each worker has. */
  readonly connections: readonly number[];
}

const PREFIX = "polloi-workers-";

/** How long a pool may take to say how many connections it has. */
const ANSWER_MS = 5000;

/**
 * Where a machine has room for workers and load.
 *
 * @remarks
 * With a core more than workers, the load has that core in both cases. Without, each core that has a
 * worker has a load of its own as well, in both cases: one worker and its load on one core, against two
 * workers and two loads on two. So a core is as busy with one as with several, and what differs is what
 * several cost: cores that wake each other, and share what the kernel guards.
 */
export function coresFor(
  workers: number,
  { cores, serverCore, loadCore }: Pick<Machine, "cores" | "serverCore" | "loadCore">,
): WorkersCores {
  const all = Array.from({ length: cores }, (_, core) => core);
  const free = [serverCore, ...all.filter((core) => core !== serverCore && core !== loadCore)];
  const shared = free.length < workers;
  const used = (shared ? [...free, loadCore] : free).slice(0, workers);
  const layout = (on: readonly number[]): Layout => ({
    server: on.join(","),
    loads: (shared ? on : [loadCore]).map(String),
  });
  return { one: layout([serverCore]), many: layout(used), shared };
}

function commandFor(engine: string, workers: number): string[] {
  const flags = ["--engine", engine, "--workers", `${workers}`];
  return [process.execPath, "--expose-gc", compiled("peers/polloi-workers"), ...flags];
}

/** The engines on which workers can be had here; the others with the reason that they give. */
export async function findPools({ engines, workers }: WorkersSettings): Promise<{
  peers: Peer[];
  skipped: SkippedPeer[];
}> {
  const peers: Peer[] = [];
  const skipped: SkippedPeer[] = [];
  for (const engine of engines) {
    const name = `${PREFIX}${engine}`;
    const label = `polloi, ${engine}, workers`;
    const command = commandFor(engine, workers);
    try {
      await (await start({ command, cores: undefined })).stop();
      // Memory is of no interest here, nor is how many connections fit.
      peers.push({ name, label, command, collects: true, holds: Number.POSITIVE_INFINITY });
    } catch (error) {
      skipped.push({ name, label, reason: (error as Error).message });
    }
  }
  return { peers, skipped };
}

/** Measures one worker, then several, in each round, and how connections are spread over these. */
export async function measureWorkers(
  bench: Bench,
  settings: WorkersSettings,
  { cores, step }: { readonly cores: WorkersCores; step(text: string): void },
): Promise<RowOf<WorkersRound>[]> {
  const { workers, balance, rounds } = settings;
  return await inRounds(bench.peers, rounds, async (peer, round) => {
    const where = `round ${round} of ${rounds}: ${peer.label}`;
    const engine = peer.name.replace(PREFIX, "");
    step(`${where}, one`);
    const alone = { command: commandFor(engine, 1) };
    const measureOne = (server: Running) => loadFrom(bench, server, settings, cores.one.loads);
    const one = await withServer(bench, alone, measureOne, cores.one.server);
    step(`${where}, ${workers}`);
    const measureMany = async (server: Running): Promise<WorkersRound> => {
      const many = await loadFrom(bench, server, settings, cores.many.loads);
      const held = await holdConnections(bench.load, Number(server.first.port), balance);
      try {
        const answer = await server.ask("connections", ANSWER_MS);
        return { one, many, connections: answer.connections as number[] };
      } finally {
        await held.stop();
      }
    };
    return await withServer(bench, peer, measureMany, cores.many.server);
  });
}

/** Several loads at once, each from a core of its own. */
async function loadFrom(
  bench: Bench,
  server: Running,
  { connections, size, seconds, warmup }: WorkersSettings,
  loads: readonly string[],
): Promise<Round> {
  const options = { connections, size, seconds, warmup, idle: 0, depth: 1 };
  const results = await Promise.all(
    loads.map((cores) => loadServer(bench, server, { ...options, cores })),
  );
  return together(results.map(roundFrom));
}

/**
 * One round of several loads that ran at the same time, each of which has seen all of the server's CPU
 * time and its own messages.
 */
export function together(rounds: readonly Round[]): Round {
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

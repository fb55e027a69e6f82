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
import { start } from "./processes.ts";

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
  readonly connections: number;
  readonly size: number;
  /** Connections over which the balance of the workers is looked at. */
  readonly balance: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly warmup: number;
}

/** Where everything runs, as taskset takes it. */
export interface WorkersCores {
  readonly one: string;
  readonly many: string;
  readonly load: string;
  /** Whether the load shares the cores of the workers, for want of others. */
  readonly shared: boolean;
}

/** One worker and several, one after the other, in one round. */
export interface WorkersRound {
  readonly one: Round;
  readonly many: Round;
  /** How many of the held connections each worker has. */
  readonly connections: readonly number[];
}

/** How long a pool may take to say how many connections it has. */
const ANSWER_MS = 5000;

/**
 * Where a machine has room for workers and load.
 *
 * @remarks
 * With a core more than workers, the load has that core in both cases. Without, all runs on all cores in
 * both cases: with one worker the system finds the load a core of its own, and with several they share.
 * What sharing costs is then held against several workers, so the ratio is an upper bound.
 */
export function coresFor(
  workers: number,
  { cores, serverCore, loadCore }: Pick<Machine, "cores" | "serverCore" | "loadCore">,
): WorkersCores {
  const all = Array.from({ length: cores }, (_, core) => core);
  const free = [serverCore, ...all.filter((core) => core !== serverCore && core !== loadCore)];
  if (free.length >= workers) {
    const many = free.slice(0, workers).join(",");
    return { one: `${serverCore}`, many, load: `${loadCore}`, shared: false };
  }
  const every = all.join(",");
  return { one: every, many: every, load: every, shared: true };
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
    const name = `polloi-workers-${engine}`;
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
  const { connections, size, seconds, warmup, rounds } = settings;
  const options = { connections, size, seconds, warmup, idle: 0, depth: 1, cores: cores.load };
  return await inRounds(bench.peers, rounds, async (peer, round) => {
    const where = `round ${round} of ${rounds}: ${peer.label}`;
    const engine = peer.name.replace("polloi-workers-", "");
    step(`${where}, one`);
    const alone = { command: commandFor(engine, 1) };
    const one = await withServer(
      bench,
      alone,
      async (server) => roundFrom(await loadServer(bench, server, options)),
      cores.one,
    );
    step(`${where}, ${settings.workers}`);
    const use = async (server: Parameters<typeof loadServer>[1]): Promise<WorkersRound> => {
      const many = roundFrom(await loadServer(bench, server, options));
      const held = await holdConnections(bench.load, Number(server.first.port), settings.balance);
      try {
        const answer = await server.ask("connections", ANSWER_MS);
        return { one, many, connections: answer.connections as number[] };
      } finally {
        await held.stop();
      }
    };
    return await withServer(bench, peer, use, cores.many);
  });
}

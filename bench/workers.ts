import {
  type Bench,
  holdConnections,
  inRounds,
  type Published,
  type Round,
  type RowOf,
  roundOf,
} from "./echo.ts";
import { type Entry, Field } from "./field.ts";
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

/** Measures one worker and several beside each other in each round, and the balance of the several. */
export async function measureWorkers(
  bench: Bench,
  settings: WorkersSettings,
  { cores, step }: { readonly cores: WorkersCores; step(text: string): void },
): Promise<RowOf<WorkersRound>[]> {
  const { workers, balance, rounds, connections, size, seconds, warmup } = settings;
  return await inRounds(bench.peers, rounds, async (peer, round) => {
    step(`round ${round} of ${rounds}: ${peer.label}`);
    const engine = peer.name.replace(PREFIX, "");
    const entryOf = (count: number, { server, loads }: Layout): Entry => ({
      command: commandFor(engine, count),
      cores: server,
      loads: loads.map((on) => ({ connections, size, idle: 0, depth: 1, cores: on })),
    });
    const field = await Field.open(bench, [entryOf(1, cores.one), entryOf(workers, cores.many)]);
    try {
      await field.warmUp(warmup);
      const [one, many] = (await field.measure({ seconds, round })).map((result) => {
        if (result instanceof Error) throw result;
        return roundOf(result);
      }) as [Round, Round];
      return { one, many, connections: await spreadOver(bench, field.server(1), balance) };
    } finally {
      await field.close();
    }
  });
}

/** How many of `count` connections each worker of a pool gets. */
async function spreadOver(bench: Bench, server: Running, count: number): Promise<number[]> {
  const before = await connectionsOf(server);
  const held = await holdConnections(bench, server, count);
  try {
    // The loads have theirs still.
    return (await connectionsOf(server)).map((all, i) => all - (before[i] as number));
  } finally {
    await held.stop();
  }
}

async function connectionsOf(server: Running): Promise<number[]> {
  const answer = await server.ask("connections", ANSWER_MS);
  return answer.connections as number[];
}

/** The benchmark of worker pools: CPU time per message of several workers, and the balance of their connections. */
import type { Command } from "commander";
import type { Child } from "../packages/polloi-tools/src/measure/child.ts";
import {
  absenceLines,
  hasFailed,
  medianColumn,
  type Row,
  rowTable,
  type Sample,
  shareColumn,
  spreadColumn,
  valuesOf,
} from "../packages/polloi-tools/src/measure/grid.ts";
import { whole } from "../packages/polloi-tools/src/measure/table.ts";
import {
  addBenchmark,
  type CommonFlags,
  countFrom,
  finish,
  measureEach,
  open,
  type Published,
  publishedBy,
  type Report,
  show,
  type Times,
  timesOf,
} from "./benchmark.ts";
import { type Bench, holdConnections, Interleaved, type ServerPlan } from "./interleave.ts";
import type { Machine } from "./machine.ts";
import { findPeers, type Peer } from "./peers.ts";
import { compiled } from "./places.ts";
import { NODE } from "./plans.ts";
import { type Throughput, throughputOf } from "./throughput.ts";

/** A run of the worker benchmark. */
export interface WorkersResult extends Published {
  readonly benchmark: "workers";
  readonly settings: WorkersSettings;
  readonly cores: WorkersCores;
  readonly rows: readonly Row<WorkersSample>[];
}

/** The cells and conditions of a measurement. */
export interface WorkersSettings extends Times {
  readonly engines: readonly string[];
  /** The number of workers that is compared with one. */
  readonly workers: number;
  /** Connections of each load. */
  readonly connections: number;
  readonly size: number;
  /** The number of connections whose distribution is measured. */
  readonly balance: number;
}

/** The cores of both pools. */
export interface WorkersCores {
  readonly one: Layout;
  readonly many: Layout;
  /** Whether the loads share the workers' cores because there are too few cores. */
  readonly shared: boolean;
}

/** The cores of a server, and the core of each load. */
export interface Layout {
  readonly server: readonly number[];
  readonly loads: readonly number[];
}

/** One worker and several, side by side, in one round. */
export interface WorkersSample extends Sample {
  readonly one: Throughput;
  readonly many: Throughput;
  /** The number of held connections of each worker. */
  readonly connections: readonly number[];
}

const TIMES = { rounds: 9, seconds: 1 } as const;
const PREFIX = "polloi-workers-";
/** How long a pool may take to report its connections. */
const ANSWER_MS = 5000;

interface WorkersFlags extends CommonFlags {
  readonly engines: readonly string[];
  readonly workers: number;
  readonly connections: number;
  readonly size: number;
  readonly balance: number;
}

export function addWorkers(program: Command): void {
  addBenchmark(program, {
    name: "workers",
    description: "CPU time per message of several workers and of one; balance of connections",
    times: TIMES,
  })
    .option("--engines <names>", "of the workers", (text) => text.split(","), ["io_uring", "epoll"])
    .option("--workers <count>", "number that is compared with one", countFrom, 2)
    .option("--connections <count>", "connections", countFrom, 200)
    .option("--size <bytes>", "message size", countFrom, 64)
    .option("--balance <count>", "connections whose distribution is measured", countFrom, 1000)
    .action(run);
}

async function run(flags: WorkersFlags): Promise<void> {
  const { engines, workers, connections, size, balance } = flags;
  const settings = { engines, workers, connections, size, balance, ...timesOf(flags, TIMES) };
  const plans = engines.map((engine) => ({
    name: `${PREFIX}${engine}`,
    label: `polloi, ${engine}, workers`,
    command: () => commandFor(engine, workers),
  }));
  const session = await open(flags, {
    peers: (tools) =>
      findPeers(
        tools,
        plans.map(({ name }) => name),
        plans,
      ),
    connections: Math.max(connections, balance),
  });
  const cores = coresFor(workers, session.machine);
  const rows = await measureEach<WorkersSample>(
    session,
    session.peers,
    settings.rounds,
    (peer, round) => measurePools(session, peer, { ...settings, cores, round }),
  );
  const result: WorkersResult = { ...publishedBy(session, "workers"), settings, cores, rows };
  const report = workersReport(result);
  show(session, report.figures);
  finish(result, report, flags);
}

/**
 * The cores of workers and loads.
 *
 * @remarks
 * With more cores than workers, the load has one of its own in both cases. Otherwise each worker's core also has a
 * load, in both cases: one worker and its load on one core, compared with two workers and two loads on two. So a core
 * is as busy with one worker as with several, and the difference is the cost of several: cores that wake each other,
 * and locks in the kernel.
 */
export function coresFor(
  workers: number,
  { cores, serverCore, loadCore }: Pick<Machine, "cores" | "serverCore" | "loadCore">,
): WorkersCores {
  const all = Array.from({ length: cores }, (_, core) => core);
  const free = [serverCore, ...all.filter((core) => core !== serverCore && core !== loadCore)];
  const shared = free.length < workers;
  const used = (shared ? [...free, loadCore] : free).slice(0, workers);
  const layout = (server: readonly number[]): Layout => ({
    server,
    loads: shared ? server : [loadCore],
  });
  return { one: layout([serverCore]), many: layout(used), shared };
}

function commandFor(engine: string, workers: number): string[] {
  const flags = ["--engine", engine, "--workers", `${workers}`];
  return [...NODE, compiled("peers/polloi-workers"), ...flags];
}

/** Measures one worker and several side by side, and then the balance of the several. */
async function measurePools(
  bench: Bench,
  { name }: Peer,
  settings: WorkersSettings & { readonly cores: WorkersCores; readonly round: number },
): Promise<Omit<WorkersSample, "round">> {
  const { workers, balance, connections, size, seconds, warmup, cores, round } = settings;
  const planOf = (count: number, { server, loads }: Layout): ServerPlan => ({
    command: commandFor(name.replace(PREFIX, ""), count),
    cores: server,
    loads: loads.map((core) => ({ connections, size, idle: 0, depth: 1, cores: [core] })),
  });
  const plans = [planOf(1, cores.one), planOf(workers, cores.many)];
  const servers = await Interleaved.open(bench, plans);
  try {
    await servers.warmUp(warmup);
    const [one, many] = (await servers.measure({ seconds, round })).map((result) => {
      if (result instanceof Error) throw result;
      return throughputOf(result, round);
    }) as [Throughput, Throughput];
    return { one, many, connections: await distribution(bench, servers.server(1), balance) };
  } finally {
    await servers.close();
  }
}

/** The number of `count` further connections that each worker of a pool gets. */
async function distribution(bench: Bench, server: Child, count: number): Promise<number[]> {
  const before = await connectionsOf(server);
  const held = await holdConnections(bench, server, count);
  try {
    return (await connectionsOf(server)).map((all, i) => all - (before[i] as number));
  } finally {
    await held.stop();
  }
}

async function connectionsOf(server: Child): Promise<number[]> {
  const answer = await server.ask("connections", ANSWER_MS);
  return answer.connections as number[];
}

function ratioOf({ one, many }: WorkersSample): number {
  return many.serverCpuUs / one.serverCpuUs;
}

function balanceOf({ connections }: WorkersSample): number {
  return Math.max(...connections) / Math.min(...connections);
}

export function workersReport({ rows, settings, cores }: WorkersResult): Report {
  const { workers, connections, size, balance } = settings;
  const method = cores.shared
    ? `One worker and its load share core ${cores.one.server}; several workers, with a load for each core, share ${cores.many.server.join(",")}. A core is equally busy in both cases, and messages/s are those of a core of which the load uses half.`
    : `One worker on core ${cores.one.server}, several on ${cores.many.server.join(",")}, the load on ${cores.one.loads} in both cases. One load may not saturate several workers, so CPU time is the figure to compare.`;
  return {
    method,
    figures: [
      {
        title: `${whole(connections)} connections per load, ${size} B`,
        table: rowTable("server", rows, [
          spreadColumn("CPU us/msg, 1 worker", ({ one }) => one.serverCpuUs),
          spreadColumn(`${workers} workers`, ({ many }) => many.serverCpuUs),
          spreadColumn(`${workers} : 1`, ratioOf),
          medianColumn("messages/s, 1", ({ one }) => one.messagesPerSecond),
          medianColumn(`${workers}`, ({ many }) => many.messagesPerSecond),
          shareColumn("cores used, 1", ({ one }) => one.serverBusy),
          shareColumn(`${workers}`, ({ many }) => many.serverBusy),
          {
            title: `connections of each, ${whole(balance)} held`,
            text: ({ samples }) => samples[0]?.connections.join(", ") ?? "-",
          },
          spreadColumn("max:min", balanceOf),
        ]),
        remarks: absenceLines(rows),
      },
    ],
    goals: rows.flatMap((row) => [
      {
        what: `${row.label}, ${workers} : 1, CPU per message`,
        where: `${whole(connections)} connections`,
        limit: { atMost: 1.15, record: 1.05 },
        values: valuesOf(row, ratioOf),
      },
      {
        what: `${row.label}, connections of a worker, max : min`,
        where: `${whole(balance)} connections`,
        limit: { atMost: 1.3 },
        values: valuesOf(row, balanceOf),
      },
    ]),
    failed: hasFailed(rows),
  };
}

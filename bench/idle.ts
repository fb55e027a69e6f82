/** The benchmark of idle connections: their memory, and the CPU time of active connections besides them. */
import { readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import {
  absenceLines,
  hasFailed,
  medianColumn,
  type Row,
  ratioColumn,
  rowTable,
  type Sample,
  spreadColumn,
  valuesOf,
} from "../packages/polloi-tools/src/measure/grid.ts";
import { privateBytesOf } from "../packages/polloi-tools/src/measure/process-stats.ts";
import type { Figure } from "../packages/polloi-tools/src/measure/report.ts";
import { twoDecimals, whole } from "../packages/polloi-tools/src/measure/table.ts";
import {
  addBenchmark,
  type CommonFlags,
  countFrom,
  countsFrom,
  finish,
  measureEach,
  open,
  type Published,
  publishedBy,
  type Report,
  type Session,
  show,
  type Times,
  timesOf,
} from "./benchmark.ts";
import type { Goal, Limit } from "./goals.ts";
import { type Bench, holdConnections, Interleaved, loadServer, withServer } from "./interleave.ts";
import { ECHO, type MessagePlan } from "./load.ts";
import { findPeers, type Peer } from "./peers.ts";
import { PEER_NAMES } from "./plans.ts";
import { throughputOf } from "./throughput.ts";

/** A run of the idle benchmark. */
export interface IdleResult extends Published {
  readonly benchmark: "idle";
  readonly settings: IdleSettings;
  readonly rows: readonly Row<IdleSample>[];
}

/** The cells and conditions of a measurement. */
export interface IdleSettings extends Times {
  /** Idle connections whose memory is measured. */
  readonly connections: number;
  /** Numbers of idle connections besides the active ones. */
  readonly steps: readonly number[];
  readonly active: number;
}

/** The memory of one server's idle connections in one round. */
export interface MemorySample extends Sample {
  /** Bytes of private memory per idle connection. */
  readonly bytesPerConnection: number;
}

/** One server in one round. */
export interface IdleSample extends MemorySample {
  /** Server CPU time per active message in microseconds, for each number of idle connections. */
  readonly cpuUs: readonly (number | null)[];
}

const TIMES = { rounds: 3, seconds: 1 } as const;

/** The servers that are measured by default. */
export const IDLE_SERVERS: readonly string[] = [
  "c-epoll",
  "polloi-uring",
  "polloi-epoll",
  "polloi-poll",
  "polloi-select",
  "node-net",
  "bun-listen",
];

interface IdleFlags extends CommonFlags {
  readonly connections: number;
  readonly steps?: readonly number[];
}

export function addIdle(program: Command): void {
  addBenchmark(program, {
    name: "idle",
    description: "memory and CPU time of idle connections",
    times: TIMES,
    servers: { usual: IDLE_SERVERS, all: PEER_NAMES },
  })
    .option("--connections <count>", "idle connections", countFrom, 15_000)
    .option("--steps <counts>", "idle connections besides 50 active ones", countsFrom)
    .action(run);
}

async function run(flags: IdleFlags): Promise<void> {
  const { quick = false, connections } = flags;
  const steps = flags.steps ?? (quick ? [100, connections] : [100, 1000, 5000, connections]);
  const settings = { connections, steps, active: 50, ...timesOf(flags, TIMES) };
  const session = await open(flags, {
    peers: (tools) => findPeers(tools, flags.servers ?? IDLE_SERVERS),
    connections: Math.max(connections, ...steps) + settings.active,
  });
  const rows = await measureEach<IdleSample>(
    session,
    session.peers,
    settings.rounds,
    async (peer, round) => ({
      bytesPerConnection: await memoryPerConnection(session, peer, connections),
      cpuUs: await cpuWithIdle(session, peer, settings, round),
    }),
  );
  const result: IdleResult = { ...publishedBy(session, "idle"), settings, rows };
  const report = idleReport(result);
  show(session, report.figures);
  finish(result, report, flags);
}

/** Server CPU time per active message for each number of idle connections, each with a server of its own. */
async function cpuWithIdle(
  bench: Bench,
  { command }: Peer,
  { steps, active: connections, seconds, warmup }: IdleSettings,
  round: number,
): Promise<number[]> {
  const plans = steps.map((idle) => {
    return { command, loads: [{ connections, idle, size: 64, depth: 1 }] };
  });
  const servers = await Interleaved.open(bench, plans);
  try {
    await servers.warmUp(warmup);
    return (await servers.measure({ seconds, round })).map((result) => {
      if (result instanceof Error) throw result;
      return throughputOf(result, round).serverCpuUs;
    });
  } finally {
    await servers.close();
  }
}

/** Measures the memory of idle connections in each round. */
export function measureMemory(
  session: Session,
  peers: readonly Peer[],
  { rounds, connections, message }: MemoryPlan,
): Promise<Row<MemorySample>[]> {
  return measureEach<MemorySample>(session, peers, rounds, async (peer) => ({
    bytesPerConnection: await memoryPerConnection(session, peer, connections, message),
  }));
}

/** The rounds and connections of {@link measureMemory}. */
export interface MemoryPlan {
  readonly rounds: number;
  readonly connections: number;
  /** The message that each connection exchanges. Default: an echo of 64 B. */
  readonly message?: MessagePlan;
}

/** A table of memory per idle connection, with ratios to one of the servers. */
export function memoryFigure(
  title: string,
  rows: readonly Row<MemorySample>[],
  reference: { readonly name: string; readonly label: string },
): Figure {
  const to = rows.find(({ name }) => name === reference.name);
  return {
    title,
    table: rowTable("server", rows, [
      spreadColumn("bytes per idle connection", bytesOf, whole),
      ratioColumn(`of ${reference.label}`, bytesOf, to),
    ]),
    remarks: absenceLines(rows),
  };
}

export function bytesOf({ bytesPerConnection }: MemorySample): number {
  return bytesPerConnection;
}

/** Goals of memory per idle connection, for the servers of polloi. */
export function memoryGoals(
  rows: readonly Row<MemorySample>[],
  connections: number,
  limit: Limit,
): Goal[] {
  return ownOf(rows).map((row) => {
    const values = valuesOf(row, bytesOf);
    return {
      what: `${row.label}, bytes per idle connection`,
      where: `${whole(connections)} connections`,
      limit,
      values,
      doubt: values.some((bytes) => bytes < 0) ? "memory had not settled" : undefined,
    };
  });
}

/** The servers of polloi. */
function ownOf<S extends Sample>(rows: readonly Row<S>[]): readonly Row<S>[] {
  return rows.filter(({ name }) => name.startsWith("polloi-"));
}

/** Memory has settled after this many checks in a row that differ by less than this. */
const SETTLED_CHECKS = 4;
const SETTLED_BYTES = 64 * 1024;
const CHECK_MS = 250;
const MOST_CHECKS = 40;

/**
 * Private memory per idle connection, in bytes.
 *
 * @remarks
 * The server first answers on 200 connections for a second, so that its code is compiled and its pools exist; they
 * close. Its garbage is collected (SIGUSR2, where it has a collector) and its memory is read. Then the connections
 * open, and each exchanges one message. Garbage is collected and memory is read again when it no longer changes. The
 * kernel's memory of a socket is in neither figure.
 *
 * @throws Error when the server has closed some of the connections meanwhile.
 */
export async function memoryPerConnection(
  bench: Bench,
  peer: Pick<Peer, "command" | "collects">,
  count: number,
  message: MessagePlan = ECHO,
): Promise<number> {
  return await withServer(bench, peer, async (server) => {
    await loadServer(bench, server, {
      ...message,
      connections: 200,
      idle: 0,
      seconds: 1,
      warmup: 0,
    });
    const before = await settledMemory(server.pid, peer);
    const held = await holdConnections(bench, server, count, message);
    try {
      const after = await settledMemory(server.pid, peer);
      const open = descriptorsOf(server.pid);
      if (open < count) throw new Error(`only ${open} of ${count} connections were still open`);
      return (after - before) / count;
    } finally {
      await held.stop();
    }
  });
}

/** Private memory in bytes when it no longer changes, or after ten seconds. */
async function settledMemory(pid: number, { collects }: Pick<Peer, "collects">): Promise<number> {
  let last = privateBytesOf(pid);
  for (let checks = 0, equal = 0; checks < MOST_CHECKS && equal < SETTLED_CHECKS; checks++) {
    if (collects) process.kill(pid, "SIGUSR2");
    await sleep(CHECK_MS);
    const now = privateBytesOf(pid);
    equal = Math.abs(now - last) <= SETTLED_BYTES ? equal + 1 : 0;
    last = now;
  }
  return last;
}

/** The number of open descriptors of a process. */
function descriptorsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** CPU time per message with the most idle connections, divided by that with the fewest. */
function growthOf({ cpuUs }: IdleSample): number | undefined {
  const [first, last] = [cpuUs[0] ?? undefined, cpuUs.at(-1) ?? undefined];
  return first === undefined || last === undefined ? undefined : last / first;
}

export function idleReport({ settings, rows }: IdleResult): Report {
  const { connections, steps, active } = settings;
  return {
    method: `Memory: the growth of private pages (VmRSS - RssFile - RssShmem), divided by the number of connections; garbage is collected before. CPU: ${active} active connections, 64 B, besides the idle ones.`,
    figures: [
      {
        title: `${whole(connections)} idle connections`,
        table: rowTable("server", rows, [
          spreadColumn("bytes per idle connection", bytesOf, whole),
          ...steps.map((idle, i) =>
            medianColumn<IdleSample>(
              `CPU us/msg, ${whole(idle)} idle`,
              ({ cpuUs }) => cpuUs[i] ?? undefined,
              twoDecimals,
            ),
          ),
          spreadColumn("growth", growthOf),
        ]),
        remarks: absenceLines(rows),
      },
    ],
    goals: goalsOf(settings, rows),
    failed: hasFailed(rows),
  };
}

/** The engines whose CPU time should not grow; the others check every descriptor. */
const CONSTANT = ["polloi-epoll", "polloi-uring"];

/** Memory of every engine, and growth of CPU time of those that handle only ready descriptors. */
function goalsOf({ steps, active, connections }: IdleSettings, rows: IdleResult["rows"]): Goal[] {
  const memory = memoryGoals(rows, connections, { atMost: 300, record: 200 });
  const growth = ownOf(rows)
    .filter(({ name }) => CONSTANT.includes(name))
    .map(
      (row): Goal => ({
        what: `${row.label}, growth of CPU per message`,
        where: `${active} beside ${steps.map(whole)[0]} -> ${steps.map(whole).at(-1)} idle`,
        limit: { atMost: 1.1, record: 1.03 },
        values: valuesOf(row, growthOf),
      }),
    );
  return [...memory, ...growth];
}

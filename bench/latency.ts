/** The benchmark of latency at a fixed rate. */
import type { Command } from "commander";
import {
  absenceLines,
  hasFailed,
  medianColumn,
  mostly,
  type Row,
  ratioColumn,
  ratiosOf,
  rowTable,
  type Sample,
  shareColumn,
  spreadColumn,
  spreadIn,
} from "../packages/polloi-tools/src/measure/grid.ts";
import { percent, whole } from "../packages/polloi-tools/src/measure/table.ts";
import {
  addBenchmark,
  addSample,
  type CommonFlags,
  countFrom,
  emptyRows,
  finish,
  numberFrom,
  type OpenRow,
  open,
  type Published,
  publishedBy,
  type Report,
  requireC,
  type Session,
  show,
  type Times,
  timesOf,
} from "./benchmark.ts";
import { Interleaved, type Outcome } from "./interleave.ts";
import type { LoadResult } from "./load.ts";
import { findPeers } from "./peers.ts";
import { PEER_NAMES, REFERENCE } from "./plans.ts";
import { disturbanceOf, REACHED } from "./throughput.ts";

/** A run of the latency benchmark. */
export interface LatencyResult extends Published {
  readonly benchmark: "latency";
  readonly settings: LatencySettings;
  readonly rows: readonly Row<LatencySample>[];
}

/** The cells and conditions of a measurement. */
export interface LatencySettings extends Times {
  readonly connections: number;
  readonly size: number;
  /** The requested rate, as a share of the server's own peak. */
  readonly share: number;
  readonly peakSeconds: number;
}

/** One server in one round. */
export interface LatencySample extends Sample {
  /** Messages/s in a closed loop. */
  readonly peak: number;
  /** The requested messages/s. */
  readonly wanted: number;
  /** The messages/s that came back. */
  readonly achieved: number;
  /** From the time when a message was due to its answer. */
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly serverBusy: number;
  readonly coreIdle: number;
  readonly loadBusy: number;
}

const TIMES = { rounds: 9, seconds: 2 } as const;

/** The servers that are measured by default. */
export const LATENCY_SERVERS: readonly string[] = [
  "c-epoll",
  "polloi-uring",
  "polloi-epoll",
  "node-net",
  "bun-listen",
];

interface LatencyFlags extends CommonFlags {
  readonly connections: number;
  readonly size: number;
  readonly share: number;
}

export function addLatency(program: Command): void {
  addBenchmark(program, {
    name: "latency",
    description: "latency at a share of every server's own peak, in an open loop",
    times: TIMES,
    servers: { usual: LATENCY_SERVERS, all: PEER_NAMES },
  })
    .option("--connections <count>", "connections", countFrom, 500)
    .option("--size <bytes>", "message size", countFrom, 64)
    .option("--share <share>", "of its own peak", numberFrom, 0.8)
    .action(run);
}

async function run(flags: LatencyFlags): Promise<void> {
  const { connections, size, share, quick = false } = flags;
  const peakSeconds = quick ? 0.3 : 1;
  const settings = { connections, size, share, peakSeconds, ...timesOf(flags, TIMES) };
  const session = await open(flags, {
    peers: (tools) => findPeers(tools, flags.servers ?? LATENCY_SERVERS),
    connections,
  });
  requireC(session, "latency");
  const rows = await measureLatency(session, settings);
  const result: LatencyResult = { ...publishedBy(session, "latency"), settings, rows };
  const report = latencyReport(result);
  show(session, report.figures);
  finish(result, report, flags);
}

/** Measures all peaks, and then the latency at a share of them, on the same servers. */
async function measureLatency(
  session: Session,
  { connections, size, share, rounds, peakSeconds, seconds, warmup }: LatencySettings,
): Promise<Row<LatencySample>[]> {
  const loads = [{ connections, size, idle: 0, depth: 1 }];
  const plans = session.peers.map(({ command }) => ({ command, loads }));
  const rows = emptyRows<LatencySample>(session.peers);
  for (let round = 1; round <= rounds; round++) {
    const step = (text: string, done: number): void =>
      session.progress.step(`round ${round} of ${rounds}: ${text}`, {
        done: round - 1 + done,
        steps: rounds,
      });
    const servers = await Interleaved.open(session, plans);
    try {
      step("peaks", 0);
      await servers.warmUp(warmup);
      const peaks = (await servers.measure({ seconds: peakSeconds, round })).map(messagesPerSecond);
      const rates = peaks.map((peak) => Math.round(peak * share));
      step(`${rates.map(whole).join("; ")} messages/s`, peakSeconds / (peakSeconds + seconds));
      await servers.warmUp(0);
      const results = await servers.measure({ seconds, round, rates });
      results.forEach((result, i) => {
        const at = { round, peak: peaks[i] as number, wanted: rates[i] as number };
        const sample = result instanceof Error ? result : sampleOf(result, at);
        addSample(rows[i] as OpenRow<LatencySample>, sample);
      });
    } finally {
      await servers.close();
    }
  }
  return rows;
}

/** Messages/s; 0 for a server that failed, which fails again at its rate. */
function messagesPerSecond(outcome: Outcome<LoadResult[]>): number {
  if (outcome instanceof Error) return 0;
  const [{ messages, seconds }] = outcome as [LoadResult];
  return messages / seconds;
}

function sampleOf(
  [result]: readonly LoadResult[],
  at: Pick<LatencySample, "round" | "peak" | "wanted">,
): LatencySample {
  const { seconds, latencyUs, ...sums } = result as LoadResult;
  return {
    ...at,
    achieved: sums.messages / seconds,
    p50Us: latencyUs.p50,
    p99Us: latencyUs.p99,
    p999Us: latencyUs.p999,
    serverBusy: sums.serverCpuSeconds / seconds,
    coreIdle: sums.coreIdleSeconds / seconds,
    loadBusy: sums.cpuSeconds / seconds,
  };
}

/** Whether messages came back at the requested rate. */
export function wasReached({ achieved, wanted }: LatencySample): boolean {
  return achieved >= wanted * REACHED;
}

function isSlow(row: Row<LatencySample>): boolean {
  return mostly(row, (sample) => !wasReached(sample));
}

/** The servers whose latency has a goal. */
const MEASURED = ["polloi-uring", "polloi-epoll"];

export function latencyReport({ rows, settings }: LatencyResult): Report {
  const { connections, size, share } = settings;
  const c = rows.find(({ name }) => name === REFERENCE);
  const achieved = medianColumn<LatencySample>("rate reached", (sample) => sample.achieved);
  const p99 = ({ p99Us }: LatencySample): number => p99Us;
  const notReached =
    "< in at least half of the rounds the rate was not reached: the latency is that of a growing queue";
  return {
    method:
      "Open loop: messages are due at equal intervals, each connection in turn, and latency is measured from when a message was due, not from when it could be sent (corrected for coordinated omission).",
    figures: [
      {
        title: `${whole(connections)} connections, ${size} B`,
        table: rowTable("server", rows, [
          medianColumn("peak, messages/s", ({ peak }) => peak),
          medianColumn(`rate wanted (${percent(share)})`, ({ wanted }) => wanted),
          { ...achieved, text: (row) => `${achieved.text(row)}${isSlow(row) ? " <" : ""}` },
          medianColumn("p50 us", ({ p50Us }) => p50Us),
          spreadColumn("p99 us", p99, whole),
          medianColumn("p99.9 us", ({ p999Us }) => p999Us),
          ratioColumn("p99 : C's", p99, c),
          shareColumn("server", ({ serverBusy }) => serverBusy),
          shareColumn("load", ({ loadBusy }) => loadBusy),
        ]),
        remarks: [...(rows.some(isSlow) ? [notReached] : []), ...absenceLines(rows)],
      },
    ],
    goals: rows
      .filter(({ name }) => c !== undefined && MEASURED.includes(name))
      .map((row) => ({
        what: `${row.label} : ${c?.label}, p99 at ${percent(share)} of own peak`,
        where: `${whole(connections)} connections`,
        limit: { atMost: 1.2, record: 1 },
        values: ratiosOf(p99, row, c),
        doubt: doubtOf([row, ...(c === undefined ? [] : [c])]),
      })),
    failed: hasFailed(rows),
  };
}

function doubtOf(rows: readonly Row<LatencySample>[]): string | undefined {
  if (rows.some(isSlow)) return "the rate was not reached";
  return disturbanceOf(
    rows.map((row) => ({
      serverBusy: spreadIn(row, ({ serverBusy }) => serverBusy)?.median,
      coreIdle: spreadIn(row, ({ coreIdle }) => coreIdle)?.median,
    })),
  );
}

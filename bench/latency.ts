import {
  type Bench,
  inRounds,
  loadServer,
  type Published,
  type RowOf,
  withServer,
} from "./echo.ts";

/** A run of the latency benchmark, as it is written to `latency.json`. */
export interface LatencyResult extends Published {
  readonly benchmark: "latency";
  readonly settings: LatencySettings;
  readonly rows: RowOf<LatencyRound>[];
}

/** What to measure. */
export interface LatencySettings {
  readonly connections: number;
  readonly size: number;
  /** The share of a server's own peak that it is asked for. */
  readonly share: number;
  readonly rounds: number;
  /** Of the peak. */
  readonly peakSeconds: number;
  /** At the fixed rate. */
  readonly seconds: number;
  readonly warmup: number;
}

/** One server in one round. */
export interface LatencyRound {
  /** Messages/s with the next message sent as soon as one is back. */
  readonly peak: number;
  /** Messages/s that were then to be sent. */
  readonly wanted: number;
  /** Messages/s that came back. */
  readonly achieved: number;
  /** From when a message was due to when its answer was there. */
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly serverBusy: number;
  /** The share of the window in which the server's core had nothing to do. */
  readonly coreIdle: number;
  readonly loadBusy: number;
}

/** Below this share of what was wanted, the rate was not reached. */
const REACHED = 0.99;

/** Whether messages came back as fast as they were to be sent. */
export function wasReached({ achieved, wanted }: LatencyRound): boolean {
  return achieved >= wanted * REACHED;
}

/**
 * Measures latency at a share of every server's own peak: first the peak, then the rate that is the
 * share of it, on the same server one after the other.
 */
export async function measureLatency(
  bench: Bench,
  settings: LatencySettings,
  step: (text: string) => void,
): Promise<RowOf<LatencyRound>[]> {
  const { connections, size, share, rounds, peakSeconds, seconds, warmup } = settings;
  const common = { connections, size, idle: 0, depth: 1, warmup };
  return await inRounds(bench.peers, rounds, (peer, round) => {
    const where = `round ${round} of ${rounds}: ${peer.label}`;
    return withServer(bench, peer, async (server) => {
      step(`${where}, peak`);
      const most = await loadServer(bench, server, { ...common, seconds: peakSeconds });
      const peak = most.messages / most.seconds;
      const wanted = Math.round(peak * share);
      step(`${where}, ${wanted} messages/s`);
      const result = await loadServer(bench, server, { ...common, seconds, rate: wanted });
      const { p50, p99, p999 } = result.latencyUs;
      return {
        peak,
        wanted,
        achieved: result.messages / result.seconds,
        p50Us: p50,
        p99Us: p99,
        p999Us: p999,
        serverBusy: result.serverCpuSeconds / result.seconds,
        coreIdle: result.coreIdleSeconds / result.seconds,
        loadBusy: result.cpuSeconds / result.seconds,
      };
    });
  });
}

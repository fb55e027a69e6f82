import { type Bench, note, type Published, type RowOf, rowsOf } from "./echo.ts";
import { Field, type Outcome } from "./field.ts";
import type { LoadResult } from "./load.ts";

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
 * Measures latency at a share of every server's own peak: first all peaks, then the rates that are that
 * share of them, on the same servers.
 */
export async function measureLatency(
  bench: Bench,
  settings: LatencySettings,
  step: (text: string) => void,
): Promise<RowOf<LatencyRound>[]> {
  const { connections, size, share, rounds, peakSeconds, seconds, warmup } = settings;
  const loads = [{ connections, size, idle: 0, depth: 1 }];
  const entries = bench.peers.map(({ command }) => ({ command, loads }));
  const rows = rowsOf<LatencyRound>(bench.peers);
  for (let round = 1; round <= rounds; round++) {
    const field = await Field.open(bench, entries);
    try {
      step(`round ${round} of ${rounds}: the peaks`);
      await field.warmUp(warmup);
      const peaks = (await field.measure({ seconds: peakSeconds, round })).map(rateOf);
      const rates = peaks.map((peak) => Math.round(peak * share));
      step(`round ${round} of ${rounds}: ${rates.join(", ")} messages/s`);
      await field.warmUp(0);
      const results = await field.measure({ seconds, round, rates });
      results.forEach((result, i) => {
        const at = { peak: peaks[i] as number, wanted: rates[i] as number };
        note(
          rows[i] as RowOf<LatencyRound>,
          result instanceof Error ? result : figures(result, at),
        );
      });
    } finally {
      await field.close();
    }
  }
  return rows;
}

/** Messages a second; 0 of a server that has failed, which then fails again. */
function rateOf(outcome: Outcome<LoadResult[]>): number {
  if (outcome instanceof Error) return 0;
  const [{ messages, seconds }] = outcome as [LoadResult];
  return messages / seconds;
}

function figures(
  results: readonly LoadResult[],
  at: Pick<LatencyRound, "peak" | "wanted">,
): LatencyRound {
  const [result] = results as [LoadResult];
  const { seconds, latencyUs } = result;
  return {
    ...at,
    achieved: result.messages / seconds,
    p50Us: latencyUs.p50,
    p99Us: latencyUs.p99,
    p999Us: latencyUs.p999,
    serverBusy: result.serverCpuSeconds / seconds,
    coreIdle: result.coreIdleSeconds / seconds,
    loadBusy: result.cpuSeconds / seconds,
  };
}

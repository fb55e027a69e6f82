import { addTo, type Counts, noCounts } from "./tally.ts";

/** What a load is doing: draining is waiting for the last answers. */
export type LoadPhase = "connecting" | "sending" | "draining" | "over";

/** A load as it is now. */
export interface LoadSnapshot {
  readonly phase: LoadPhase;
  /** Since it was begun. */
  readonly elapsedMs: number;
  readonly counts: Readonly<Counts>;
  /** Failures by code. */
  readonly errors: Readonly<Record<string, number>>;
  /** Answers a second, in the last second. */
  readonly messagesPerSecond: number;
  /**
   * How long answers took in the last second; 0 when none came. Of several threads: the median is their mean,
   * weighted by messages, and the others are those of the slowest.
   */
  readonly recentMs: { readonly p50: number; readonly p99: number; readonly max: number };
}

/** Of a load that has not opened anything yet. */
export const NOT_BEGUN: LoadSnapshot = {
  phase: "connecting",
  elapsedMs: 0,
  counts: noCounts(),
  errors: {},
  messagesPerSecond: 0,
  recentMs: { p50: 0, p99: 0, max: 0 },
};

/** As far as the slowest is, so far are all. */
const PHASES: readonly LoadPhase[] = ["connecting", "sending", "draining", "over"];

/** What the threads of a load are doing together. */
export function joined(snapshots: readonly LoadSnapshot[]): LoadSnapshot {
  const [first, ...others] = snapshots;
  if (first === undefined) return NOT_BEGUN;
  return others.reduce(joinedPair, first);
}

function joinedPair(one: LoadSnapshot, other: LoadSnapshot): LoadSnapshot {
  const counts = { ...one.counts };
  for (const name of Object.keys(counts) as (keyof Counts)[]) counts[name] += other.counts[name];
  const errors = { ...one.errors };
  addTo(errors, other.errors);
  const perSecond = one.messagesPerSecond + other.messagesPerSecond;
  const weighted =
    one.recentMs.p50 * one.messagesPerSecond + other.recentMs.p50 * other.messagesPerSecond;
  return {
    phase: PHASES.find((phase) => phase === one.phase || phase === other.phase) ?? one.phase,
    elapsedMs: Math.max(one.elapsedMs, other.elapsedMs),
    counts,
    errors,
    messagesPerSecond: perSecond,
    recentMs: {
      p50: perSecond === 0 ? 0 : weighted / perSecond,
      p99: Math.max(one.recentMs.p99, other.recentMs.p99),
      max: Math.max(one.recentMs.max, other.recentMs.max),
    },
  };
}

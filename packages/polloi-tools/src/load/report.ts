import type { EngineName } from "polloi";
import { objectOf } from "polloi/internal";
import type { Percentiles } from "./latency.ts";
import type { LoadConfig } from "./options.ts";
import {
  addTo,
  type Counts,
  type RecentRate,
  type Statistics,
  type TlsFacts,
  zeroCounts,
} from "./statistics.ts";

/** The phase of a load. While `draining` it sends nothing and waits for the last answers. */
export type LoadPhase = "connecting" | "sending" | "draining" | "over";

/** The state of a load at one moment. */
export interface LoadSnapshot {
  readonly phase: LoadPhase;
  /** Time since the start of the load. */
  readonly elapsedMs: number;
  readonly counts: Readonly<Counts>;
  /** Failures by code. */
  readonly errors: Readonly<Record<string, number>>;
  /** Answers per second, over the last second. */
  readonly messagesPerSecond: number;
  /**
   * Latencies of the last second; 0 when no answer arrived. With several threads, the median is the mean of theirs,
   * weighted by messages, and the others are those of the slowest thread.
   */
  readonly recentMs: { readonly p50: number; readonly p99: number; readonly max: number };
}

/** The snapshot of a load that has not started. */
export const INITIAL_SNAPSHOT: LoadSnapshot = {
  phase: "connecting",
  elapsedMs: 0,
  counts: zeroCounts(),
  errors: {},
  messagesPerSecond: 0,
  recentMs: { p50: 0, p99: 0, max: 0 },
};

/** In their order: a load is in the earliest phase of its threads. */
const PHASES: readonly LoadPhase[] = ["connecting", "sending", "draining", "over"];

/** Combines the snapshots of the threads of a load. */
export function mergeSnapshots(snapshots: readonly LoadSnapshot[]): LoadSnapshot {
  const [first, ...others] = snapshots;
  if (first === undefined) return INITIAL_SNAPSHOT;
  return others.reduce(mergePair, first);
}

function mergePair(one: LoadSnapshot, other: LoadSnapshot): LoadSnapshot {
  const counts = { ...one.counts };
  addTo(counts, other.counts);
  const errors = { ...one.errors };
  addTo(errors, other.errors);
  return {
    phase: PHASES.find((phase) => phase === one.phase || phase === other.phase) ?? one.phase,
    elapsedMs: Math.max(one.elapsedMs, other.elapsedMs),
    counts,
    errors,
    ...mergeRates(one, other),
  };
}

function mergeRates(one: RecentRate, other: RecentRate): RecentRate {
  const messagesPerSecond = one.messagesPerSecond + other.messagesPerSecond;
  const weighted =
    one.recentMs.p50 * one.messagesPerSecond + other.recentMs.p50 * other.messagesPerSecond;
  return {
    messagesPerSecond,
    recentMs: {
      p50: messagesPerSecond === 0 ? 0 : weighted / messagesPerSecond,
      p99: Math.max(one.recentMs.p99, other.recentMs.p99),
      max: Math.max(one.recentMs.max, other.recentMs.max),
    },
  };
}

/**
 * How messages were scheduled, which determines what their latency means. `"closed"`: a connection sent when its
 * answer had arrived, so a server that stalls received fewer messages and the stall counts once per connection.
 * `"rate"`: messages were sent at fixed times and latency counts from then, so a stall counts in full.
 */
export type LoadMode = "closed" | "rate";

/** The result of a load. */
export interface LoadReport extends Omit<Counts, "open"> {
  /** The target as it was given. */
  readonly target: string;
  readonly mode: LoadMode;
  /** Number of connections that were requested. */
  readonly connections: number;
  /** The rate that was requested, or null. */
  readonly rate: number | null;
  /** From the first message to the last answer, or to the end of the duration that was requested. */
  readonly elapsedMs: number;
  readonly messagesPerSecond: number;
  /** Failures by code of the system or {@link LoadErrorCode}; responses from status 400 up as `HTTP_404`. */
  readonly errors: Readonly<Record<string, number>>;
  /** Messages that were not echoed as sent: the sum of corrupted, reordered, lost and surplus. */
  readonly mismatches: number;
  /** HTTP responses by status; empty for other targets. */
  readonly statuses: Readonly<Record<string, number>>;
  /** From the sending of a message to the end of its answer; with a rate, from the time when it was due. */
  readonly latencyMs: Percentiles;
  /** The version and the cipher of the first TLS session; null without TLS. Each of `opened` is a full handshake. */
  readonly tls: TlsFacts | null;
  /** Duration of connects, with TLS including the handshake. */
  readonly connectMs: Percentiles;
  /** Time until every connection was open or had failed. */
  readonly openMs: number;
  readonly engine: EngineName;
  /** Number of threads that generated the load. */
  readonly threads: number;
  /** CPU time of this process while messages were sent; with workers, from their start. */
  readonly cpuMs: { readonly user: number; readonly system: number };
  /** Whether the load was stopped before its end. */
  readonly stoppedEarly: boolean;
}

/** The parts of a report besides the statistics. */
export interface RunFacts {
  readonly engine: EngineName;
  readonly threads: number;
  /** In microseconds. */
  readonly cpu: { readonly user: number; readonly system: number };
  readonly stoppedEarly: boolean;
}

export function makeReport(
  config: LoadConfig,
  statistics: Statistics,
  facts: RunFacts,
): LoadReport {
  const { open: _, messages, bytes, ...counts } = statistics.counts;
  const { corrupted, reordered, lost, surplus } = counts;
  const { elapsedMs } = statistics;
  return {
    target: config.targetText,
    mode: config.rate === null ? "closed" : "rate",
    connections: config.connections,
    rate: config.rate,
    messages,
    messagesPerSecond: elapsedMs > 0 ? (1000 * messages) / elapsedMs : 0,
    bytes,
    errors: { ...statistics.errors },
    mismatches: corrupted + reordered + lost + surplus,
    latencyMs: statistics.latency.percentiles(),
    tls: statistics.tls,
    connectMs: statistics.connect.percentiles(),
    openMs: statistics.openMs,
    elapsedMs,
    ...counts,
    statuses: { ...statistics.statuses },
    engine: facts.engine,
    threads: facts.threads,
    cpuMs: { user: facts.cpu.user / 1000, system: facts.cpu.system / 1000 },
    stoppedEarly: facts.stoppedEarly,
  };
}

/** Whether nothing failed: no errors, no mismatches, and every message answered. */
export function isClean(report: LoadReport): boolean {
  const { errors, mismatches, unanswered, failed } = objectOf(report, "a report");
  objectOf(errors, "the errors of a report");
  return Object.keys(errors).length === 0 && mismatches + unanswered + failed === 0;
}

import type { EngineName } from "polloi";
import { optionsOf } from "polloi/internal";
import type { Percentiles } from "./latency.ts";
import type { LoadPlan } from "./options.ts";
import type { Counts, Tally } from "./tally.ts";

/**
 * How messages were sent, and so what their latency means: `"closed"`, each connection when its answer had
 * come, so that a server which stalls is asked less often, and its stall counts once; or `"rate"`, when
 * they were due, and latency counts from then, so that nothing is omitted.
 */
export type LoadMode = "closed" | "rate";

/** What came of a load. */
export interface LoadReport extends Omit<Counts, "open"> {
  /** As it was given. */
  readonly target: string;
  readonly mode: LoadMode;
  /** How many connections were asked for. */
  readonly connections: number;
  /** With a rate, the one that was asked for. */
  readonly rate: number | null;
  /** From the first message to the last answer, or to the end of the time that was asked for. */
  readonly elapsedMs: number;
  readonly messagesPerSecond: number;
  /** How often connections failed, each as often as it did, by code of the system or {@link LoadErrorCode}; responses as `HTTP_404`. */
  readonly errors: Readonly<Record<string, number>>;
  /** Messages that did not come back as they were sent: corrupted, reordered, lost, and surplus ones. */
  readonly mismatches: number;
  /** Responses by status; empty but for HTTP. */
  readonly statuses: Readonly<Record<string, number>>;
  /** From the sending of a message to the end of its answer; with a rate, from when it was due. */
  readonly latencyMs: Percentiles;
  /** From the connect to the connection. */
  readonly connectMs: Percentiles;
  /** Until every connection was open or had failed. */
  readonly openMs: number;
  readonly engine: EngineName;
  /** How many threads it was made by. */
  readonly threads: number;
  /** CPU time of this process while messages were sent; with workers, from when they were started. */
  readonly cpuMs: { readonly user: number; readonly system: number };
  /** Whether it was stopped before its end. */
  readonly stoppedEarly: boolean;
}

/** What is known of a load beside its tally. */
export interface LoadFacts {
  readonly engine: EngineName;
  readonly threads: number;
  readonly cpu: { readonly user: number; readonly system: number };
  readonly stoppedEarly: boolean;
}

export function reportOf(plan: LoadPlan, tally: Tally, facts: LoadFacts): LoadReport {
  const { open: _, messages, bytes, ...counts } = tally.counts;
  const { corrupted, reordered, lost, surplus } = counts;
  const { elapsedMs } = tally;
  return {
    target: plan.written,
    mode: plan.rate === null ? "closed" : "rate",
    connections: plan.connections,
    rate: plan.rate,
    messages,
    messagesPerSecond: elapsedMs > 0 ? (1000 * messages) / elapsedMs : 0,
    bytes,
    errors: { ...tally.errors },
    mismatches: corrupted + reordered + lost + surplus,
    latencyMs: tally.latency.percentiles(),
    connectMs: tally.connect.percentiles(),
    openMs: tally.openMs,
    elapsedMs,
    ...counts,
    statuses: { ...tally.statuses },
    engine: facts.engine,
    threads: facts.threads,
    cpuMs: { user: facts.cpu.user / 1000, system: facts.cpu.system / 1000 },
    stoppedEarly: facts.stoppedEarly,
  };
}

/** Whether everything that was sent came back as it was, from everyone that was asked. */
export function isClean(report: LoadReport): boolean {
  const { errors, mismatches, unanswered, failed } = optionsOf(report, "a report");
  optionsOf(errors, "the errors of a report");
  return Object.keys(errors).length === 0 && mismatches + unanswered + failed === 0;
}

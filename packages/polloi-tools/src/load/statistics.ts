import { type EncodedLatency, LatencyHistogram } from "./latency.ts";

/** Counters of a load, as plain numbers. */
export interface Counts {
  /** Connections that were opened, including reopened ones. */
  opened: number;
  /** Connections that are open now. */
  open: number;
  /** Failures of connections: refused, reset, ended with a message in flight, or given up after a timeout. */
  failed: number;
  /** Connections that were opened to replace a lost one. */
  reopened: number;
  /** Messages or requests that were sent. */
  sent: number;
  /** Messages that were echoed unchanged, or requests that had a complete response. */
  messages: number;
  /** Bytes that were received. */
  bytes: number;
  /** Messages that were echoed with other bytes. */
  corrupted: number;
  /** Messages that were echoed unchanged, after a message that was sent later. */
  reordered: number;
  /** Messages that were never echoed, although a message that was sent later was. */
  lost: number;
  /** Messages or bytes that were received and had not been sent. */
  surplus: number;
  /** Messages in flight when their connection failed, or when the load ended. */
  unanswered: number;
  /** With a rate: messages that were due and had not been sent when the load ended. */
  unsent: number;
}

/** Counters at the start of a load. */
export function zeroCounts(): Counts {
  return {
    opened: 0,
    open: 0,
    failed: 0,
    reopened: 0,
    sent: 0,
    messages: 0,
    bytes: 0,
    corrupted: 0,
    reordered: 0,
    lost: 0,
    surplus: 0,
    unanswered: 0,
    unsent: 0,
  };
}

/** The parameters of a TLS session that client and server have chosen. */
export interface TlsFacts {
  /** The version: `"TLSv1.3"`. */
  readonly protocol: string;
  /** The cipher by its name in OpenSSL. */
  readonly cipher: string;
}

/** {@link Statistics} as data that can be sent to another thread. */
export interface EncodedStatistics {
  readonly counts: Counts;
  readonly errors: Record<string, number>;
  readonly statuses: Record<string, number>;
  readonly latency: EncodedLatency;
  readonly connect: EncodedLatency;
  readonly tls: TlsFacts | null;
  readonly openMs: number;
  readonly elapsedMs: number;
}

/** Statistics of a load: counters, errors by code, and latencies. */
export class Statistics {
  readonly counts: Counts = zeroCounts();
  /** By code: of the system, a {@link LoadErrorCode}, or `HTTP_` and a status. */
  readonly errors: Record<string, number> = {};
  /** Responses by status. */
  readonly statuses: Record<string, number> = {};
  readonly latency: LatencyHistogram = new LatencyHistogram();
  readonly connect: LatencyHistogram = new LatencyHistogram();
  /** Facts of the first session; null without TLS. */
  tls: TlsFacts | null = null;
  /** Time until every connection was open or had failed. */
  openMs = 0;
  /** Time during which messages were sent and answers awaited. */
  elapsedMs = 0;

  error(code: string): void {
    this.errors[code] = (this.errors[code] ?? 0) + 1;
  }

  encode(): EncodedStatistics {
    const { counts, errors, statuses, tls, openMs, elapsedMs } = this;
    const latency = this.latency.encode();
    const connect = this.connect.encode();
    return { counts, errors, statuses, latency, connect, tls, openMs, elapsedMs };
  }

  /** Adds the statistics of another thread for the same time. */
  add(other: EncodedStatistics): void {
    addTo(this.counts, other.counts);
    addTo(this.errors, other.errors);
    addTo(this.statuses, other.statuses);
    this.latency.add(LatencyHistogram.decode(other.latency));
    this.connect.add(LatencyHistogram.decode(other.connect));
    this.tls ??= other.tls;
    this.openMs = Math.max(this.openMs, other.openMs);
    this.elapsedMs = Math.max(this.elapsedMs, other.elapsedMs);
  }
}

/** Adds the numbers of `more` to those of the same name in `sum`. */
export function addTo<Names extends string>(
  sum: Record<Names, number>,
  more: Readonly<Record<Names, number>>,
): void {
  for (const name of Object.keys(more) as Names[]) sum[name] = (sum[name] ?? 0) + more[name];
}

/** Throughput and latency of the last second. */
export interface RecentRate {
  readonly messagesPerSecond: number;
  /** Latencies in milliseconds; 0 when no answer arrived. */
  readonly recentMs: { readonly p50: number; readonly p99: number; readonly max: number };
}

/** Number of intervals in the window of {@link RecentWindow}. */
const INTERVALS = 4;

interface Interval {
  readonly latency: LatencyHistogram;
  startedAt: number;
}

/**
 * A sliding window over the last few intervals of a load.
 *
 * @remarks
 * One interval is not enough. With ten thousand connections answers arrive in bursts, and an interval between two
 * bursts would show a server that does not answer.
 */
export class RecentWindow {
  readonly #intervals: readonly Interval[] = Array.from({ length: INTERVALS }, () => ({
    latency: new LatencyHistogram(),
    startedAt: 0,
  }));
  readonly #sum: LatencyHistogram = new LatencyHistogram();
  #index = 0;

  /** The latencies of the current interval. */
  get current(): LatencyHistogram {
    return (this.#intervals[this.#index] as Interval).latency;
  }

  /** Empties the window, which starts now. */
  reset(now: number): void {
    for (const interval of this.#intervals) {
      interval.latency.reset();
      interval.startedAt = now;
    }
  }

  /** Ends the current interval and starts the next. @returns The figures of the window. */
  advance(now: number): RecentRate {
    const sum = this.#sum;
    sum.reset();
    for (const { latency } of this.#intervals) sum.add(latency);
    const startedAt = Math.min(...this.#intervals.map((interval) => interval.startedAt));
    const seconds = (now - startedAt) / 1000;
    this.#index = (this.#index + 1) % INTERVALS;
    const next = this.#intervals[this.#index] as Interval;
    next.latency.reset();
    next.startedAt = now;
    return {
      messagesPerSecond: seconds > 0 ? sum.count / seconds : 0,
      recentMs: { p50: sum.at(50), p99: sum.at(99), max: sum.at(100) },
    };
  }
}

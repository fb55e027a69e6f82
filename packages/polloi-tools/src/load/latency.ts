import {
  build,
  decodeFromCompressedBase64,
  encodeIntoCompressedBase64,
  type Histogram,
} from "hdr-histogram-js";

const NS_PER_MS = 1e6;
/** Below the resolution of every clock here. */
const MIN_NS = 100;
/** One hour. Longer times are recorded as an hour. */
const MAX_NS = 3.6e12;

/** A distribution of times in milliseconds, each exact to three digits. */
export interface Percentiles {
  readonly count: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly "p99.9": number;
  readonly "p99.99": number;
  readonly max: number;
}

/** A {@link LatencyHistogram} as data that can be sent to another thread. */
export interface EncodedLatency {
  readonly histogram: string;
  /** Kept apart, because the histogram stores it to three digits only. */
  readonly maxNs: number;
}

/** An HDR histogram of latencies, from 100 ns to an hour. */
export class LatencyHistogram {
  /** It is made with the first value: it takes 200 KB, and some of them stay empty. */
  #histogram: Histogram | undefined;
  #maxNs = 0;

  constructor(histogram?: Histogram) {
    this.#histogram = histogram;
  }

  /** Decodes what {@link LatencyHistogram.encode} returned in another thread. */
  static decode({ histogram, maxNs }: EncodedLatency): LatencyHistogram {
    const latency = new LatencyHistogram(decodeFromCompressedBase64(histogram, 64, false));
    latency.#maxNs = maxNs;
    return latency;
  }

  encode(): EncodedLatency {
    return { histogram: encodeIntoCompressedBase64(this.#made()), maxNs: this.#maxNs };
  }

  get count(): number {
    return this.#histogram?.totalCount ?? 0;
  }

  record(ms: number): void {
    const rounded = Math.round(ms * NS_PER_MS);
    const ns = rounded < 0 ? 0 : rounded > MAX_NS ? MAX_NS : rounded;
    if (ns > this.#maxNs) this.#maxNs = ns;
    this.#made().recordValue(ns);
  }

  add(other: LatencyHistogram): void {
    if (other.count === 0) return;
    this.#maxNs = Math.max(this.#maxNs, other.#maxNs);
    this.#made().add(other.#made());
  }

  /**
   * A copy with values added for the intervals that each long latency covers: the correction for coordinated
   * omission that wrk applies to a closed loop. Use it only to compare with such figures.
   */
  corrected(intervalMs: number): LatencyHistogram {
    const intervalNs = Math.round(intervalMs * NS_PER_MS);
    const latency = new LatencyHistogram(
      this.#made().copyCorrectedForCoordinatedOmission(intervalNs),
    );
    latency.#maxNs = this.#maxNs;
    return latency;
  }

  reset(): void {
    this.#maxNs = 0;
    this.#histogram?.reset();
  }

  #made(): Histogram {
    this.#histogram ??= newHistogram();
    return this.#histogram;
  }

  /** @param percentile - From 0 to 100. @returns Milliseconds; 0 when nothing was recorded. */
  at(percentile: number): number {
    if (this.count === 0) return 0;
    if (percentile === 100) return toMs(this.#maxNs);
    return toMs(Math.min(this.#made().getValueAtPercentile(percentile), this.#maxNs));
  }

  percentiles(): Percentiles {
    return {
      count: this.count,
      mean: toMs(this.count === 0 ? 0 : this.#made().mean),
      p50: this.at(50),
      p90: this.at(90),
      p99: this.at(99),
      "p99.9": this.at(99.9),
      "p99.99": this.at(99.99),
      max: this.at(100),
    };
  }
}

function newHistogram(): Histogram {
  return build({
    bitBucketSize: 64,
    autoResize: false,
    lowestDiscernibleValue: MIN_NS,
    highestTrackableValue: MAX_NS,
    numberOfSignificantValueDigits: 3,
    useWebAssembly: false,
  });
}

/** Milliseconds, rounded to the resolution of 100 ns. */
function toMs(ns: number): number {
  return Math.round(ns / MIN_NS) / (NS_PER_MS / MIN_NS);
}

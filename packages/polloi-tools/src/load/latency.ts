import {
  build,
  decodeFromCompressedBase64,
  encodeIntoCompressedBase64,
  type Histogram,
} from "hdr-histogram-js";

const NS_PER_MS = 1e6;
/** Finer than any clock here. */
const LEAST_NS = 100;
/** An hour. What takes longer is counted as that long. */
const MOST_NS = 3.6e12;

/** How long things took, in milliseconds. Each figure is exact to three digits. */
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

/** A {@link Latency} that can be sent to another thread. */
export interface PlainLatency {
  readonly histogram: string;
  /** The histogram itself knows it to three digits only. */
  readonly maxNs: number;
}

/** How long things took: an HDR histogram, from 100 ns to an hour. */
export class Latency {
  readonly #histogram: Histogram;
  #maxNs = 0;

  constructor(histogram: Histogram = newHistogram()) {
    this.#histogram = histogram;
  }

  /** What {@link Latency.plain} gave, from another thread. */
  static from({ histogram, maxNs }: PlainLatency): Latency {
    const latency = new Latency(decodeFromCompressedBase64(histogram, 64, false));
    latency.#maxNs = maxNs;
    return latency;
  }

  get count(): number {
    return this.#histogram.totalCount;
  }

  record(ms: number): void {
    const rounded = Math.round(ms * NS_PER_MS);
    const ns = rounded < 0 ? 0 : rounded > MOST_NS ? MOST_NS : rounded;
    if (ns > this.#maxNs) this.#maxNs = ns;
    this.#histogram.recordValue(ns);
  }

  add(other: Latency): void {
    if (other.count === 0) return;
    this.#maxNs = Math.max(this.#maxNs, other.#maxNs);
    this.#histogram.add(other.#histogram);
  }

  /**
   * As if something had been recorded in each interval of a connection that waited for longer: what others
   * make of the figures of a closed loop. Only to compare with theirs.
   */
  corrected(intervalMs: number): Latency {
    const intervalNs = Math.round(intervalMs * NS_PER_MS);
    const latency = new Latency(this.#histogram.copyCorrectedForCoordinatedOmission(intervalNs));
    latency.#maxNs = this.#maxNs;
    return latency;
  }

  reset(): void {
    this.#maxNs = 0;
    this.#histogram.reset();
  }

  plain(): PlainLatency {
    return { histogram: encodeIntoCompressedBase64(this.#histogram), maxNs: this.#maxNs };
  }

  /** @param percentile - From 0 to 100. @returns Milliseconds; 0 when nothing was recorded. */
  at(percentile: number): number {
    if (this.count === 0) return 0;
    if (percentile === 100) return rounded(this.#maxNs);
    return rounded(Math.min(this.#histogram.getValueAtPercentile(percentile), this.#maxNs));
  }

  percentiles(): Percentiles {
    return {
      count: this.count,
      mean: rounded(this.count === 0 ? 0 : this.#histogram.mean),
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
    lowestDiscernibleValue: LEAST_NS,
    highestTrackableValue: MOST_NS,
    numberOfSignificantValueDigits: 3,
    useWebAssembly: false,
  });
}

/** In milliseconds, to the hundred nanoseconds that there are. */
function rounded(ns: number): number {
  return Math.round(ns / LEAST_NS) / (NS_PER_MS / LEAST_NS);
}

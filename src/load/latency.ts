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

/** How long things took: an HDR histogram, from 100 ns to an hour. */
export class Latency {
  readonly #histogram: Histogram;

  constructor(histogram: Histogram = newHistogram()) {
    this.#histogram = histogram;
  }

  /** What {@link Latency.encode} gave, from another thread. */
  static decode(text: string): Latency {
    return new Latency(decodeFromCompressedBase64(text, 64, false));
  }

  get count(): number {
    return this.#histogram.totalCount;
  }

  record(ms: number): void {
    const ns = Math.round(ms * NS_PER_MS);
    this.#histogram.recordValue(ns < 0 ? 0 : ns > MOST_NS ? MOST_NS : ns);
  }

  add(other: Latency): void {
    if (other.count > 0) this.#histogram.add(other.#histogram);
  }

  reset(): void {
    this.#histogram.reset();
  }

  encode(): string {
    return encodeIntoCompressedBase64(this.#histogram);
  }

  /** @param percentile - From 0 to 100. @returns Milliseconds; 0 when nothing was recorded. */
  at(percentile: number): number {
    if (this.count === 0) return 0;
    const ns = this.#histogram.getValueAtPercentile(percentile);
    return rounded(Math.min(ns, this.#histogram.maxValue));
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

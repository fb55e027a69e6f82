import { Latency, type PlainLatency } from "./latency.ts";

/** What has happened so far, as plain numbers. */
export interface Counts {
  /** Connections that were opened, the reopened ones among them. */
  opened: number;
  /** Connections that are open now. */
  open: number;
  /** How often a connection failed: it could not be opened, was reset, ended with a message out, or given up. */
  failed: number;
  /** Connections that were opened in the place of one that was lost. */
  reopened: number;
  /** Messages or requests that were sent. */
  sent: number;
  /** Those that were answered: the echo was right, or the response was complete. */
  messages: number;
  /** Bytes that came back. */
  bytes: number;
  /** Messages that came back with other bytes. */
  corrupted: number;
  /** Messages that came back right, after one that was sent later. */
  reordered: number;
  /** Messages that never came back, although one that was sent later did. */
  lost: number;
  /** Messages or bytes that came and nobody had sent. */
  surplus: number;
  /** Messages that were out when their connection failed, or when the load ended. */
  unanswered: number;
  /** Messages that were due and not sent when the load ended. With a rate only. */
  unsent: number;
}

const NOTHING: Counts = {
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

/** A tally that can be sent to another thread. */
export interface PlainTally {
  readonly counts: Counts;
  readonly errors: Record<string, number>;
  readonly statuses: Record<string, number>;
  readonly latency: PlainLatency;
  readonly connect: PlainLatency;
  readonly openMs: number;
  readonly elapsedMs: number;
}

/** What a load has seen: counts, errors by code, and how long everything took. */
export class Tally {
  readonly counts: Counts = { ...NOTHING };
  /** By code: of the system, or one of {@link LoadErrorCode}, or `HTTP_` and a status. */
  readonly errors: Record<string, number> = {};
  /** Responses by status. */
  readonly statuses: Record<string, number> = {};
  readonly latency: Latency = new Latency();
  readonly connect: Latency = new Latency();
  /** How long it took until every connection was open or had failed. */
  openMs = 0;
  /** How long messages were sent, and answers awaited. */
  elapsedMs = 0;

  error(code: string, times = 1): void {
    this.errors[code] = (this.errors[code] ?? 0) + times;
  }

  /** @returns What {@link Tally.add} of another thread takes. */
  plain(): PlainTally {
    const { counts, errors, statuses, openMs, elapsedMs } = this;
    const latency = this.latency.plain();
    return { counts, errors, statuses, latency, connect: this.connect.plain(), openMs, elapsedMs };
  }

  /** Adds what another thread has seen at the same time. */
  add(other: PlainTally): void {
    for (const name of Object.keys(NOTHING) as (keyof Counts)[]) {
      this.counts[name] += other.counts[name];
    }
    addTo(this.errors, other.errors);
    addTo(this.statuses, other.statuses);
    this.latency.add(Latency.from(other.latency));
    this.connect.add(Latency.from(other.connect));
    this.openMs = Math.max(this.openMs, other.openMs);
    this.elapsedMs = Math.max(this.elapsedMs, other.elapsedMs);
  }
}

/** Adds to each name of `sum` what `more` has of it. */
export function addTo(sum: Record<string, number>, more: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(more)) sum[name] = (sum[name] ?? 0) + count;
}

/** Counts to begin with. */
export function noCounts(): Counts {
  return { ...NOTHING };
}

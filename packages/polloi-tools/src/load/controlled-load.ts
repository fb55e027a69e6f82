import { Reactor } from "polloi";
import type { Kernel } from "polloi/internal";
import { ConnectionSet } from "./connection-set.ts";
import { driveLoad } from "./drive.ts";
import type { Percentiles } from "./latency.ts";
import { requireDescriptors } from "./load.ts";
import { configFrom, type LoadOptions, shardOf } from "./options.ts";
import { resolveTarget } from "./target.ts";

/** Longer than any controlled load lasts: the caller ends it. */
const MAX_DURATION_MS = 3_600_000;

/** Options of a {@link ControlledLoad}. */
export type ControlledLoadOptions = Pick<
  LoadOptions,
  "target" | "connections" | "sizeBytes" | "engine" | "trigger"
>;

/** The state of the connections of a {@link ControlledLoad}. */
export interface ConnectionCounts {
  readonly opened: number;
  /** Connections that have had an answer. */
  readonly answered: number;
  readonly failed: number;
}

/** The result of a measurement. */
export interface Measurement extends ConnectionCounts {
  readonly messages: number;
  readonly elapsedMs: number;
  readonly latencyMs: Percentiles;
  /** Messages that were not echoed as sent. */
  readonly mismatches: number;
  readonly errors: Readonly<Record<string, number>>;
}

/**
 * A load whose phases the caller controls: open all connections and send one message on each; wait; send in a closed
 * loop; measure for a time.
 *
 * @remarks
 * This separates the costs of opening, holding and using a connection. It sends messages with the same code as
 * `load()`, with one message in flight on each connection.
 */
export class ControlledLoad implements Disposable {
  readonly #reactor: Reactor;
  readonly #connections: ConnectionSet;
  readonly #stopDriving: () => void;
  #error: unknown;

  private constructor(reactor: Reactor, connections: ConnectionSet, kernel: Kernel) {
    this.#reactor = reactor;
    this.#connections = connections;
    const failed = (error: unknown): void => {
      this.#error = error;
    };
    this.#stopDriving = driveLoad(reactor, { kernel, failed });
    connections.start();
  }

  /**
   * Starts to open connections. When all are open, each sends one message.
   *
   * @throws as `load()` does.
   */
  static async start(options: ControlledLoadOptions, kernel: Kernel): Promise<ControlledLoad> {
    // Without a timeout, because waiting for a slow server is part of the measurement.
    const config = configFrom({
      ...options,
      durationMs: MAX_DURATION_MS,
      timeoutMs: MAX_DURATION_MS,
    });
    requireDescriptors(kernel, config.connections, 0);
    const address = await resolveTarget(config.target, config.timeoutMs);
    const reactor = new Reactor({ engine: config.engine, trigger: config.trigger, kernel });
    const connections = new ConnectionSet({
      reactor,
      config,
      shard: shardOf(config, 0, 1),
      address,
      pausesAfterFirst: true,
      ended: () => {},
    });
    return new ControlledLoad(reactor, connections, kernel);
  }

  /** @throws what its reactor has failed with. */
  get counts(): ConnectionCounts {
    this.#check();
    const { opened, failed } = this.#connections.statistics.counts;
    return { opened, failed, answered: this.#connections.answeredConnections };
  }

  /** Whether each connection has had its first answer or has failed. @throws what its reactor has failed with. */
  get isAnswered(): boolean {
    this.#check();
    const { messages, failed } = this.#connections.statistics.counts;
    return messages + failed >= this.#connections.shard.connections;
  }

  /** Sends in a closed loop. */
  resume(): void {
    this.#connections.resume();
  }

  /** Resets the statistics: a measurement starts. */
  resetStatistics(): void {
    this.#connections.resetStatistics();
  }

  /** Resets the latencies only. Call this after work on this thread that has delayed answers. */
  resetLatencies(): void {
    this.#connections.resetLatencies();
  }

  /** Messages that were answered since the statistics were reset. */
  get messages(): number {
    return this.#connections.statistics.counts.messages;
  }

  /** Pauses sending and keeps the connections. @returns The measurement since the statistics were reset. */
  pause(): Measurement {
    const { counts, errors, latency, elapsedMs } = this.#connections.pause();
    const { messages, corrupted, reordered, lost, surplus } = counts;
    return {
      ...this.counts,
      messages,
      elapsedMs,
      latencyMs: latency.percentiles(),
      mismatches: corrupted + reordered + lost + surplus,
      errors: { ...errors },
    };
  }

  /** Closes every connection. */
  [Symbol.dispose](): void {
    this.#connections.abort();
    this.#stopDriving();
    this.#reactor.close();
  }

  #check(): void {
    if (this.#error !== undefined) throw this.#error;
  }
}

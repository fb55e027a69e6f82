import { Reactor } from "polloi";
import type { Kernel } from "polloi/internal";
import { Crowd } from "./crowd.ts";
import type { Percentiles } from "./latency.ts";
import { type LoadOptions, planOf } from "./options.ts";
import { placeOf } from "./place.ts";
import { makeRoom } from "./room.ts";
import { shareOf } from "./share.ts";
import { turnBesideRuntime } from "./turning.ts";

/** No load is steered for longer: its end is asked for. */
const LONGEST_MS = 3_600_000;

/** What is asked, and by how many. */
export type SteeredOptions = Pick<
  LoadOptions,
  "target" | "connections" | "sizeBytes" | "engine" | "trigger"
>;

/** How a load stands. */
export interface Standing {
  readonly opened: number;
  /** Connections that have had an answer. */
  readonly answered: number;
  readonly failed: number;
}

/** What came of the time that was measured. */
export interface Measured extends Standing {
  readonly messages: number;
  readonly elapsedMs: number;
  readonly latencyMs: Percentiles;
  /** Messages that did not come back as they were sent. */
  readonly mismatches: number;
  readonly errors: Readonly<Record<string, number>>;
}

/**
 * A load whose steps are another's to say: open and ask each connection once; then silence; then as fast as
 * answers come; measure from here to there.
 *
 * @remarks
 * So what a connection costs to open, to hold and to use can be told apart. Messages are sent by the same
 * code as `load()` sends them, in a closed loop with one message out on each connection.
 */
export class SteeredLoad implements Disposable {
  readonly #reactor: Reactor;
  readonly #crowd: Crowd;
  readonly #endTurning: () => void;
  #failure: unknown;

  private constructor(reactor: Reactor, crowd: Crowd, kernel: Kernel) {
    this.#reactor = reactor;
    this.#crowd = crowd;
    const failed = (error: unknown): void => {
      this.#failure = error;
    };
    this.#endTurning = turnBesideRuntime(reactor, { kernel, failed });
    crowd.start();
  }

  /**
   * Begins to open connections, and has each send one message when all are open.
   *
   * @throws as `load()` does.
   */
  static async begin(options: SteeredOptions, kernel: Kernel): Promise<SteeredLoad> {
    // Whoever is not answered waits on: that is what is to be seen.
    const plan = planOf({ ...options, durationMs: LONGEST_MS, timeoutMs: LONGEST_MS });
    makeRoom(kernel, plan.connections, 0);
    const place = await placeOf(plan);
    const reactor = new Reactor({ engine: plan.engine, trigger: plan.trigger, kernel });
    const share = shareOf(plan, 0, 1);
    const crowd = new Crowd({ reactor, plan, share, place, greets: true, over: () => {} });
    return new SteeredLoad(reactor, crowd, kernel);
  }

  /** @throws what its reactor has failed with. */
  get standing(): Standing {
    if (this.#failure !== undefined) throw this.#failure;
    const { opened, failed } = this.#crowd.tally.counts;
    return { opened, failed, answered: this.#crowd.answeredConnections };
  }

  /** Whether each connection has been answered or has failed. @throws what its reactor has failed with. */
  get greeted(): boolean {
    if (this.#failure !== undefined) throw this.#failure;
    const { messages, failed } = this.#crowd.tally.counts;
    return messages + failed >= this.#crowd.share.connections;
  }

  /** Has everyone send whenever an answer has come. */
  goOn(): void {
    this.#crowd.goOn();
  }

  /** Forgets what came so far: it is measured from here. */
  measureAnew(): void {
    this.#crowd.measureAnew();
  }

  /** Forgets how long answers took so far: whoever measures may have kept this thread from them. */
  forgetTimes(): void {
    this.#crowd.forgetTimes();
  }

  /** How many messages came back since it was measured anew. */
  get messages(): number {
    return this.#crowd.tally.counts.messages;
  }

  /** Sends nothing more for now, and keeps its connections. @returns What was measured. */
  pause(): Measured {
    const { counts, errors, latency, elapsedMs } = this.#crowd.pause();
    const { messages, corrupted, reordered, lost, surplus } = counts;
    return {
      ...this.standing,
      messages,
      elapsedMs,
      latencyMs: latency.percentiles(),
      mismatches: corrupted + reordered + lost + surplus,
      errors: { ...errors },
    };
  }

  /** Closes every connection. */
  [Symbol.dispose](): void {
    this.#crowd.abort();
    this.#endTurning();
    this.#reactor.close();
  }
}

import type { PeerPlan } from "../scenario.ts";
import { type Program, planText, type Stage, summaryOf } from "./program.ts";

/** A client of a {@link ServerProgram}. */
export interface ServedPeer {
  readonly plan: PeerPlan;
  readonly isOver: boolean;
  /** A description for a person. */
  describe(): string;
}

/** A program that peers connect to. */
export abstract class ServerProgram<P extends ServedPeer> implements Program {
  protected readonly stage: Stage;
  /** All peers, each at the index that is its number. */
  protected readonly peers: P[] = [];
  /** The peers that are not done, and those that have not connected yet. */
  #active = 0;
  #hasStarted = false;

  constructor(stage: Stage) {
    this.stage = stage;
  }

  start(): void {
    this.open();
    this.#hasStarted = true;
    for (const each of this.stage.scenario.peers) {
      const plan = this.planOf(each);
      this.expect(plan, plan.startMs);
    }
  }

  calm(): void {
    if (!this.isOpen) return;
    // Earlier faults must not keep a peer from being served now.
    for (const plan of this.probes) {
      this.#active++;
      this.#connect(plan);
    }
  }

  get isDone(): boolean {
    return this.#hasStarted && this.#active === 0;
  }

  abstract stop(): void;

  checkTurn(): void {}

  abstract check(): void;

  describe(): string {
    return this.peers
      .filter(({ isOver }) => !isOver)
      .map((peer) => this.describePeer(peer))
      .join("; ");
  }

  summary(): string {
    return summaryOf(this.peers.map((peer) => `${planText(peer.plan)}: ${this.seenBy(peer)}`));
  }

  /** Begins to serve. */
  protected abstract open(): void;

  /** Peers that behave well, which connect when there are no more faults. */
  protected abstract readonly probes: readonly PeerPlan[];

  /** Whether peers connect again as often as their plans say. */
  protected readonly reconnects: boolean = true;

  /** Whether a peer that connects now may be served. */
  protected get isOpen(): boolean {
    return !this.stage.isShut;
  }

  /** Makes a peer. @param over - It calls this when it is done. */
  protected abstract peerOf(number: number, plan: PeerPlan, over: () => void): P;

  /** Connects a peer. */
  protected abstract begin(peer: P): void;

  protected describePeer(peer: P): string {
    return peer.describe();
  }

  /** The events and bytes that a peer has seen, which must be the same on all engines. */
  protected abstract seenBy(peer: P): string;

  /** The plan of a peer of the scenario. */
  protected planOf(plan: PeerPlan): PeerPlan {
    return plan;
  }

  /** Has a peer connect after some time. */
  protected expect(plan: PeerPlan, startMs: number): void {
    this.#active++;
    this.stage.world.schedule(startMs, () => this.#connect(plan));
  }

  #connect(plan: PeerPlan): void {
    const peer = this.peerOf(this.peers.length, plan, () => this.#over(plan));
    this.peers.push(peer);
    this.begin(peer);
  }

  #over(plan: PeerPlan): void {
    if (plan.again > 0 && this.reconnects && this.isOpen) {
      const next = { ...plan, again: plan.again - 1 };
      this.stage.world.schedule(0, () => this.#connect(next));
      return;
    }
    this.#active--;
    if (this.#active === 0) this.stage.wake();
  }
}

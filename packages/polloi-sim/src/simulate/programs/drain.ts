import type { EchoPeer } from "../peers/echo-peer.ts";
import { doesEcho } from "../peers/echo-peer.ts";
import { isSafe } from "../scenario.ts";
import { EchoServer } from "./echo.ts";

/** Every connection is closed at the latest this long after the grace period: one turn. */
const LATE_MS = 1;

/** An echo server whose listener stops while its peers connect and send. */
export class StoppingServer extends EchoServer {
  protected override readonly restarts: boolean = false;
  #stoppedAt = Number.POSITIVE_INFINITY;
  /** The number of actions of the world before that. */
  #stoppedAfter = Number.POSITIVE_INFINITY;
  #isReported = false;

  protected override get isCuttingOff(): boolean {
    return this.stage.world.now() >= this.#stoppedAt + this.stage.scenario.graceMs;
  }

  override start(): void {
    super.start();
    const { world, scenario } = this.stage;
    world.schedule(scenario.stopMs, () => this.stage.defer(() => this.#stop()));
  }

  override checkTurn(): void {
    const { world, scenario, report } = this.stage;
    const latest = this.#stoppedAt + scenario.graceMs + scenario.slowMs * 50 + LATE_MS;
    if (this.#isReported || world.now() <= latest || (this.listener?.connections ?? 0) === 0)
      return;
    this.#isReported = true;
    report.fail("grace", `${this.listener?.connections} connections outlive the grace period`);
  }

  override stop(): void {
    // It has stopped, or has no peers any more before its time came.
    if (!this.isStopping) this.#stop();
  }

  /** A request that had arrived before the stop is answered. */
  protected override mustServe(peer: EchoPeer): boolean {
    const { scenario, isShut } = this.stage;
    if (isShut || !isSafe(scenario) || !peer.isHonest || scenario.graceMs < 1000) return false;
    if (scenario.faults.delay !== undefined || scenario.slowOneIn > 0) return false;
    const { plan } = peer;
    const reads = plan.reading.startMs === 0 && plan.reading.everyMs === 0 && plan.latencyMs === 0;
    const isEarly = peer.endedAt >= 0 && peer.endedAfter < this.#stoppedAfter;
    return reads && isEarly && doesEcho(plan.mode) && plan.delayMs === 0;
  }

  #stop(): void {
    if (this.isStopping || this.stage.isShut) return;
    const { world, scenario, report } = this.stage;
    this.isStopping = true;
    this.#stoppedAt = world.now();
    this.#stoppedAfter = world.ran;
    this.listener?.stop(scenario.graceMs).catch((error: unknown) => {
      report.fail("stop", `stop has rejected: ${String(error)}`);
    });
  }
}

import { Reactor } from "polloi";
import type { Kernel } from "polloi/internal";
import { Crowd } from "./crowd.ts";
import type { LoadPlan } from "./options.ts";
import { placeOf } from "./place.ts";
import { type LoadReport, reportOf } from "./report.ts";
import type { Asked, LoadRun } from "./run.ts";
import { shareOf } from "./share.ts";
import { type LoadSnapshot, NOT_BEGUN } from "./snapshot.ts";
import { Tally } from "./tally.ts";
import { turnBesideRuntime } from "./turning.ts";

/** A load that is made by the thread that asked for it. */
export class OwnThreadRun implements LoadRun {
  readonly finished: Promise<LoadReport>;
  readonly #plan: LoadPlan;
  readonly #kernel: Kernel;
  readonly #reactor: Reactor;
  #crowd: Crowd | undefined;
  #asked: Asked = "nothing";
  #endTurning: () => void = () => {};

  /** @throws SysError when the engine does not work here. */
  constructor(plan: LoadPlan, kernel: Kernel) {
    this.#plan = plan;
    this.#kernel = kernel;
    this.#reactor = new Reactor({ engine: plan.engine, trigger: plan.trigger, kernel });
    this.finished = this.#run().finally(() => {
      // Over already, unless something of its own went wrong.
      this.#crowd?.abort();
      this.#endTurning();
      this.#reactor.close();
    });
  }

  /** What has been counted; of nothing, before it has begun. */
  get tally(): Tally {
    return this.#crowd?.tally ?? new Tally();
  }

  snapshot(): LoadSnapshot {
    return this.#crowd?.snapshot() ?? NOT_BEGUN;
  }

  stop(): void {
    if (this.#asked === "nothing") this.#asked = "stop";
    this.#crowd?.stop();
  }

  abort(): void {
    this.#asked = "abort";
    this.#crowd?.abort();
  }

  async #run(): Promise<LoadReport> {
    const plan = this.#plan;
    const reactor = this.#reactor;
    const place = await placeOf(plan);
    let cpu = process.cpuUsage();
    const crowd = await new Promise<Crowd>((resolve, reject) => {
      this.#endTurning = turnBesideRuntime(reactor, { kernel: this.#kernel, failed: reject });
      const share = shareOf(plan, 0, 1);
      const crowd = new Crowd({
        reactor,
        plan,
        share,
        place,
        began: () => {
          cpu = process.cpuUsage();
        },
        ended: () => {
          cpu = process.cpuUsage(cpu);
        },
        over: () => resolve(crowd),
      });
      this.#crowd = crowd;
      crowd.start();
      if (this.#asked === "stop") crowd.stop();
      else if (this.#asked === "abort") crowd.abort();
    });
    return reportOf(plan, crowd.tally, {
      engine: reactor.engine,
      threads: 1,
      cpu,
      stoppedEarly: this.#asked !== "nothing",
    });
  }
}

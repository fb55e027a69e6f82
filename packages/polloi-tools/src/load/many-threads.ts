import { startWorkers, type WorkerPool } from "polloi/workers";
import { ASKED, type LoadInput, type LoadMessage } from "./load-worker.ts";
import type { LoadPlan } from "./options.ts";
import { placeOf } from "./place.ts";
import { type LoadReport, reportOf } from "./report.ts";
import type { Asked, LoadRun } from "./run.ts";
import { joined, type LoadSnapshot } from "./snapshot.ts";
import { Tally } from "./tally.ts";

/** A load that is made by workers, each with a share of the connections. */
export class ManyThreadsRun implements LoadRun {
  readonly finished: Promise<LoadReport>;
  readonly #plan: LoadPlan;
  readonly #threads: number;
  readonly #told: Int32Array = new Int32Array(new SharedArrayBuffer(4));
  readonly #snapshots: LoadSnapshot[] = [];
  readonly #tally: Tally = new Tally();
  #asked: Asked = "nothing";

  constructor(plan: LoadPlan, threads: number) {
    this.#plan = plan;
    this.#threads = threads;
    this.finished = this.#run();
  }

  snapshot(): LoadSnapshot {
    return joined(this.#snapshots.filter((snapshot) => snapshot !== undefined));
  }

  stop(): void {
    if (this.#asked === "nothing") this.#ask("stop");
  }

  abort(): void {
    this.#ask("abort");
  }

  #ask(what: Asked): void {
    this.#asked = what;
    Atomics.store(this.#told, 0, ASKED[what]);
  }

  async #run(): Promise<LoadReport> {
    const plan = this.#plan;
    const place = await placeOf(plan);
    const cpu = process.cpuUsage();
    const data: LoadInput = { plan, place, asked: this.#told.buffer as SharedArrayBuffer };
    let pool: WorkerPool | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        let left = this.#threads;
        const hear = (message: LoadMessage, index: number): void => {
          if ("snapshot" in message) {
            this.#snapshots[index] = message.snapshot;
            return;
          }
          this.#tally.add(message.tally);
          left--;
          if (left === 0) resolve();
        };
        startWorkers({
          module: new URL("./load-worker.js", import.meta.url),
          workers: this.#threads,
          engine: plan.engine,
          trigger: plan.trigger,
          data,
          // One that took its place would begin anew.
          crashed: ({ error }) => reject(error),
          message: (message, index) => hear(message as LoadMessage, index),
        }).then((started) => {
          pool = started;
          started.finished.catch(reject);
        }, reject);
      });
      const { engine } = pool as unknown as WorkerPool;
      return reportOf(plan, this.#tally, {
        engine,
        threads: this.#threads,
        cpu: process.cpuUsage(cpu),
        stoppedEarly: this.#asked !== "nothing",
      });
    } finally {
      await pool?.stop(0);
    }
  }
}

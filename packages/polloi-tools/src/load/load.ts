import { ERRNO, Reactor, SysError } from "polloi";
import {
  type Kernel,
  kernelOf,
  openDescriptors,
  optionsOf,
  raiseDescriptorLimit,
} from "polloi/internal";
import { startWorkers, type WorkerPool } from "polloi/workers";
import { ConnectionSet } from "./connection-set.ts";
import { driveLoad } from "./drive.ts";
import { type LoadInput, type LoadMessage, REQUESTS, type StopRequest } from "./load-worker.ts";
import { configFrom, LOAD_OPTIONS, type LoadConfig, type LoadOptions, shardOf } from "./options.ts";
import {
  INITIAL_SNAPSHOT,
  type LoadReport,
  type LoadSnapshot,
  makeReport,
  mergeSnapshots,
} from "./report.ts";
import { Statistics } from "./statistics.ts";
import { resolveTarget } from "./target.ts";

/** A load in progress. */
export interface LoadRun {
  /**
   * Resolves with the report when the load has ended. Failures of the target (no listener, resets, timeouts) are in the
   * report. Rejects when the load could not start: a name that does not resolve (`ENOTFOUND`, `EAI_AGAIN`), or a
   * worker that exited.
   */
  readonly finished: Promise<LoadReport>;
  /** The present state. */
  snapshot(): LoadSnapshot;
  /** Ends early: nothing more is sent, and messages in flight are awaited. Safe to call twice. */
  stop(): void;
  /** Ends at once: messages in flight are counted as unanswered. Safe to call twice. */
  abort(): void;
}

/**
 * Loads a server over many connections: with as many messages as it can answer, or at a fixed rate.
 *
 * @remarks
 * An echo server (`tcp://`, `unix:`) receives messages that carry a header, and every byte of the answer is compared.
 * An HTTP server receives requests on persistent connections. Without a rate, each connection has `pipeline` messages
 * in flight and sends the next when an answer arrives. With a rate, messages are sent at fixed times, and latency
 * counts from then.
 *
 * Without workers the load runs on the calling thread, in alternation with the runtime's own loop, in time slices of a
 * few milliseconds.
 *
 * @returns The run. `await run.finished` returns the report.
 * @throws TypeError, RangeError `ERR_INVALID_OPTION`, `ERR_INVALID_ADDRESS`, `ERR_INVALID_TIMEOUT`,
 * `ERR_INVALID_DATA`; SysError `EMFILE` when the hard limit on descriptors is below the number of connections, with a
 * hint that names the limit; errors of the engine.
 * @example
 * ```ts
 * const run = load({ target: "tcp://127.0.0.1:7788", connections: 1000, durationMs: 2000 });
 * const { messagesPerSecond, latencyMs, mismatches } = await run.finished;
 * console.log(`${messagesPerSecond} a second, p99 ${latencyMs.p99} ms, ${mismatches} mismatches`);
 * ```
 */
export function load(options: LoadOptions, how: { readonly kernel?: Kernel } = {}): LoadRun {
  const kernel = kernelOf(how, "load()");
  const config = configFrom(optionsOf(options, "load()", LOAD_OPTIONS));
  requireDescriptors(kernel, config.connections, config.workers ?? 0);
  if (config.workers === null) return new SingleThreadRun(config, kernel);
  return new WorkersRun(config, config.workers);
}

/** Descriptors for what a runtime, an engine or the output may open, and for each worker. */
const SPARE_DESCRIPTORS = 64;
const DESCRIPTORS_PER_WORKER = 32;

/**
 * Raises the soft limit on descriptors to what a load needs.
 *
 * @throws SysError `EMFILE` when the hard limit is too low.
 */
export function requireDescriptors(kernel: Kernel, connections: number, workers: number): void {
  const spare = SPARE_DESCRIPTORS + DESCRIPTORS_PER_WORKER * workers;
  const needed = openDescriptors() + connections + spare;
  const limit = raiseDescriptorLimit(kernel, needed);
  if (limit >= needed) return;
  const hint =
    `${connections} connections need ${needed} descriptors, and the hard limit is ${limit}: ` +
    `raise it (ulimit -Hn ${needed}), or use ${Math.max(0, limit - needed + connections)} connections`;
  throw new SysError("setrlimit", ERRNO.EMFILE, { hint });
}

/** A load on the calling thread. */
export class SingleThreadRun implements LoadRun {
  readonly finished: Promise<LoadReport>;
  readonly #config: LoadConfig;
  readonly #kernel: Kernel;
  readonly #reactor: Reactor;
  #connections: ConnectionSet | undefined;
  #request: StopRequest = "none";
  #stopDriving: () => void = () => {};

  /** @throws SysError when the engine does not work on this machine. */
  constructor(config: LoadConfig, kernel: Kernel) {
    this.#config = config;
    this.#kernel = kernel;
    this.#reactor = new Reactor({ engine: config.engine, trigger: config.trigger, kernel });
    this.finished = this.#run().finally(() => {
      // The connections are closed already, unless this run itself has failed.
      this.#connections?.abort();
      this.#stopDriving();
      this.#reactor.close();
    });
  }

  /** The statistics so far; empty before the start. */
  get statistics(): Statistics {
    return this.#connections?.statistics ?? new Statistics();
  }

  snapshot(): LoadSnapshot {
    return this.#connections?.snapshot() ?? INITIAL_SNAPSHOT;
  }

  stop(): void {
    if (this.#request === "none") this.#request = "stop";
    this.#connections?.stop();
  }

  abort(): void {
    this.#request = "abort";
    this.#connections?.abort();
  }

  async #run(): Promise<LoadReport> {
    const config = this.#config;
    const reactor = this.#reactor;
    const address = await resolveTarget(config.target, config.timeoutMs);
    let cpu = process.cpuUsage();
    await new Promise<void>((resolve, reject) => {
      this.#stopDriving = driveLoad(reactor, { kernel: this.#kernel, failed: reject });
      const connections = new ConnectionSet({
        reactor,
        config,
        shard: shardOf(config, 0, 1),
        address,
        sendingStarted: () => {
          cpu = process.cpuUsage();
        },
        ending: () => {
          cpu = process.cpuUsage(cpu);
        },
        ended: resolve,
      });
      this.#connections = connections;
      connections.start();
      if (this.#request === "stop") connections.stop();
      else if (this.#request === "abort") connections.abort();
    });
    return makeReport(config, this.statistics, {
      engine: reactor.engine,
      threads: 1,
      cpu,
      stoppedEarly: this.#request !== "none",
    });
  }
}

/** A load on workers, each with a shard of the connections. */
export class WorkersRun implements LoadRun {
  readonly finished: Promise<LoadReport>;
  readonly #config: LoadConfig;
  readonly #threads: number;
  readonly #requestMemory: Int32Array = new Int32Array(new SharedArrayBuffer(4));
  readonly #snapshots: LoadSnapshot[] = [];
  readonly #statistics: Statistics = new Statistics();
  #request: StopRequest = "none";

  constructor(config: LoadConfig, threads: number) {
    this.#config = config;
    this.#threads = threads;
    this.finished = this.#run();
  }

  snapshot(): LoadSnapshot {
    return mergeSnapshots(this.#snapshots.filter((snapshot) => snapshot !== undefined));
  }

  stop(): void {
    if (this.#request === "none") this.#send("stop");
  }

  abort(): void {
    this.#send("abort");
  }

  #send(request: StopRequest): void {
    this.#request = request;
    Atomics.store(this.#requestMemory, 0, REQUESTS[request]);
  }

  async #run(): Promise<LoadReport> {
    const config = this.#config;
    const address = await resolveTarget(config.target, config.timeoutMs);
    const cpu = process.cpuUsage();
    const request = this.#requestMemory.buffer as SharedArrayBuffer;
    const data: LoadInput = { config, address, request };
    let pool: WorkerPool | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        let running = this.#threads;
        const received = (message: LoadMessage, index: number): void => {
          if ("snapshot" in message) {
            this.#snapshots[index] = message.snapshot;
            return;
          }
          this.#statistics.add(message.statistics);
          running--;
          if (running === 0) resolve();
        };
        startWorkers({
          module: new URL("./load-worker.js", import.meta.url),
          workers: this.#threads,
          engine: config.engine,
          trigger: config.trigger,
          data,
          // A replacement would start its shard again.
          exited: ({ error }) => reject(error),
          message: (message, index) => received(message as LoadMessage, index),
        }).then((started) => {
          pool = started;
          started.finished.catch(reject);
        }, reject);
      });
      const { engine } = pool as unknown as WorkerPool;
      return makeReport(config, this.#statistics, {
        engine,
        threads: this.#threads,
        cpu: process.cpuUsage(cpu),
        stoppedEarly: this.#request !== "none",
      });
    } finally {
      await pool?.stop(0);
    }
  }
}

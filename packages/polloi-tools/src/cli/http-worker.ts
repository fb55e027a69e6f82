/** The module of `polloi serve http` with --workers or --model: serves a site in a thread or a process. */
import type { ModelLoop } from "polloi/models";
import type { PoolWorker, Stoppable } from "polloi/workers";
import { countHangups, type LogOptions, type ServeSiteOptions, serveSite } from "./http-site.ts";

/** The data of each worker. */
export interface HttpWorkerInput extends ServeSiteOptions {
  /** Shared memory in which each worker counts its requests, {@link STRIDE} numbers apart. */
  readonly requests: SharedArrayBuffer;
}

/** Numbers per worker. Each worker has a cache line of its own. */
export const STRIDE = 8;

/** Starts a worker of `startWorkers`. */
export function start(worker: PoolWorker<HttpWorkerInput>): Stoppable {
  const counts = new Float64Array(worker.data.requests);
  const at = worker.index * STRIDE;
  return serveSite(
    worker,
    worker.data,
    (message) => worker.post(message),
    () => {
      counts[at] = (counts[at] as number) + 1;
    },
  );
}

/** The data of each process of a serving model, as JSON. */
export interface HttpProcessInput extends Omit<ServeSiteOptions, "log"> {
  readonly log: Omit<LogOptions, "reopens"> | undefined;
}

/** A message of a process: the number of requests since its last message of this kind. */
export interface HttpProgress {
  readonly event: "requests";
  readonly count: number;
}

/** How often a process posts its number of requests. */
const PROGRESS_MS = 50;

/** Starts a process of `serveModel`. The parent forwards SIGHUP. */
export function startOn(loop: ModelLoop<HttpProcessInput>): Stoppable {
  const { log, ...options } = loop.data;
  let count = 0;
  const postCount = (): void => {
    if (count > 0) loop.post({ event: "requests", count } satisfies HttpProgress);
    count = 0;
  };
  const site = serveSite(
    loop,
    { ...options, log: log && { ...log, reopens: countHangups() } },
    (message) => loop.post(message),
    () => {
      if (count++ === 0) loop.reactor.setTimer(PROGRESS_MS, postCount);
    },
  );
  return {
    async stop(graceMs) {
      await site.stop(graceMs);
      postCount();
    },
  };
}

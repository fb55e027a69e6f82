/** The module that each worker of a load runs. */
import type { PoolWorker } from "polloi/workers";
import { ConnectionSet } from "./connection-set.ts";
import { type LoadConfig, shardOf } from "./options.ts";
import type { LoadSnapshot } from "./report.ts";
import type { EncodedStatistics } from "./statistics.ts";
import type { TargetAddress } from "./target.ts";

/** The data of each worker. */
export interface LoadInput {
  readonly config: LoadConfig;
  readonly address: TargetAddress;
  /** The present request to the workers, as a number of {@link REQUESTS}. */
  readonly request: SharedArrayBuffer;
}

/** The requests to a run, in order of urgency. */
export type StopRequest = "none" | "stop" | "abort";

/** Requests as numbers in shared memory. */
export const REQUESTS: Readonly<Record<StopRequest, number>> = { none: 0, stop: 1, abort: 2 };

/** How often a worker reads the request. */
const POLL_MS = 20;

/** A message of a worker. */
export type LoadMessage =
  | { readonly snapshot: LoadSnapshot }
  | { readonly statistics: EncodedStatistics };

export function start(worker: PoolWorker<LoadInput>): void {
  const { config, address, request } = worker.data;
  const { reactor, index, count } = worker;
  const post = (message: LoadMessage): void => worker.post(message);
  const requestMemory = new Int32Array(request);
  const poll = reactor.setTimer(POLL_MS, () => {
    const requested = Atomics.load(requestMemory, 0);
    if (requested === REQUESTS.abort) connections.abort();
    else if (requested === REQUESTS.stop) connections.stop();
    if (!connections.isOver) poll.refresh();
  });
  const connections = new ConnectionSet({
    reactor,
    config,
    shard: shardOf(config, index, count),
    address,
    intervalEnded: () => post({ snapshot: connections.snapshot() }),
    ended: () => {
      poll.cancel();
      post({ snapshot: connections.snapshot() });
      post({ statistics: connections.statistics.encode() });
    },
  });
  connections.start();
}

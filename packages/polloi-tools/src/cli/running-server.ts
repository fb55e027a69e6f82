import {
  workerRecoveredText as recoveredText,
  workerUnresponsiveText as unresponsiveText,
} from "polloi/internal";
import type { SocketAddress } from "polloi/socket";
import type { WorkerCrash, WorkerPool, WorkersOptions } from "polloi/workers";
import { failureLine, hintLine } from "./failure.ts";
import { complain } from "./output.ts";
import type { ServedName, ServeFlags } from "./serve-flags.ts";
import type { Place, Served, Spread } from "./serve-report.ts";

/** Where a server is to listen. */
export interface Where {
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  readonly dualStack?: boolean;
  readonly backlog?: number;
}

/** A server of `polloi serve`, on this thread or on workers of its own. */
export interface RunningServer {
  readonly place: Omit<Place, "engine" | "why">;
  /** Rejects when it cannot go on. */
  readonly failed: Promise<never>;
  /** What it has done so far. */
  served(): Served;
  /** Lets connections have what is queued for them, for so long at most. */
  stop(graceMs: number): Promise<void>;
  /** Cuts every connection off. */
  abort(): void;
}

/** Where a server listens, as a report tells it. */
export function placeOf(
  protocol: ServedName,
  address: SocketAddress | null,
): Pick<Place, "protocol" | "host" | "port" | "path"> {
  const { address: host = "", port = -1, path } = address ?? {};
  if (path === undefined) return { protocol, host, port };
  return { protocol, path: path.toString().replace(/^\0/, "@") };
}

/** What every pool of workers here is given. */
export function poolOptions(
  where: Where,
  { engine, trigger }: ServeFlags,
): Pick<
  WorkersOptions,
  "engine" | "trigger" | "listen" | "crashed" | "unresponsive" | "recovered"
> {
  return {
    engine,
    trigger,
    listen: where,
    crashed: tellCrash,
    unresponsive: (worker) =>
      complain(`polloi: ${unresponsiveText(worker)}, and gets no new connections until it does\n`),
    recovered: (worker) => complain(`polloi: ${recoveredText(worker)}\n`),
  };
}

/** A pool of workers as a server of `polloi serve`. */
export function pooled(
  protocol: ServedName,
  pool: WorkerPool,
  served: () => Served,
): RunningServer {
  return {
    place: { ...placeOf(protocol, pool.address), workers: pool.workers.length },
    failed: pool.finished.then(() => new Promise(() => {})),
    served,
    stop: (graceMs) => pool.stop(graceMs),
    abort: () => void pool.stop(0),
  };
}

/** How connections were spread over the workers of a pool. */
export function spreadOf({ workers, balance }: WorkerPool): Spread {
  return {
    connections: workers.map(({ accepted }) => accepted),
    balance: Number.isFinite(balance) ? balance : null,
  };
}

export function tellAcceptError(error: object): void {
  complain(failureLine("cannot accept", error) + hintLine(error));
}

function tellCrash({ index, error, restartInMs }: WorkerCrash): void {
  const next = restartInMs === null ? "is given up" : `is replaced in ${restartInMs} ms`;
  complain(failureLine(`worker ${index} crashed and ${next}`, error));
}

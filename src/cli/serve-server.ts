import type { ProtocolName } from "../echo/protocols.ts";
import { type Observer, ProtocolServer, type Tally } from "../echo/server.ts";
import { type EchoInput, type EchoMessage, SharedTally } from "../echo/worker.ts";
import type { EngineChoice } from "../engine/choose.ts";
import type { Trigger } from "../engine/engine.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { resolve } from "../socket/resolve.ts";
import { type WorkerCrash, workerCount } from "../workers/options.ts";
import { startWorkers, type WorkerPool } from "../workers/pool.ts";
import { failureLine, hintLine } from "./failure.ts";
import type { Place, Served } from "./serve-report.ts";

/** The flags of `polloi serve`. */
export interface ServeFlags {
  readonly host: string;
  readonly port: number;
  readonly engine: EngineChoice;
  readonly trigger?: Trigger;
  readonly workers?: number | "auto";
  readonly backlog?: number;
  /** From `--delay` and `--no-delay`; undefined when neither is given. */
  readonly delay?: boolean;
  readonly idleTimeout?: number;
  readonly quiet?: boolean;
  readonly json?: boolean;
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

/** Starts what the flags ask for. */
export async function openServer(
  reactor: Reactor,
  protocol: ProtocolName,
  flags: ServeFlags,
  observer: Observer | undefined,
): Promise<RunningServer> {
  const [{ address }] = await resolve(flags.host);
  const where = {
    host: address,
    port: flags.port,
    // "::" is every address there is, so IPv4's as well.
    dualStack: address === "::",
    ...(flags.backlog === undefined ? {} : { backlog: flags.backlog }),
  };
  const noDelay = flags.delay !== true;
  const { idleTimeout, workers } = flags;
  if (workers === undefined) {
    const server = new ProtocolServer(reactor, {
      ...where,
      protocol,
      noDelay,
      ...(idleTimeout === undefined ? {} : { idleTimeoutMs: idleTimeout }),
      observer,
      acceptError: (_, error) => tellAcceptError(error),
    });
    const { listener } = server;
    return {
      place: { protocol, host: listener.address?.address ?? "", port: listener.port },
      failed: new Promise(() => {}),
      served: () => server.tally,
      stop: (graceMs) => server.stop(graceMs),
      abort: () => server.abort(),
    };
  }
  const count = workerCount(workers);
  const tallies = SharedTally.memoryFor(count);
  const observed = observer !== undefined;
  const data: EchoInput = { protocol, noDelay, idleTimeoutMs: idleTimeout, observed, tallies };
  const pool = await startWorkers({
    module: new URL("../echo/worker.js", import.meta.url),
    workers: count,
    engine: flags.engine,
    trigger: flags.trigger,
    listen: where,
    data,
    crashed: tellCrash,
    message: (message) => hear(message as EchoMessage, observer),
  });
  return {
    place: { protocol, host: pool.address?.address ?? "", port: pool.port, workers: count },
    failed: pool.finished.then(() => new Promise(() => {})),
    served: () => servedBy(pool, tallies),
    stop: (graceMs) => pool.stop(graceMs),
    abort: () => void pool.stop(0),
  };
}

function servedBy({ workers, balance }: WorkerPool, tallies: SharedArrayBuffer): Served {
  const sum: Tally = { connections: 0, messages: 0, bytes: 0 };
  for (const { index } of workers) {
    const { connections, messages, bytes } = new SharedTally(tallies, index);
    sum.connections += connections;
    sum.messages += messages;
    sum.bytes += bytes;
  }
  const spread = workers.map(({ accepted }) => accepted);
  const even = Number.isFinite(balance) ? balance : null;
  return { ...sum, workers: { connections: spread, balance: even } };
}

function hear(message: EchoMessage, observer: Observer | undefined): void {
  switch (message.event) {
    case "opened":
      observer?.opened(message.peer);
      return;
    case "received":
      observer?.received(message.peer, message.bytes);
      return;
    case "closed":
      observer?.closed(message.peer, message.error);
      return;
    case "acceptError":
      tellAcceptError(message);
  }
}

function tellAcceptError(error: object): void {
  process.stderr.write(failureLine("cannot accept", error) + hintLine(error));
}

function tellCrash({ index, error, restartInMs }: WorkerCrash): void {
  const next = restartInMs === null ? "is given up" : `is replaced in ${restartInMs} ms`;
  process.stderr.write(failureLine(`worker ${index} crashed and ${next}`, error));
}

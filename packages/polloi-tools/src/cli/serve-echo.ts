import type { Reactor } from "polloi";
import { workerCount } from "polloi/internal";
import { startWorkers, type WorkerPool } from "polloi/workers";
import { type EchoInput, type EchoMessage, SharedTally } from "../echo/echo-worker.ts";
import { ECHO_WORKER } from "../echo/modules.ts";
import type { ProtocolName } from "../echo/protocols.ts";
import { type Observer, ProtocolServer, type Tally } from "../echo/server.ts";
import {
  placeOf,
  pooled,
  poolOptions,
  type RunningServer,
  spreadOf,
  tellAcceptError,
  type Where,
} from "./running-server.ts";
import type { ServeFlags } from "./serve-flags.ts";
import type { Served } from "./serve-report.ts";

/** Serves one of the oldest protocols. */
export async function openEcho(
  reactor: Reactor,
  protocol: ProtocolName,
  where: Where,
  flags: ServeFlags,
  observer: Observer | undefined,
): Promise<RunningServer> {
  const noDelay = flags.delay !== true;
  const { idleTimeout, workers } = flags;
  if (workers === undefined) {
    const server = new ProtocolServer(reactor, {
      ...where,
      protocol,
      noDelay,
      ...(idleTimeout === undefined ? {} : { idleTimeoutMs: idleTimeout }),
      observer,
      acceptError: tellAcceptError,
    });
    return {
      place: placeOf(protocol, server.listener.address),
      failed: new Promise(() => {}),
      served: () => ({ counts: { ...server.tally } }),
      stop: (graceMs) => server.stop(graceMs),
      abort: () => void server.stop(0),
    };
  }
  const count = workerCount(workers);
  const tallies = SharedTally.memoryFor(count);
  const observed = observer !== undefined;
  const data: EchoInput = { protocol, noDelay, idleTimeoutMs: idleTimeout, observed, tallies };
  const pool = await startWorkers({
    module: ECHO_WORKER,
    workers: count,
    ...poolOptions(where, flags),
    data,
    message: (message) => hear(message as EchoMessage, observer),
  });
  return pooled(protocol, pool, () => servedBy(pool, tallies));
}

function servedBy(pool: WorkerPool, tallies: SharedArrayBuffer): Served {
  const sum: Tally = { connections: 0, messages: 0, bytes: 0 };
  for (const { index } of pool.workers) {
    const { connections, messages, bytes } = new SharedTally(tallies, index);
    sum.connections += connections;
    sum.messages += messages;
    sum.bytes += bytes;
  }
  return { counts: { ...sum }, workers: spreadOf(pool) };
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

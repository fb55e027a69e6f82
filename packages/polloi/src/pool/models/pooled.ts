import type { SocketAddress } from "../../socket/address.ts";
import type { Child, ChildEvents } from "../child.ts";
import { ChildCounts } from "../counts.ts";
import type { Sharing } from "../listeners.ts";
import { Pool } from "../pool.ts";
import type { Model, ModelContext } from "./model.ts";

/** How the children of {@link startPooled} are started. */
export interface PooledOptions {
  readonly kind: "process" | "thread";
  readonly count: number;
  readonly sharing: Sharing;
  readonly start: (listener: number, events: ChildEvents) => Child;
}

/** Starts a model whose children accept connections themselves. */
export async function startPooled(
  { kernel, options, supervision, input, reporter }: ModelContext,
  { kind, count, sharing, start }: PooledOptions,
): Promise<Model> {
  const counts = new ChildCounts();
  const pool = await Pool.start({
    ...supervision,
    kernel,
    module: input.module,
    count,
    noun: kind,
    listeners: { where: options.listen, sharing, noDelay: input.noDelay !== false },
    // A single thread knows that it stops before the socket is shut down.
    refusesUnix: kind === "thread",
    start(_, listener, events) {
      const child = start(listener, events);
      reporter.started++;
      return child;
    },
    message(index, message) {
      if (message.type === "counts") counts.update(index, message.counts);
      else reporter.receive(message);
    },
    ended: (index) => counts.exited(index),
    exited: (_, child, { error, restartInMs }) =>
      reporter.exited({ kind, id: child?.id ?? -1, error, restartInMs }),
    responds: (_, { id }, responsive, silentMs) =>
      reporter.responds({ kind, id, silentMs }, responsive),
  });
  return {
    address: pool.listeners?.address as SocketAddress,
    engine: pool.engine,
    get children() {
      return pool.supervisors.flatMap(({ child, state }, index) => {
        if (child === undefined) return [];
        const { id, ready } = child;
        const responsive = state !== "unresponsive";
        return [{ kind, id, connections: counts.openOf(index), ready, responsive }];
      });
    },
    get counts() {
      return counts.sum();
    },
    over: pool.over,
    finished: pool.finished,
    stop: (graceMs) => pool.stop(graceMs),
  };
}

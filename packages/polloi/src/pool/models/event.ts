import type { SocketAddress } from "../../socket/address.ts";
import { ServedCounter } from "../counts.ts";
import { LoopServer } from "../loop-server.ts";
import type { ModelHandlers, StartOn } from "../module.ts";
import type { Model, ModelContext } from "./model.ts";

/**
 * `event`: one event loop, on the main thread.
 *
 * @throws what listening throws, or the module as it starts.
 */
export async function startEvent(
  { reactor, options, input, reporter }: ModelContext,
  module: ModelHandlers | StartOn,
): Promise<Model> {
  const counter = new ServedCounter(options.observer);
  let resolve: () => void = () => {};
  const over = new Promise<void>((resolved) => {
    resolve = resolved;
  });
  const server = new LoopServer({
    reactor,
    where: {
      ...options.listen,
      ...(options.tls === undefined ? {} : { tls: options.tls }),
      acceptError: (error) => reporter.acceptFailed(error),
    },
    counter,
    owner: "model",
    noDelay: input.noDelay,
    idleTimeoutMs: input.idleTimeoutMs,
    data: input.data,
    post: (message) => reporter.post(message),
    stopped: resolve,
  });
  if (typeof module === "function") await server.start(module);
  else server.serveHandlers(module);
  const { engine, trigger } = reactor;
  return {
    address: server.listener?.address as SocketAddress,
    engine: { engine, trigger },
    children: [],
    get counts() {
      return counter.snapshot();
    },
    over,
    finished: over,
    stop: (graceMs) => server.stop(graceMs),
  };
}

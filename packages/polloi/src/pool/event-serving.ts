import type { Connection } from "../reactor/connection.ts";
import type { Listener, ListenOptions } from "../reactor/listener.ts";
import type { Reactor } from "../reactor/reactor.ts";
import type { Timer } from "../reactor/timers.ts";
import type { Treatment } from "./messages.ts";
import type { ModelHandlers } from "./model-module.ts";
import type { Served } from "./served.ts";

/** Above this much that a peer has not read, nothing more is received from it. */
const HIGH_WATER_BYTES = 64 * 1024;

/** Where to listen, and what to do when that is not possible for a while. */
export type EventListenOptions = Pick<
  ListenOptions,
  | "fd"
  | "exclusive"
  | "host"
  | "port"
  | "path"
  | "address"
  | "backlog"
  | "dualStack"
  | "acceptError"
>;

/** What an {@link EventServing} is made of. */
export interface EventServingParts {
  readonly reactor: Reactor;
  readonly handlers: ModelHandlers;
  readonly served: Served;
  readonly treatment: Treatment;
}

/** What serves on an event loop. */
export interface LoopServing {
  readonly listener: Listener;
  /**
   * Stops listening, and lets every connection have what is queued for it.
   *
   * @param graceMs - How long that may take. Asked again, it is counted from then.
   * @param stopped - Called when all of them are closed, perhaps before this returns.
   */
  stop(graceMs: number, stopped: () => void): void;
}

/** Serves connections on an event loop, and comes to an end when asked. */
export class EventServing implements LoopServing {
  readonly listener: Listener;
  readonly #reactor: Reactor;
  #deadline: Timer | undefined;
  #stopped: (() => void) | undefined;

  constructor(
    where: EventListenOptions,
    { reactor, handlers, served, treatment }: EventServingParts,
  ) {
    const peers = new Map<Connection, string>();
    const { noDelay, idleTimeoutMs } = treatment;
    this.#reactor = reactor;
    this.listener = reactor.listen({
      ...where,
      noDelay,
      ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
      zeroCopy: true,
      highWaterBytes: HIGH_WATER_BYTES,
      // What a handler may write is bounded by what it is given, as nothing more is received above the mark.
      maxPendingBytes: Number.MAX_SAFE_INTEGER,
      open(connection) {
        const peer = served.opened(connection);
        if (served.observer !== undefined) peers.set(connection, peer);
        handlers.open?.(connection);
      },
      data(connection, bytes) {
        served.received(peers.get(connection) ?? "", bytes);
        handlers.data?.(connection, bytes);
        if (connection.pendingBytes > HIGH_WATER_BYTES) connection.pause();
      },
      drain: (connection) => connection.resume(),
      end(connection) {
        handlers.end?.(connection);
        connection.end();
      },
      close: (connection, error) => {
        served.closed(peers.get(connection) ?? "", error);
        peers.delete(connection);
        handlers.close?.(connection, error);
        this.#endIfEmpty();
      },
    });
  }

  stop(graceMs: number, stopped: () => void): void {
    this.#stopped = stopped;
    this.#deadline?.cancel();
    // Of a listener that still has something to accept, the end comes with its time.
    this.#deadline = this.#reactor.setTimer(graceMs, () => this.#endIfEmpty());
    void this.listener.stop(graceMs);
    this.#endIfEmpty();
  }

  /** Not by the promise of the listener: under `run()` none goes on. */
  #endIfEmpty(): void {
    const { listener } = this;
    if (this.#stopped === undefined || listener.fileno() >= 0 || listener.connections > 0) return;
    this.#deadline?.cancel();
    const stopped = this.#stopped;
    this.#stopped = undefined;
    stopped();
  }
}

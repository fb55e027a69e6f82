import { show, typeError } from "../base/misuse.ts";
import type { Connection } from "../reactor/connection.ts";
import { ForwardingHandlers, type StreamHandlers } from "../reactor/forwarding.ts";
import { loopOf, type Reactor } from "../reactor/reactor.ts";
import { Stream } from "../reactor/stream.ts";
import type { Timer } from "../reactor/timers.ts";

/** The connections that a server has adopted. They are stopped with it, also when they were upgraded. */
export class AdoptedConnections {
  readonly #reactor: Reactor;
  readonly #open: Set<Stream<unknown>> = new Set();
  #stopped: Promise<void> | undefined;
  #resolveStopped: () => void = () => {};
  #destroyAt = Number.POSITIVE_INFINITY;
  #destroyTimer: Timer | undefined;

  constructor(reactor: Reactor) {
    this.#reactor = reactor;
  }

  /** @throws TypeError `ERR_INVALID_OPTION`, `ERR_CLOSED` unless `connection` can be adopted. */
  check<Data>(connection: Connection<Data>): Stream<Data> {
    if (!(connection instanceof Stream)) {
      throw typeError(
        "ERR_INVALID_OPTION",
        `Cannot adopt ${show(connection)}: give a connection of a reactor`,
      );
    }
    if (connection.loop !== loopOf(this.#reactor)) {
      throw typeError(
        "ERR_INVALID_OPTION",
        "Cannot adopt a connection of another reactor: serve with the reactor of the connection",
      );
    }
    if (connection.state !== "open") {
      throw typeError("ERR_CLOSED", `Cannot adopt a connection that is ${connection.state}`);
    }
    return connection;
  }

  /** Keeps a connection until it closes. */
  add<Data>(stream: Stream<Data>): void {
    this.#open.add(stream as Stream<unknown>);
    const watched = (to: StreamHandlers<Data>): StreamHandlers<Data> => {
      const own: StreamHandlers<Data> = {
        close: (connection, error) => {
          this.#open.delete(stream as Stream<unknown>);
          if (this.#open.size === 0) this.#ended();
          to.close?.(connection, error);
        },
      };
      return new ForwardingHandlers(to, own, watched);
    };
    stream.setHandlers(watched(stream.handlers));
  }

  /** Lets each connection finish. @returns Resolves when all are closed. */
  stop(graceMs: number): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve();
    const { timers, kernel } = loopOf(this.#reactor);
    const isFirst = this.#stopped === undefined;
    this.#stopped ??= new Promise((resolve) => {
      this.#resolveStopped = resolve;
    });
    const destroy = (): void => {
      for (const stream of [...this.#open]) stream.destroy();
    };
    const destroyAt = kernel.now() + graceMs;
    if (destroyAt < this.#destroyAt) {
      this.#destroyAt = destroyAt;
      this.#destroyTimer?.cancel();
      if (graceMs > 0) this.#destroyTimer = timers.add(graceMs, destroy, false);
    }
    if (graceMs === 0) destroy();
    else if (isFirst) {
      // In the next turn, so that a handler that stops its own server can still reply.
      timers.add(
        0,
        () => {
          for (const stream of [...this.#open]) stream.stop();
        },
        false,
      );
    }
    return this.#stopped;
  }

  #ended(): void {
    this.#destroyTimer?.cancel();
    this.#resolveStopped();
  }
}

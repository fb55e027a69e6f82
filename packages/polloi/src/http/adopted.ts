import { show, typeError } from "../base/misuse.ts";
import type { Connection } from "../reactor/connection.ts";
import { ForwardingHandlers, type StreamHandlers } from "../reactor/forwarding.ts";
import { GracePeriod } from "../reactor/grace-period.ts";
import { loopOf, type Reactor } from "../reactor/reactor.ts";
import { Stream } from "../reactor/stream.ts";

/** The connections that a server has adopted. They are stopped with it, also when they were upgraded. */
export class AdoptedConnections {
  readonly #reactor: Reactor;
  readonly #open: Set<Stream<unknown>> = new Set();
  /** Set when the server stops. */
  #grace: GracePeriod | undefined;

  constructor(reactor: Reactor) {
    this.#reactor = reactor;
  }

  get size(): number {
    return this.#open.size;
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
          if (this.#open.size === 0) this.#grace?.end();
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
    this.#grace ??= new GracePeriod(loopOf(this.#reactor), {
      finish: () => this.#each((stream) => stream.stop()),
      cutOff: () => this.#each((stream) => stream.destroy()),
    });
    this.#grace.limit(graceMs);
    return this.#grace.ended;
  }

  #each(visit: (stream: Stream<unknown>) => void): void {
    // Closing one takes it out of the set.
    for (const stream of [...this.#open]) visit(stream);
  }
}

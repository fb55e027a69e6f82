import type { SocketAddress } from "../socket/address.ts";
import { EventServing } from "./event-serving.ts";
import type { ChildEngine } from "./messages.ts";
import type { ModelHandlers } from "./module.ts";
import { Served, type Tally } from "./served.ts";
import type { ModelChild, Way, WayContext } from "./way.ts";

/** One event loop: that of the main thread. */
export class EventWay implements Way {
  readonly engine: ChildEngine;
  readonly address: SocketAddress;
  readonly children: readonly ModelChild[] = [];
  readonly #served: Served;
  readonly #serving: EventServing;
  readonly #over: () => void;

  /** @throws what listening throws. */
  constructor({ reactor, options, input, report, over }: WayContext, handlers: ModelHandlers) {
    this.#over = over;
    this.#served = new Served(options.observer);
    this.#serving = new EventServing(
      { ...options.listen, acceptError: (_, error) => report.cannotAccept(error) },
      { reactor, handlers, served: this.#served, treatment: input },
    );
    this.engine = { engine: reactor.engine, trigger: reactor.trigger };
    this.address = this.#serving.listener.address as SocketAddress;
  }

  tally(): Tally {
    return this.#served.tally();
  }

  stop(graceMs: number): void {
    this.#serving.stop(graceMs, () => this.#over());
  }
}

import type { SocketAddress } from "../socket/address.ts";
import { EventServing, type LoopServing } from "./event-serving.ts";
import type { ChildEngine } from "./messages.ts";
import type { ModelHandlers, StartOn } from "./model-module.ts";
import { OwnServing } from "./own-serving.ts";
import { Served, type Tally } from "./served.ts";
import type { ModelChild, Way, WayContext } from "./way.ts";

/** One event loop: that of the main thread. */
export class EventWay implements Way {
  readonly engine: ChildEngine;
  readonly address: SocketAddress;
  readonly children: readonly ModelChild[] = [];
  readonly #served: Served;
  readonly #serving: LoopServing;
  readonly #over: () => void;

  private constructor({ reactor, over }: WayContext, served: Served, serving: LoopServing) {
    this.#over = over;
    this.#served = served;
    this.#serving = serving;
    this.engine = { engine: reactor.engine, trigger: reactor.trigger };
    this.address = serving.listener.address as SocketAddress;
  }

  /** @throws what listening throws, or the module as it starts. */
  static async start(context: WayContext, module: ModelHandlers | StartOn): Promise<EventWay> {
    const { reactor, options, input, report } = context;
    const served = new Served(options.observer);
    const where = {
      ...options.listen,
      acceptError: (error: Error) => report.cannotAccept(error),
    };
    const parts = { reactor, served, treatment: input };
    if (typeof module !== "function") {
      return new EventWay(context, served, new EventServing(where, { ...parts, handlers: module }));
    }
    const post = (message: unknown): void => report.heard({ type: "post", message });
    const own = await OwnServing.start(where, { ...parts, data: input.data, post }, module);
    return new EventWay(context, served, own);
  }

  tally(): Tally {
    return this.#served.tally();
  }

  stop(graceMs: number): void {
    this.#serving.stop(graceMs, () => this.#over());
  }
}

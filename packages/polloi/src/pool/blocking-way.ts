import type { SocketAddress } from "../socket/address.ts";
import { SHUT_RD } from "../socket/constants.ts";
import { refuseConnections } from "../socket/listener.ts";
import type { ChildEngine } from "./messages.ts";
import { ModelListener } from "./model-listener.ts";
import { Place } from "./place.ts";
import type { Tally } from "./served.ts";
import { Threads } from "./threads.ts";
import { type ModelChild, Tallies, type Way, type WayContext } from "./way.ts";

/**
 * One thread that accepts, serves, and accepts again.
 *
 * @remarks
 * A thread of its own, so that the main one can be told to stop, and tell.
 */
export class BlockingWay implements Way {
  readonly engine: ChildEngine | undefined = undefined;
  readonly address: SocketAddress;
  readonly place: Place;
  readonly #context: WayContext;
  readonly #listener: ModelListener;
  readonly #threads: Threads;
  readonly #tallies = new Tallies();
  /** Children of this place, one after another. */
  #turn = 0;

  /** @throws what listening throws; SysError `EMFILE` */
  constructor(context: WayContext) {
    const { kernel, options, input, report, liveness, crashLoop, over } = context;
    this.#context = context;
    this.#listener = new ModelListener(kernel, options);
    this.address = this.#listener.address;
    try {
      // Its one thread has a listener, and is never without something to do.
      const nothing = { started: () => {}, died: () => {}, idleEnded: () => {} };
      this.#threads = new Threads(kernel, input, nothing);
    } catch (error) {
      this.#listener.close();
      throw error;
    }
    this.place = new Place({
      report,
      liveness,
      crashLoop,
      start: (events) => this.#threads.start("listener", this.#listener.fd, events),
      heard: (message) => {
        if (message.type === "tally") this.#tallies.told(this.#turn, message.tally);
        else report.heard(message);
      },
      ended: () => this.#tallies.gone(this.#turn++),
      steer: () => {},
      gone: () => {
        this.#threads.close(() => this.#listener.close());
        over(this.place.lastError);
      },
    });
    this.place.start();
  }

  get children(): readonly ModelChild[] {
    const { child } = this.place;
    if (child === undefined) return [];
    const { id, ready } = child;
    const { responsive } = this.place;
    return [
      { kind: "thread", id, connections: this.#tallies.openOf(this.#turn), ready, responsive },
    ];
  }

  tally(): Tally {
    return this.#tallies.sum();
  }

  stop(graceMs: number): void {
    if (this.place.isGone) return;
    const { kernel } = this.#context;
    this.#threads.ring(graceMs);
    // The thread waits on it, so it cannot be closed yet. What waits in the backlog is served.
    if (graceMs > 0) refuseConnections(kernel, this.#listener.fd);
    else kernel.libc.shutdown(this.#listener.fd, SHUT_RD);
    this.place.stop(graceMs);
  }
}

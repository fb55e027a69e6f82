import { check } from "../base/sys-error.ts";
import type { SocketAddress } from "../socket/address.ts";
import { F_DUPFD_CLOEXEC } from "../sys/abi.ts";
import { PoolListeners } from "../workers/listeners.ts";
import type { ChildEngine, ProcessInput } from "./messages.ts";
import { ModelListener } from "./model-listener.ts";
import { preforked } from "./options.ts";
import { Place } from "./place.ts";
import { Processes } from "./processes.ts";
import type { Tally } from "./served.ts";
import { type ModelChild, Tallies, type Way, type WayContext } from "./way.ts";

/** Listeners that processes are lent: one for all of them, or one for each. */
interface Lender {
  readonly address: SocketAddress;
  lend(index: number): number;
  /** Nobody will accept in the place of process `index` any more. */
  giveUp(index: number): void;
  close(): void;
}

/**
 * Processes that are there before there are connections, each with an event loop of its own.
 *
 * @remarks
 * The main process keeps the listeners open, so what waits in a backlog outlives the process that was to
 * accept it.
 */
export class Prefork implements Way {
  engine: ChildEngine | undefined;
  readonly address: SocketAddress;
  readonly places: readonly Place[];
  readonly #lender: Lender;
  readonly #processes: Processes;
  readonly #tallies = new Tallies();
  readonly #context: WayContext;
  readonly #count: number;
  #stopping = false;

  /** @throws what listening throws; SysError `EMFILE` */
  constructor(context: WayContext) {
    const { kernel, reactor, options } = context;
    this.#context = context;
    this.#count = preforked(options.children);
    this.#lender = lenderFor(context, this.#count);
    this.address = this.#lender.address;
    try {
      this.#processes = new Processes(kernel, reactor, options.execArgv);
    } catch (error) {
      this.#lender.close();
      throw error;
    }
    this.places = Array.from({ length: this.#count }, (_, index) => this.#place(index));
    for (const place of this.places) place.start();
  }

  get children(): readonly ModelChild[] {
    return this.places.flatMap(({ child }, index) => {
      if (child === undefined) return [];
      const connections = this.#tallies.openOf(index);
      const { id, ready } = child;
      return [{ kind: "process", id, connections, ready } as const];
    });
  }

  tally(): Tally {
    return this.#tallies.sum();
  }

  stop(graceMs: number): void {
    if (this.places.every(({ isGone }) => isGone)) return;
    this.#stopping = true;
    // Then those of the processes are the last, and what they close is closed.
    this.#lender.close();
    for (const place of this.places) if (!place.isGone) place.stop(graceMs);
  }

  #place(index: number): Place {
    const { report, options, input } = this.#context;
    const { engine, trigger, sharing } = options;
    const exclusive = sharing !== "reuseport" && this.#count > 1;
    const whole: ProcessInput = { ...input, serves: "listener", engine, trigger, exclusive };
    const place: Place = new Place({
      report,
      start: (events) => this.#processes.start(whole, this.#lender.lend(index), events),
      heard: (message) => {
        if (message.type === "tally") this.#tallies.told(index, message.tally);
        else report.heard(message);
      },
      ended: () => this.#tallies.gone(index),
      gone: () => {
        if (!this.#stopping) this.#lender.giveUp(index);
        this.#endIfEmpty(place);
      },
    });
    return place;
  }

  #endIfEmpty({ lastError }: Place): void {
    if (!this.places.every(({ isGone }) => isGone)) return;
    this.#processes.close();
    this.#lender.close();
    this.#context.over(lastError);
  }
}

function lenderFor({ kernel, options }: WayContext, count: number): Lender {
  if (options.sharing === "reuseport") return new PoolListeners(kernel, options.listen, count);
  const listener = new ModelListener(kernel, options);
  return {
    address: listener.address,
    lend: () =>
      check(kernel.libc.fcntl(listener.fd, F_DUPFD_CLOEXEC, 0), "fcntl", { fd: listener.fd }),
    giveUp: () => {},
    close: () => listener.close(),
  };
}

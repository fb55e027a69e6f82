import { check } from "../base/sys-error.ts";
import type { SocketAddress } from "../socket/address.ts";
import { refuseConnections } from "../socket/listener.ts";
import { F_DUPFD_CLOEXEC } from "../sys/abi.ts";
import { PoolListeners } from "./listeners.ts";
import type { ChildEngine, ProcessInput } from "./messages.ts";
import { ModelListener } from "./model-listener.ts";
import { preforked } from "./model-options.ts";
import { Place } from "./place.ts";
import { Processes } from "./processes.ts";
import type { Tally } from "./served.ts";
import { type ModelChild, Tallies, type Way, type WayContext } from "./way.ts";

/** How long connections may take to have what is queued for them, when one process ends the server. */
const GRACE_MS = 2000;
/** How often processes look at a listener that they share, while one of them is unresponsive. */
const LOOK_AFTER_MS = 50;

/** Listeners that processes are lent: one for all of them, or one for each. */
interface Lender {
  readonly address: SocketAddress;
  lend(index: number): number;
  /** Nobody will accept in the place of process `index` any more. */
  giveUp(index: number): void;
  /** Gives new connections to those only that accept them. */
  steer(accepts: (index: number) => boolean): void;
  /** Whether all processes accept from one listener. */
  readonly isShared: boolean;
  /** Takes no new connections; what waits is accepted by the processes. */
  refuse(): void;
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
  #lookingAfter: NodeJS.Timeout | undefined;
  /** Why the server ends although some are left. */
  #failure: Error | undefined;
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
    return this.places.flatMap(({ child, responsive }, index) => {
      if (child === undefined) return [];
      const connections = this.#tallies.openOf(index);
      const { id, ready } = child;
      return [{ kind: "process", id, connections, ready, responsive } as const];
    });
  }

  tally(): Tally {
    return this.#tallies.sum();
  }

  stop(graceMs: number): void {
    if (this.places.every(({ isGone }) => isGone)) return;
    this.#stopping = true;
    clearInterval(this.#lookingAfter);
    // A connection that comes between a process's last accept and its close would be reset.
    if (graceMs > 0) this.#lender.refuse();
    // Then those of the processes are the last, and what they close is closed.
    this.#lender.close();
    for (const place of this.places) if (!place.isGone) place.stop(graceMs);
  }

  #place(index: number): Place {
    const { report, options, input, liveness, crashLoop } = this.#context;
    const { engine, trigger, sharing } = options;
    const exclusive = sharing !== "reuseport" && this.#count > 1;
    const whole: ProcessInput = { ...input, serves: "listener", engine, trigger, exclusive };
    const place: Place = new Place({
      report,
      liveness,
      crashLoop,
      start: (events) => this.#processes.start(whole, this.#lender.lend(index), events),
      heard: (message) => {
        if (message.type === "tally") this.#tallies.told(index, message.tally);
        else report.heard(message);
      },
      ended: () => this.#tallies.gone(index),
      steer: () => this.#steer(),
      gone: () => {
        if (!this.#stopping) this.#lender.giveUp(index);
        this.#steer();
        this.#endIfEmpty(place);
      },
    });
    return place;
  }

  /** Has new connections go where they are accepted. */
  #steer(): void {
    if (this.#stopping || this.places === undefined) return;
    this.#lender.steer((index) => this.places[index]?.accepts === true);
    const unheeded = this.places.some(({ isGone, responsive }) => !isGone && !responsive);
    if (unheeded === (this.#lookingAfter !== undefined)) return;
    clearInterval(this.#lookingAfter);
    this.#lookingAfter = undefined;
    if (!unheeded || !this.#lender.isShared) return;
    // The kernel wakes one process for each connection, which may be the one that does not respond.
    this.#lookingAfter = setInterval(() => {
      for (const { child, responsive } of this.places) if (responsive) child?.acceptWaiting();
    }, LOOK_AFTER_MS);
    this.#lookingAfter.unref();
  }

  #endIfEmpty(place: Place): void {
    const { lastError, givenUp } = place;
    if (!this.places.every(({ isGone }) => isGone)) {
      if (!givenUp || this.#stopping || this.#context.crashLoop === "continue") return;
      this.#failure = lastError;
      this.stop(GRACE_MS);
      return;
    }
    this.#processes.close();
    this.#lender.close();
    clearInterval(this.#lookingAfter);
    this.#context.over(this.#failure ?? lastError);
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
    steer: () => {},
    isShared: true,
    // Not a unix socket: see `PoolListeners.refuse`.
    refuse: () => {
      if (listener.address.path === undefined) refuseConnections(kernel, listener.fd);
    },
    close: () => listener.close(),
  };
}

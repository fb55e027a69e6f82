import type { Reactor } from "../reactor/reactor.ts";
import type { SocketAddress } from "../socket/address.ts";
import type { Kernel } from "../sys/kernel.ts";
import type { Liveness } from "./liveness.ts";
import type { ChildEngine, ChildInput, ChildMessage, ToldError } from "./messages.ts";
import { errorOf, observe } from "./messages.ts";
import type { ModelDeath, ModelOptions, UnresponsiveChild } from "./model-options.ts";
import type { CrashLoop } from "./restarts.ts";
import type { Tally } from "./served.ts";

/** A process or thread of a model that is there. */
export interface ModelChild {
  readonly kind: "process" | "thread";
  /** The process's id, or the thread's. */
  readonly id: number;
  /** How many connections it has open, as far as it has told. */
  readonly connections: number;
  /** Whether it serves already: a process or a thread takes a while to start. */
  readonly ready: boolean;
  /** False of a child that does not answer, being in an endless loop: known of `prefork` and `blocking`. */
  readonly responsive: boolean;
}

/** One of the five ways, at work. */
export interface Way {
  readonly address: SocketAddress;
  /** The engine of its event loop or loops, if it has any. */
  readonly engine: ChildEngine | undefined;
  readonly children: readonly ModelChild[];
  /** What it has served so far. */
  tally(): Tally;
  /** Stops listening, and ends everything within `graceMs` and a moment more. May be asked again. */
  stop(graceMs: number): void;
}

/** What a way is given. */
export interface WayContext {
  readonly kernel: Kernel;
  readonly reactor: Reactor;
  readonly options: ModelOptions;
  readonly input: ChildInput;
  readonly liveness: Liveness;
  readonly crashLoop: CrashLoop;
  readonly report: ModelReport;
  /** Everything has ended: after `stop`, or because it cannot go on. */
  over(why?: Error): void;
}

/** What happened beside serving, counted and told. */
export class ModelReport {
  /** Processes or threads that were started. */
  started = 0;
  /** Those that died. */
  deaths = 0;
  /** Connections that were closed at once, for want of a process or thread. */
  refusals = 0;
  readonly #options: ModelOptions;
  #stopping: () => boolean;

  constructor(options: ModelOptions, stopping: () => boolean) {
    this.#options = options;
    this.#stopping = stopping;
  }

  /** A child has ended. One that dies while it is to stop has only stopped sooner. */
  died(death: ModelDeath): void {
    if (this.#stopping()) return;
    this.deaths++;
    const { kind, id, peer, error, restartInMs } = death;
    if (this.#options.died !== undefined) {
      this.#options.died(death);
      return;
    }
    const next =
      restartInMs === undefined
        ? ""
        : restartInMs === null
          ? ", and is given up"
          : `, and is replaced in ${restartInMs} ms`;
    const whose = peer === undefined ? "" : ` with the connection of ${peer}`;
    warn(`${kind} ${id} died${whose}${next}: ${error.message}`);
  }

  /** A child does not respond, or does so again. */
  responds(child: UnresponsiveChild, responsive: boolean): void {
    const { unresponsive, recovered } = this.#options;
    const told = responsive ? recovered : unresponsive;
    if (told !== undefined) told.call(this.#options, child);
    else warn(responsive ? recoveredText(child) : unresponsiveText(child));
  }

  limitReached(maxChildren: number): void {
    if (this.#options.limitReached !== undefined) this.#options.limitReached(maxChildren);
    else {
      const rest = this.#options.atLimit === "close" ? "are closed" : "wait";
      warn(`all ${maxChildren} children are busy: further connections ${rest}`);
    }
  }

  cannotAccept(error: Error): void {
    if (this.#options.acceptError !== undefined) this.#options.acceptError(error);
    else warn(`cannot accept: ${error.message}`);
  }

  /** Passes on what a child says, but for its numbers. */
  heard(message: ChildMessage): void {
    if (message.type === "cannot accept") this.cannotAccept(errorOf(message.error as ToldError));
    else if (message.type === "post") this.#options.message?.(message.message);
    else observe(this.#options.observer, message);
  }
}

/** The numbers of children, those that are gone among them. */
export class Tallies {
  readonly #total = { connections: 0, open: 0, messages: 0, bytes: 0 };
  readonly #by = new Map<number, Tally>();

  /** Child `id` has told its numbers. */
  told(id: number, tally: Tally): void {
    this.#by.set(id, tally);
  }

  /** What child `id` has open. */
  openOf(id: number): number {
    return this.#by.get(id)?.open ?? 0;
  }

  /** Child `id` is gone, and with it what it had open. */
  gone(id: number): void {
    const { connections = 0, messages = 0, bytes = 0 } = this.#by.get(id) ?? {};
    this.#by.delete(id);
    this.#total.connections += connections;
    this.#total.messages += messages;
    this.#total.bytes += bytes;
  }

  sum(): Tally {
    const sum = { ...this.#total };
    for (const { connections, open, messages, bytes } of this.#by.values()) {
      sum.connections += connections;
      sum.open += open;
      sum.messages += messages;
      sum.bytes += bytes;
    }
    return sum;
  }
}

/** What is said of a child that does not respond. */
export function unresponsiveText({ kind, id, silentMs }: UnresponsiveChild): string {
  return `${kind} ${id} has not responded for ${Math.round(silentMs)} ms`;
}

/** What is said of a child that responds again. */
export function recoveredText({ kind, id, silentMs }: UnresponsiveChild): string {
  return `${kind} ${id} responds again, after ${Math.round(silentMs)} ms`;
}

function warn(what: string): void {
  process.emitWarning(what, "PolloiWarning");
}

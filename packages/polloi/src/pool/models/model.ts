import type { Reactor } from "../../reactor/reactor.ts";
import type { SocketAddress } from "../../socket/address.ts";
import type { Kernel } from "../../sys/kernel.ts";
import type { ServedCounts } from "../counts.ts";
import {
  type ChildInput,
  type ChildMessage,
  fromPlainError,
  type LoopEngine,
  notifyObserver,
} from "../messages.ts";
import type { ChildExit, ModelOptions, UnresponsiveChild } from "../model-options.ts";
import { recoveredText, unresponsiveText, warn, warnOfExit } from "../reports.ts";
import type { Supervision } from "../supervisor.ts";

/** A process or thread of a model. */
export interface ModelChild {
  readonly kind: "process" | "thread";
  /** The id of the process; threads are counted from 1. */
  readonly id: number;
  /** How many connections it has open, as of its last report. */
  readonly connections: number;
  /** Whether it has started, and serves. */
  readonly ready: boolean;
  /** False if it does not respond, being in an endless loop. Known for `prefork` and `blocking` only. */
  readonly responsive: boolean;
}

/** A running server of one of the five models. */
export interface Model {
  readonly address: SocketAddress;
  /** The engine of its event loops, if it has any. */
  readonly engine: LoopEngine | undefined;
  readonly children: readonly ModelChild[];
  readonly counts: ServedCounts;
  /** Resolves when nothing of it is left. Never rejects. */
  readonly over: Promise<void>;
  /** The same, but rejects when it ended because children exited too often. */
  readonly finished: Promise<void>;
  /** Stops listening, and ends everything within `graceMs` and a moment. May be called again. */
  stop(graceMs: number): void;
}

/** The parameters with which a model is started. */
export interface ModelContext {
  readonly kernel: Kernel;
  readonly reactor: Reactor;
  readonly options: ModelOptions;
  readonly supervision: Supervision;
  /** The input of each child, except its task. */
  readonly input: Omit<ChildInput, "task">;
  readonly reporter: Reporter;
}

/** Counts what happens to children, and calls the callbacks of the options, or emits warnings. */
export class Reporter {
  /** Processes or threads that were started. */
  started = 0;
  /** Processes or threads that exited unexpectedly. */
  exits = 0;
  /** Connections that were closed at once, because `maxChildren` were running. */
  refusals = 0;
  readonly #options: ModelOptions;

  constructor(options: ModelOptions) {
    this.#options = options;
  }

  exited(exit: ChildExit): void {
    this.exits++;
    if (this.#options.exited !== undefined) this.#options.exited(exit);
    else warnOfExit(exit, exit);
  }

  responds(child: UnresponsiveChild, responsive: boolean): void {
    const { recovered, unresponsive } = this.#options;
    const callback = responsive ? recovered : unresponsive;
    if (callback !== undefined) callback.call(this.#options, child);
    else warn(responsive ? recoveredText(child) : unresponsiveText(child));
  }

  limitReached(maxChildren: number): void {
    if (this.#options.limitReached !== undefined) this.#options.limitReached(maxChildren);
    else {
      const rest = this.#options.atLimit === "close" ? "are closed" : "wait";
      warn(`all ${maxChildren} children are busy: further connections ${rest}`);
    }
  }

  acceptFailed(error: Error): void {
    if (this.#options.acceptError !== undefined) this.#options.acceptError(error);
    else warn(`cannot accept: ${error.message}`);
  }

  post(message: unknown): void {
    this.#options.message?.(message);
  }

  /** Handles a message from a child, other than its counts. */
  receive(message: ChildMessage): void {
    if (message.type === "accept-failed") this.acceptFailed(fromPlainError(message.error));
    else if (message.type === "post") this.post(message.message);
    else notifyObserver(this.#options.observer, message);
  }
}

import { typeError } from "../base/misuse.ts";
import { acceptingOf, type Listener } from "../reactor/listener.ts";
import type { Reactor } from "../reactor/reactor.ts";
import type { Timer } from "../reactor/timers.ts";
import type { Board } from "./board.ts";
import type { Ledger } from "./ledger.ts";
import {
  type PoolWorker,
  type ServeOptions,
  type Stoppable,
  serveOptionsOf,
  type WorkerInput,
} from "./worker-module.ts";

/** What a {@link ServingWorker} is made of beside what its thread was given. */
export interface WorkerParts {
  readonly reactor: Reactor;
  readonly board: Board;
  readonly ledger: Ledger;
  readonly post: (message: unknown) => void;
}

/** A worker from the inside: serves the pool's address, counts, and comes to an end when asked. */
export class ServingWorker implements PoolWorker {
  readonly index: number;
  readonly count: number;
  readonly reactor: Reactor;
  readonly data: unknown;
  readonly post: (message: unknown) => void;
  /** Resolves once it was asked to stop and has come to its end. */
  readonly stopped: Promise<void>;
  readonly #board: Board;
  readonly #ledger: Ledger;
  readonly #fd: number;
  #listener: Listener | undefined;
  #started: Stoppable | undefined;
  #begun = false;
  #deadline: Timer | undefined;
  #stopAt = 0;
  #resolveStopped: () => void = () => {};

  constructor(input: WorkerInput, { reactor, board, ledger, post }: WorkerParts) {
    this.index = input.index;
    this.count = input.count;
    this.data = input.data;
    this.reactor = reactor;
    this.post = post;
    this.#board = board;
    this.#ledger = ledger;
    this.#fd = input.listener;
    this.stopped = new Promise((resolve) => {
      this.#resolveStopped = resolve;
    });
  }

  listen<Data = unknown>(options: ServeOptions<Data>): Listener {
    if (this.#fd < 0 || this.#listener !== undefined) {
      const why = this.#fd < 0 ? "it has none; give the pool a listen" : "this worker does already";
      throw typeError("ERR_INVALID_OPTION", `Cannot serve the address of the pool: ${why}`);
    }
    const board = this.#board;
    this.#listener = this.reactor.listen<Data>({
      ...serveOptionsOf(options),
      fd: this.#fd,
      open: (connection) => {
        // A ring accepts without a call that the ledger would see.
        this.#ledger.add(this.index, connection.fileno());
        board.accepted++;
        board.open++;
        options.open?.(connection);
      },
    });
    acceptingOf(this.#listener).onConnectionClosed = () => {
      board.open--;
    };
    return this.#listener;
  }

  /** Accepts what waits on the listener, although the kernel has not reported it to this worker. */
  acceptWaiting(): void {
    if (this.#listener !== undefined) acceptingOf(this.#listener).acceptWaiting();
  }

  /** The module has started. @param started - What its `start` gave back. */
  begun(started: Stoppable | undefined): void {
    this.#begun = true;
    this.#started = started;
    if (this.#deadline !== undefined) void this.#end();
  }

  /**
   * Stops listening, and lets every connection finish.
   *
   * @param graceMs - How long that may take. Asked again, a shorter time counts.
   */
  stop(graceMs: number): void {
    const again = this.#deadline !== undefined;
    this.#stopAt = performance.now() + graceMs;
    this.#deadline?.cancel();
    this.#deadline = this.reactor.setTimer(graceMs, () => void this.#listener?.stop(0));
    if (!again && this.#begun) void this.#end();
  }

  get #leftMs(): number {
    return Math.max(0, this.#stopAt - performance.now());
  }

  /** Has the module end what it began, if it says how; then the connections that it leaves finish. */
  async #end(): Promise<void> {
    try {
      if (this.#started !== undefined) {
        this.#listener?.close();
        await this.#started.stop(this.#leftMs);
      }
    } finally {
      await this.#listener?.stop(this.#leftMs);
      this.#resolveStopped();
    }
  }
}

import { typeError } from "../base/misuse.ts";
import type { Connection } from "../reactor/connection.ts";
import type { AcceptingListener, Listener } from "../reactor/listener.ts";
import type { Reactor } from "../reactor/reactor.ts";
import type { Timer } from "../reactor/timers.ts";
import type { Board } from "./board.ts";
import type { Ledger } from "./ledger.ts";
import type { PoolWorker, ServeOptions, Stoppable, WorkerInput } from "./module.ts";

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
  readonly #open = new Set<Pick<Connection, "close" | "destroy">>();
  #listener: Listener | undefined;
  #started: Stoppable | undefined;
  #begun = false;
  #deadline: Timer | undefined;
  /** The module has ended what it began: all that is left is to see connections go. */
  #ended = false;
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
    const open = this.#open;
    this.#listener = this.reactor.listen<Data>({
      ...serveOptionsOf(options),
      fd: this.#fd,
      open: (connection) => {
        // A ring accepts without a call that the ledger would see.
        this.#ledger.add(this.index, connection.fileno());
        board.accepted++;
        board.open = open.add(connection).size;
        options.open?.(connection);
      },
      gone: (connection) => {
        open.delete(connection);
        board.open = open.size;
        this.#endIfEmpty();
      },
    });
    return this.#listener;
  }

  /** Accepts what waits on the listener, although the kernel has not reported it to this worker. */
  acceptWaiting(): void {
    (this.#listener as AcceptingListener<unknown> | undefined)?.acceptWaiting();
  }

  /** The module has started. @param started - What its `start` gave back. */
  begun(started: Stoppable | undefined): void {
    this.#begun = true;
    this.#started = started;
    if (this.#deadline !== undefined) this.#end(this.#board.stopWithinMs ?? 0);
  }

  /**
   * Stops listening, and lets every connection have what is queued for it.
   *
   * @param graceMs - How long that may take. Asked again, it is counted from then.
   */
  stop(graceMs: number): void {
    const again = this.#deadline !== undefined;
    this.#deadline?.cancel();
    this.#deadline = this.reactor.setTimer(graceMs, () => this.#cutOff());
    if (again) return;
    this.#listener?.close();
    if (this.#begun) this.#end(graceMs);
  }

  /** Has the module end what it began, if it says how, and waits for the connections that it leaves to the listener. */
  async #end(graceMs: number): Promise<void> {
    try {
      await this.#started?.stop(graceMs);
    } finally {
      await this.#listener?.stop(graceMs);
      this.#ended = true;
      this.#endIfEmpty();
    }
  }

  /** Closes the connections that are left. The module may still have to write what they leave, such as log lines. */
  #cutOff(): void {
    for (const connection of this.#open) connection.destroy();
    this.#endIfEmpty();
  }

  #endIfEmpty(): void {
    if (this.#ended && this.#open.size === 0) this.#resolveStopped();
  }
}

const SERVE_OPTIONS: readonly (keyof ServeOptions)[] = [
  "open",
  "data",
  "drain",
  "end",
  "close",
  "error",
  "timeout",
  "stopping",
  "zeroCopy",
  "noDelay",
  "idleTimeoutMs",
  "highWaterBytes",
  "maxPendingBytes",
  "maxConnections",
  "acceptError",
];

/** The handlers and options in `from`, which may be a module that exports much else. */
function serveOptionsOf<Data>(from: ServeOptions<Data>): ServeOptions<Data> {
  const known = SERVE_OPTIONS.filter((name) => from[name] !== undefined);
  return Object.fromEntries(known.map((name) => [name, from[name]])) as ServeOptions<Data>;
}

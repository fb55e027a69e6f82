import { type NamesOf, optionsOf } from "../base/argument.ts";
import { typeError } from "../base/misuse.ts";
import { CONNECTION_OPTIONS, type Connection } from "../reactor/connection.ts";
import { acceptingOf, type Listener, type ListenOptions } from "../reactor/listener.ts";
import { loopOf, type Reactor } from "../reactor/reactor.ts";
import type { Timer } from "../reactor/timers.ts";
import type { CountedConnection } from "./counts.ts";
import type {
  ModelHandlers,
  ModelLoop,
  PoolWorker,
  ServeOptions,
  StartOn,
  Stoppable,
} from "./module.ts";

/** A connection of which a peer has not read this much is paused. */
const HIGH_WATER_BYTES = 64 * 1024;
/** Counts the connections of a {@link LoopServer}: a {@link ServedCounter}, or less than that. */
export interface LoopCounter {
  /** @returns The peer's name if it is to be passed on to the other methods; else an empty string. */
  opened(connection: CountedConnection & Pick<Connection, "fileno">): string;
  received?(peer: string, bytes: Uint8Array): void;
  closed(peer: string, error: Error | undefined): void;
}

/** The parts of a {@link LoopServer}. */
export interface LoopServerOptions {
  readonly noDelay?: boolean | undefined;
  readonly idleTimeoutMs?: number | undefined;
  readonly reactor: Reactor;
  /** Where to listen; without it, `listen` is refused. */
  readonly where: Partial<ListenOptions> | undefined;
  readonly counter: LoopCounter;
  /** Where the address is from, for an error. */
  readonly owner: "pool" | "model";
  readonly index?: number | undefined;
  readonly count?: number | undefined;
  readonly data: unknown;
  post(message: unknown): void;
  /** Called when it was asked to stop and everything is closed. */
  stopped(): void;
}

/** Serves one address on an event loop, counts its connections, and stops gracefully. */
export class LoopServer implements PoolWorker<never>, ModelLoop<never> {
  readonly index: number;
  readonly count: number;
  readonly reactor: Reactor;
  /** Its type is known to the module only. */
  readonly data: never;
  readonly post: (message: unknown) => void;
  readonly #options: LoopServerOptions;
  /** The names of peers, of those connections that have one. */
  readonly #peers = new Map<object, string>();
  #listener: Listener | undefined;
  #module: Stoppable | undefined;
  #started = false;
  #deadline: Timer | undefined;
  #stopAt = Number.POSITIVE_INFINITY;
  /** Whether the module has ended what it began, so that only connections are left. */
  #moduleEnded = false;
  #isStopped = false;

  constructor(options: LoopServerOptions) {
    this.#options = options;
    this.index = options.index ?? 0;
    this.count = options.count ?? 1;
    this.reactor = options.reactor;
    this.data = options.data as never;
    this.post = options.post;
  }

  get listener(): Listener | undefined {
    return this.#listener;
  }

  listen<Data = unknown>(options: ServeOptions<Data>): Listener {
    const { counter, where } = this.#options;
    if (where === undefined || this.#listener !== undefined) {
      const why =
        where === undefined ? "it has none; give the pool a listen" : "it is served already";
      throw this.#notServed(why);
    }
    this.#listener = this.reactor.listen<Data>({
      ...this.#treatment(),
      ...where,
      ...serveOptionsOf(options),
      open: (connection) => {
        this.#opened(connection);
        options.open?.(connection);
      },
      ...(counter.received === undefined
        ? {}
        : {
            data: (connection, bytes) => {
              this.#received(connection, bytes);
              options.data?.(connection, bytes);
            },
          }),
    });
    acceptingOf(this.#listener).onConnectionClosed = (connection) => {
      this.#closed(connection, undefined);
    };
    return this.#listener;
  }

  /** Serves with the handlers of a model: nothing more is received from a peer that does not read. */
  serveHandlers(handlers: ModelHandlers): void {
    this.#listener = this.reactor.listen({
      ...this.#treatment(),
      ...this.#options.where,
      zeroCopy: true,
      highWaterBytes: HIGH_WATER_BYTES,
      // A handler cannot write without limit, since a connection above the high-water mark receives nothing.
      maxPendingBytes: Number.MAX_SAFE_INTEGER,
      open: (connection) => {
        this.#opened(connection);
        handlers.open?.(connection);
      },
      data: (connection, bytes) => {
        this.#received(connection, bytes);
        handlers.data?.(connection, bytes);
        if (connection.pendingBytes > HIGH_WATER_BYTES) connection.pause();
      },
      drain: (connection) => connection.resume(),
      end(connection) {
        handlers.end?.(connection);
        connection.end();
      },
      close: (connection, error) => {
        this.#closed(connection, error);
        handlers.close?.(connection, error);
        this.#checkStopped();
      },
    });
    this.started(undefined);
  }

  /**
   * Has the module of a model set up a server.
   *
   * @throws what the module throws; TypeError `ERR_INVALID_OPTION` when it did not listen.
   */
  async start(startOn: StartOn): Promise<void> {
    try {
      const module = (await startOn(this)) ?? undefined;
      // Otherwise clients would not be served, without any error.
      if (this.#listener === undefined)
        throw this.#notServed("startOn of the module did not listen");
      this.started(module);
    } catch (error) {
      this.#listener?.close();
      throw error;
    }
  }

  /** The module has started. @param module - How to stop it, if it says so. */
  started(module: Stoppable | undefined): void {
    this.#started = true;
    this.#module = module;
    if (this.#deadline !== undefined) void this.#stop();
  }

  /** Accepts the connections that wait on the listener, although the kernel has not reported them here. */
  acceptWaiting(): void {
    if (this.#listener !== undefined) acceptingOf(this.#listener).acceptWaiting();
  }

  /**
   * Stops accepting, and lets every connection finish within `graceMs`. Called again, a shorter time counts.
   */
  stop(graceMs: number): void {
    if (this.#isStopped) return;
    const first = this.#deadline === undefined;
    this.#stopAt = loopOf(this.reactor).kernel.now() + graceMs;
    this.#deadline?.cancel();
    this.#deadline = this.reactor.setTimer(graceMs, () => {
      void this.#listener?.stop(0);
      this.#checkStopped();
    });
    if (first && this.#started) void this.#stop();
  }

  #remainingMs(): number {
    return Math.max(0, this.#stopAt - loopOf(this.reactor).kernel.now());
  }

  /** Has the module end what it began, if it says how. Then the connections that it leaves open finish. */
  async #stop(): Promise<void> {
    try {
      if (this.#module !== undefined) {
        this.#listener?.close();
        await this.#module.stop(this.#remainingMs());
      }
    } finally {
      this.#moduleEnded = true;
      const stopped = this.#listener?.stop(this.#remainingMs());
      // Within `run()` no promise is settled, so handlers check as well.
      this.#checkStopped();
      await stopped;
      this.#finish();
    }
  }

  #checkStopped(): void {
    if (!this.#moduleEnded) return;
    if (this.#listener !== undefined) {
      if (this.#listener.fileno() >= 0 || this.#listener.connections > 0) return;
    }
    this.#finish();
  }

  #finish(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#deadline?.cancel();
    this.#options.stopped();
  }

  #notServed(why: string): TypeError {
    const text =
      this.#options.owner === "pool"
        ? `Cannot serve the address of the pool: ${why}`
        : `Cannot serve the address of the model: ${why}`;
    return typeError("ERR_INVALID_OPTION", text);
  }

  #treatment(): { noDelay?: boolean; idleTimeoutMs?: number } {
    const { noDelay, idleTimeoutMs } = this.#options;
    return {
      ...(noDelay === undefined ? {} : { noDelay }),
      ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
    };
  }

  #opened(connection: Connection<unknown>): void {
    const peer = this.#options.counter.opened(connection);
    if (peer !== "") this.#peers.set(connection, peer);
  }

  #received(connection: object, bytes: Uint8Array): void {
    this.#options.counter.received?.(this.#peers.get(connection) ?? "", bytes);
  }

  #closed(connection: object, error: Error | undefined): void {
    this.#options.counter.closed(this.#peers.get(connection) ?? "", error);
    this.#peers.delete(connection);
  }
}

const SERVE_OPTIONS: NamesOf<ServeOptions> = {
  ...CONNECTION_OPTIONS,
  maxConnections: true,
  acceptError: true,
  proxyProtocol: true,
  tls: true,
};

/**
 * The handlers and options in `from`, which may be an instance of a class, or a module that exports other things as
 * well.
 *
 * @throws TypeError `ERR_INVALID_OPTION`
 */
function serveOptionsOf<Data>(from: ServeOptions<Data>): ServeOptions<Data> {
  const given = optionsOf(from, "listen()", SERVE_OPTIONS) as Readonly<Record<string, unknown>>;
  const options: Record<string, unknown> = {};
  for (const name of Object.keys(SERVE_OPTIONS)) {
    const value = given[name];
    if (value !== undefined) options[name] = typeof value === "function" ? value.bind(from) : value;
  }
  return options;
}

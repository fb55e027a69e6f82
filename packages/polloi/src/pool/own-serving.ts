import { typeError } from "../base/misuse.ts";
import type { Connection } from "../reactor/connection.ts";
import { acceptingOf, type Listener } from "../reactor/listener.ts";
import type { Reactor } from "../reactor/reactor.ts";
import type { Timer } from "../reactor/timers.ts";
import type { EventListenOptions, LoopServing } from "./event-serving.ts";
import type { Treatment } from "./messages.ts";
import type { ModelLoop, StartOn } from "./model-module.ts";
import type { Served } from "./served.ts";
import { type ServeOptions, type Stoppable, serveOptionsOf } from "./worker-module.ts";

/** What an {@link OwnServing} is made of. */
export interface OwnServingParts {
  readonly reactor: Reactor;
  readonly served: Served;
  readonly treatment: Treatment;
  readonly data: unknown;
  readonly post: (message: unknown) => void;
}

/** Has a module serve with a server of its own, counts its connections, and brings it to an end when asked. */
export class OwnServing implements ModelLoop<never>, LoopServing {
  readonly reactor: Reactor;
  /** What they are is between the module and whoever serves it. */
  readonly data: never;
  readonly post: (message: unknown) => void;
  readonly #where: EventListenOptions;
  readonly #served: Served;
  readonly #treatment: Treatment;
  readonly #open = new Map<Pick<Connection, "close" | "destroy">, string>();
  #listener: Listener | undefined;
  #started: Stoppable | undefined;
  #deadline: Timer | undefined;
  /** When what is left is cut off; undefined as long as it is not to stop. */
  #stopAt: number | undefined;

  private constructor(where: EventListenOptions, parts: OwnServingParts) {
    this.#where = where;
    this.reactor = parts.reactor;
    this.data = parts.data as never;
    this.post = parts.post;
    this.#served = parts.served;
    this.#treatment = parts.treatment;
  }

  /** @throws what the module throws; TypeError `ERR_INVALID_OPTION` when it did not listen. */
  static async start(
    where: EventListenOptions,
    parts: OwnServingParts,
    startOn: StartOn,
  ): Promise<OwnServing> {
    const serving = new OwnServing(where, parts);
    try {
      serving.#started = (await startOn(serving)) ?? undefined;
      // Otherwise nobody would be served, and nothing would say so.
      if (serving.#listener === undefined) throw notServed("startOn of the module did not listen");
    } catch (error) {
      serving.#listener?.close();
      throw error;
    }
    return serving;
  }

  get listener(): Listener {
    return this.#listener as Listener;
  }

  listen<Data = unknown>(options: ServeOptions<Data>): Listener {
    if (this.#listener !== undefined) throw notServed("it is served already");
    const served = this.#served;
    const { noDelay, idleTimeoutMs } = this.#treatment;
    this.#listener = this.reactor.listen<Data>({
      ...this.#where,
      noDelay,
      ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
      ...serveOptionsOf(options),
      open: (connection) => {
        this.#open.set(connection, served.opened(connection));
        options.open?.(connection);
      },
      data: (connection, bytes) => {
        served.received(this.#open.get(connection) ?? "", bytes);
        options.data?.(connection, bytes);
      },
    });
    acceptingOf(this.#listener).onConnectionClosed = (connection) => {
      served.closed(this.#open.get(connection) ?? "", undefined);
      this.#open.delete(connection);
    };
    return this.#listener;
  }

  stop(graceMs: number, stopped: () => void): void {
    const again = this.#stopAt !== undefined;
    this.#stopAt = performance.now() + graceMs;
    this.#deadline?.cancel();
    this.#deadline = this.reactor.setTimer(graceMs, () => void this.#listener?.stop(0));
    if (!again) void this.#end(graceMs).then(stopped);
  }

  /** Has the module end what it began, if it says how; then its connections finish. */
  async #end(graceMs: number): Promise<void> {
    try {
      if (this.#started !== undefined) {
        this.#listener?.close();
        await this.#started.stop(graceMs);
      }
    } finally {
      await this.#listener?.stop(Math.max(0, (this.#stopAt ?? 0) - performance.now()));
      this.#deadline?.cancel();
    }
  }
}

function notServed(why: string): TypeError {
  return typeError("ERR_INVALID_OPTION", `Cannot serve the address of the model: ${why}`);
}

import type { Reactor } from "polloi";
import { CLIENT_HANDLERS, type Client } from "./client.ts";
import type { LoadPlan } from "./options.ts";
import type { Place } from "./place.ts";
import type { CrowdTimers } from "./timers.ts";

/** So many connects are under way at a time: more would only fill the server's backlog. */
const CONNECTING = 256;
/** How long until a unix socket whose backlog was full is tried again. */
const RETRY_MS = 2;

/** What an {@link Opening} is made of. */
export interface OpeningParts {
  readonly reactor: Reactor;
  readonly timers: CrowdTimers;
  readonly plan: LoadPlan;
  readonly place: Place;
  readonly clients: readonly Client[];
  /** Every client has been connected, or has failed: so many milliseconds after the first began. */
  done(afterMs: number): void;
}

/** Opens the connections of a crowd: as fast as it goes, or evenly over a time. */
export class Opening {
  readonly #parts: OpeningParts;
  /** Connects that have not come to their end, and how many clients have begun. */
  #connecting = 0;
  #begun = 0;
  #startedAt = 0;
  /** The next one is not due yet, and a timer is set. */
  #isSet = false;
  #isDone = false;
  #ended = false;

  constructor(parts: OpeningParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#startedAt = performance.now();
    this.#openMore();
  }

  /** Opens the connection of a client, perhaps again. */
  connect(client: Client): void {
    const { reactor, place, plan } = this.#parts;
    const { from, timeoutMs } = plan;
    const address = from[client.index % from.length];
    this.#connecting++;
    if (client.connectedFrom < 0) client.connectedFrom = performance.now();
    const connection = reactor.connect<Client>({
      ...CLIENT_HANDLERS,
      ...place,
      ...(address === undefined ? {} : { localAddress: { address, port: 0 } }),
      connectTimeoutMs: timeoutMs,
    });
    connection.data = client;
    client.connection = connection;
  }

  /** A unix socket had no room. @returns Whether it is tried again. */
  retry(client: Client): boolean {
    const { plan, timers } = this.#parts;
    if (performance.now() - client.connectedFrom >= plan.timeoutMs) return false;
    client.connection = null;
    timers.after(RETRY_MS, () => {
      this.#connecting--;
      if (!this.#ended) this.connect(client);
    });
    return true;
  }

  /** A client is connected or has failed; it may have been before. */
  connected(client: Client): void {
    if (client.connectedFrom < 0) return;
    client.connectedFrom = Number.NEGATIVE_INFINITY;
    this.#connecting--;
    if (this.#ended) return;
    if (this.#begun < this.#parts.clients.length) {
      if (!this.#isSet) this.#openMore();
    } else if (this.#connecting === 0 && !this.#isDone) {
      this.#isDone = true;
      this.#parts.done(performance.now() - this.#startedAt);
    }
  }

  /** Nobody begins any more. */
  end(): void {
    this.#ended = true;
  }

  #openMore(): void {
    const { clients, plan, timers } = this.#parts;
    const now = performance.now();
    while (this.#begun < clients.length && this.#connecting < CONNECTING) {
      const dueMs = this.#startedAt + (plan.rampMs * this.#begun) / clients.length - now;
      this.#isSet = dueMs > 0;
      if (this.#isSet) {
        timers.after(dueMs, () => {
          this.#isSet = false;
          if (!this.#ended) this.#openMore();
        });
        return;
      }
      this.connect(clients[this.#begun++] as Client);
    }
  }
}

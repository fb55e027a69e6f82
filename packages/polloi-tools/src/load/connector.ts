import type { Reactor } from "polloi";
import { CLIENT_HANDLERS, type Client } from "./client.ts";
import type { LoadConfig } from "./options.ts";
import type { TargetAddress } from "./target.ts";
import type { TimerGroup } from "./timers.ts";

/** Maximum number of concurrent connects. More would only fill the server's backlog. */
const MAX_CONNECTING = 256;
/** Delay before a connect to a unix socket is repeated whose backlog was full. */
const RETRY_MS = 2;

/** Options of a {@link Connector}. */
export interface ConnectorOptions {
  readonly reactor: Reactor;
  /** The time of the reactor's kernel, in milliseconds. */
  readonly now: () => number;
  readonly timers: TimerGroup;
  readonly config: LoadConfig;
  readonly address: TargetAddress;
  readonly clients: readonly Client[];
  /** Called once, when every client has been connected or has failed. */
  done(elapsedMs: number): void;
}

/** Opens the connections of all clients, as fast as possible or evenly over the ramp. */
export class Connector {
  readonly #options: ConnectorOptions;
  /** Connects in progress. */
  #connecting = 0;
  /** Clients whose first connect has been started. */
  #started = 0;
  #startedAt = 0;
  /** Whether a timer is set for the next client of the ramp. */
  #timerIsSet = false;
  #isDone = false;
  #stopped = false;

  constructor(options: ConnectorOptions) {
    this.#options = options;
  }

  start(): void {
    this.#startedAt = this.#options.now();
    this.#startConnects();
  }

  /** Connects a client, for the first time or again. */
  connect(client: Client): void {
    const { reactor, address, config } = this.#options;
    const { from, timeoutMs, tls } = config;
    const local = from[client.index % from.length];
    this.#connecting++;
    if (client.connectStartedAt < 0) client.connectStartedAt = this.#options.now();
    const connection = reactor.connect<Client>({
      ...CLIENT_HANDLERS,
      ...address,
      ...(tls === null ? {} : { tls }),
      ...(local === undefined ? {} : { localAddress: { address: local, port: 0 } }),
      connectTimeoutMs: timeoutMs,
    });
    connection.data = client;
    client.connection = connection;
  }

  /** The backlog of a unix socket was full. @returns Whether the connect is repeated. */
  retry(client: Client): boolean {
    const { config, timers } = this.#options;
    if (this.#options.now() - client.connectStartedAt >= config.timeoutMs) return false;
    client.connection = null;
    timers.after(RETRY_MS, () => {
      this.#connecting--;
      if (!this.#stopped) this.connect(client);
    });
    return true;
  }

  /** The connect of a client has ended, with a connection or without. Ignored when none was in progress. */
  finished(client: Client): void {
    if (client.connectStartedAt < 0) return;
    client.connectStartedAt = Number.NEGATIVE_INFINITY;
    this.#connecting--;
    if (this.#stopped) return;
    if (this.#started < this.#options.clients.length) {
      if (!this.#timerIsSet) this.#startConnects();
    } else if (this.#connecting === 0 && !this.#isDone) {
      this.#isDone = true;
      this.#options.done(this.#options.now() - this.#startedAt);
    }
  }

  /** No further connect is started. */
  stop(): void {
    this.#stopped = true;
  }

  #startConnects(): void {
    const { clients, config, timers } = this.#options;
    const now = this.#options.now();
    while (this.#started < clients.length && this.#connecting < MAX_CONNECTING) {
      const delayMs = this.#startedAt + (config.rampMs * this.#started) / clients.length - now;
      this.#timerIsSet = delayMs > 0;
      if (this.#timerIsSet) {
        timers.after(delayMs, () => {
          this.#timerIsSet = false;
          if (!this.#stopped) this.#startConnects();
        });
        return;
      }
      this.connect(clients[this.#started++] as Client);
    }
  }
}
